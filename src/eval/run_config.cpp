#include "eval/run_config.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <string_view>
#include <utility>

#include "base/error.hpp"
#include "base/file.hpp"
#include "io/names.hpp"
#include "models/model_file.hpp"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxConfigBytes = size_t{1} << 20;

constexpr std::string_view kTop[] = {"hardware", "bench",      "max_tokens", "num_samples_per_prompt",
                                     "model",    "teacher",    "training",   "rfai",
                                     "data",     "evaluation", "logging",    "huggingface"};
constexpr std::string_view kHardware[] = {"use_mlx_for_generation", "mlx_model_path",
                                          "mlx_quantization",       "use_mps",
                                          "mixed_precision",        "save_mlx_format"};
constexpr std::string_view kBench[] = {"prefill", "decode",  "batch",   "repeats", "warmup",
                                       "rounds",  "threads", "compute", "kv",      "models"};
/// In the order in which the trainer looks for them.
constexpr const char* kUsualFolders[] = {"mlx_model_q8", "mlx_model_q4", "mlx_model"};

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::string nearest_key(std::string_view given, std::span<const std::string_view> known) {
  return std::string(*std::min_element(known.begin(), known.end(), [&](auto a, auto b) {
    return edit_distance(given, a) < edit_distance(given, b);
  }));
}

bool is_given(const YAML::Node& node) {
  return node && !node.IsNull();
}

/// What the files at `path` are, in the words of mlx_quantization, by the bits that a quantized weight really
/// has: with scales 4-bit ones take 4.25 to 5.3 (Q4_K_M's wider tensors), 8-bit ones 8.25 to 9.
std::string quantization_of(const fs::path& path) {
  const ModelFile model = ModelFile::open(path);
  double bits = 0.0, weights = 0.0;
  for (const ModelTensor& tensor : model.tensors()) {
    if (!is_quantized(tensor.weight.format)) continue;
    bits += 8.0 * static_cast<double>(tensor.weight.bytes());
    weights += static_cast<double>(tensor.weight.rows * tensor.weight.cols);
  }
  if (weights == 0.0) return "none";
  const double each = bits / weights;
  if (each >= 4.0 && each < 5.5) return "q4_bit";
  return each >= 8.0 && each <= 9.0 ? "q8_bit" : fmt::format("{:.2f} bits a weight", each);
}

/// Reads values of one file and says where each stands.
class RunConfigReader {
 public:
  explicit RunConfigReader(const fs::path& path) : path_(path) {}

  RunConfig run() {
    const YAML::Node root = parse();
    if (!root.IsMap()) fail(root, "not a run configuration", "a mapping with hardware or bench", "");
    check_keys(root, kTop);
    const YAML::Node hardware = section(root, "hardware"), bench = section(root, "bench");
    const YAML::Node rfai = section(root, "rfai"), model = section(root, "model");
    if (is_given(hardware)) check_keys(hardware, kHardware);
    if (is_given(bench)) check_keys(bench, kBench);
    note_others(root);
    config_.decode = count(root, "max_tokens");
    for (const YAML::Node& place : {root, rfai, model})
      if (!config_.batch && is_given(place)) config_.batch = count(place, "num_samples_per_prompt");
    if (is_given(bench)) read_bench(bench);
    if (is_given(hardware)) read_hardware(hardware, model);
    if (config_.paths.empty()) fail(root, "names no model", "hardware.mlx_model_path or bench.models", "");
    return std::move(config_);
  }

 private:
  YAML::Node parse() const {
    try {
      return YAML::Load(read_text_file(path_, kMaxConfigBytes));
    } catch (const YAML::Exception& error) {
      throw Error(
          Fault{"not valid YAML", place(error.mark), {}, error.msg, "a tab, or a missing space after ':'?"});
    }
  }

  std::string place(const YAML::Mark& mark) const {
    return mark.is_null() ? path_.string() : fmt::format("{}:{}", path_.string(), mark.line + 1);
  }
  [[noreturn]] void fail(const YAML::Node& node, std::string what, std::string expected, std::string found,
                         std::string cause = {}) const {
    throw Error(
        Fault{std::move(what), place(node.Mark()), std::move(expected), std::move(found), std::move(cause)});
  }

  void check_keys(const YAML::Node& map, std::span<const std::string_view> known) const {
    std::vector<std::string> seen;
    for (const auto& member : map) {
      const std::string key = member.first.IsScalar() ? member.first.Scalar() : "";
      if (std::find(seen.begin(), seen.end(), key) != seen.end())
        fail(member.first, "a key is given twice", "", key);
      if (std::find(known.begin(), known.end(), key) == known.end())
        fail(member.first, "no such key", "", quote_name(key),
             "did you mean " + nearest_key(key, known) + "?");
      seen.push_back(key);
    }
  }

  YAML::Node section(const YAML::Node& root, const char* name) const {
    const YAML::Node node = root[name];
    if (!is_given(node)) return {};
    if (!node.IsMap()) fail(node, std::string(name) + " is no mapping", "", "");
    return node;
  }

  void note_others(const YAML::Node& root) {
    std::string names;
    for (const char* name : {"teacher", "training", "rfai", "data", "evaluation", "logging", "huggingface"})
      if (is_given(root[name])) names += (names.empty() ? "" : ", ") + std::string(name);
    if (!names.empty()) config_.notes.push_back(path_.string() + ": left aside, for training: " + names);
  }

  std::optional<int64_t> count(const YAML::Node& map, const char* key) const {
    const YAML::Node node = map[key];
    if (!is_given(node)) return std::nullopt;
    int64_t value = 0;
    if (!node.IsScalar() || !YAML::convert<int64_t>::decode(node, value) || value < 1 ||
        value > int64_t{1} << 40)
      fail(node, std::string(key) + " is no count", "a whole number from 1 on",
           node.IsScalar() ? node.Scalar() : "");
    return value;
  }

  std::string text(const YAML::Node& map, const char* key) const {
    const YAML::Node node = map[key];
    if (!is_given(node)) return {};
    if (!node.IsScalar()) fail(node, std::string(key) + " is no text", "", "");
    return node.Scalar();
  }

  fs::path from_here(const std::string& written) const {
    const fs::path path = expand_path(written);
    return path.is_absolute() ? path : path_.parent_path() / path;
  }

  void read_bench(const YAML::Node& bench) {
    const std::pair<const char*, std::optional<int64_t>*> counts[] = {
        {"prefill", &config_.prefill}, {"decode", &config_.decode}, {"batch", &config_.batch},
        {"repeats", &config_.repeats}, {"warmup", &config_.warmup}, {"rounds", &config_.rounds},
        {"threads", &config_.threads}};
    for (const auto& [key, value] : counts)
      if (const auto given = count(bench, key)) *value = given;
    if (const std::string compute = text(bench, "compute"); !compute.empty()) config_.compute = compute;
    if (const std::string kv = text(bench, "kv"); !kv.empty()) config_.kv = kv;
    const YAML::Node models = bench["models"];
    if (is_given(models) && !models.IsSequence()) fail(models, "models is no list", "", "");
    for (const YAML::Node& each : models) {
      if (!each.IsScalar()) fail(each, "models holds something else than paths", "", "");
      config_.paths.push_back(from_here(each.Scalar()));
    }
  }

  void read_hardware(const YAML::Node& hardware, const YAML::Node& model) {
    bool quantized = true;
    const YAML::Node use = hardware["use_mlx_for_generation"];
    if (is_given(use) && !YAML::convert<bool>::decode(use, quantized))
      fail(use, "use_mlx_for_generation is no truth value", "true or false",
           use.IsScalar() ? use.Scalar() : "");
    const std::string wanted = text(hardware, "mlx_quantization");
    if (!wanted.empty() && wanted != "q4_bit" && wanted != "q8_bit" && wanted != "none")
      fail(hardware["mlx_quantization"], "mlx_quantization cannot be this", "q4_bit, q8_bit or none", wanted);
    if (!quantized) return add_base_model(hardware, model);
    const std::string written = text(hardware, "mlx_model_path");
    const fs::path found = written.empty() ? find_usual_folder(hardware) : from_here(written);
    if (!wanted.empty()) check_quantization(hardware["mlx_quantization"], wanted, found);
    config_.paths.insert(config_.paths.begin(), found);
  }

  void add_base_model(const YAML::Node& hardware, const YAML::Node& model) {
    const std::string base = is_given(model) ? text(model, "base_model") : "";
    if (base.empty() || !fs::exists(from_here(base)))
      fail(hardware, "use_mlx_for_generation is false, and there is nothing else to run",
           "model.base_model, a folder on this machine", base);
    config_.paths.insert(config_.paths.begin(), from_here(base));
  }

  fs::path find_usual_folder(const YAML::Node& hardware) const {
    for (const char* name : kUsualFolders)
      if (fs::exists(from_here(name))) return from_here(name);
    fail(hardware, "mlx_model_path is not given and none of the usual folders exists",
         "mlx_model_q8, mlx_model_q4 or mlx_model beside this file", "");
  }

  /// A file that is not what its owner takes it for was this trainer's "Q4 is not faster".
  void check_quantization(const YAML::Node& node, const std::string& wanted, const fs::path& found) const {
    const std::string real = quantization_of(found);
    if (real == wanted) return;
    fail(node, "mlx_quantization is not what the files are", wanted,
         fmt::format("{} in {}", real, found.string()),
         real == "none" ? "the conversion quantized nothing: see assay inspect" : "");
  }

  fs::path path_;
  RunConfig config_;
};

}  // namespace

RunConfig read_run_config(const fs::path& path) {
  return RunConfigReader(path).run();
}

}  // namespace assay
