#include "convert/batch_config.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>

#include "base/error.hpp"
#include "base/file.hpp"
#include "io/names.hpp"

namespace assay {
namespace {

/// The largest list of models that is one.
constexpr size_t kMaxConfigBytes = size_t{1} << 20;

/// Reads values of one file and says where each stands.
class ConfigReader {
 public:
  explicit ConfigReader(const std::filesystem::path& path) { config_.path = path; }

  BatchConfig run() {
    const YAML::Node root = parse();
    if (!root.IsMap()) fail(root, "not a list of models", "a mapping with the key models", "");
    warn_unknown(root, {"models"}, "");
    const YAML::Node models = root["models"];
    if (!models || !models.IsSequence() || models.size() == 0)
      fail(root, "no models", "models: a list of entries with name and hf_name", "");
    for (const YAML::Node& entry : models) add_model(entry);
    return std::move(config_);
  }

 private:
  YAML::Node parse() const {
    try {
      return YAML::Load(read_text_file(config_.path, kMaxConfigBytes));
    } catch (const YAML::Exception& error) {
      throw Error(
          Fault{"not valid YAML", place(error.mark), {}, error.msg, "a tab, or a missing space after ':'?"});
    }
  }

  std::string place(const YAML::Mark& mark) const {
    return mark.is_null() ? config_.path.string()
                          : fmt::format("{}:{}", config_.path.string(), mark.line + 1);
  }
  [[noreturn]] void fail(const YAML::Node& node, std::string what, std::string expected,
                         std::string found) const {
    throw Error(Fault{std::move(what), place(node.Mark()), std::move(expected), std::move(found), {}});
  }

  void warn_unknown(const YAML::Node& map, std::initializer_list<std::string_view> known,
                    const char* within) {
    std::vector<std::string> seen;
    for (const auto& member : map) {
      const std::string key = member.first.IsScalar() ? member.first.Scalar() : "";
      if (std::find(seen.begin(), seen.end(), key) != seen.end())
        fail(member.first, "a key is given twice", "", key);
      seen.push_back(key);
      if (std::find(known.begin(), known.end(), key) == known.end())
        config_.warnings.push_back(fmt::format("{}: nobody reads the key {}{}", place(member.first.Mark()),
                                               within, quote_name(key)));
    }
  }

  static bool is_given(const YAML::Node& node) { return node && !node.IsNull(); }

  std::string text(const YAML::Node& map, const char* key, bool required) const {
    const YAML::Node node = map[key];
    if (!is_given(node)) {
      if (required) fail(map, std::string("an entry without ") + key, "", "");
      return {};
    }
    if (!node.IsScalar() || (required && node.Scalar().empty()))
      fail(node, std::string(key) + " is no text", "", "");
    return node.Scalar();
  }

  std::optional<double> positive(const YAML::Node& map, const char* key) const {
    const YAML::Node node = map[key];
    if (!is_given(node)) return std::nullopt;
    double value = 0.0;
    if (!node.IsScalar() || !YAML::convert<double>::decode(node, value) || !std::isfinite(value) ||
        value <= 0.0)
      fail(node, std::string(key) + " is no positive number", "", node.IsScalar() ? node.Scalar() : "");
    return value;
  }

  int one_of(const YAML::Node& map, const char* key, int fallback, std::initializer_list<int> allowed) const {
    const YAML::Node node = map[key];
    if (!is_given(node)) return fallback;
    int value = 0;
    if (node.IsScalar() && YAML::convert<int>::decode(node, value) &&
        std::find(allowed.begin(), allowed.end(), value) != allowed.end())
      return value;
    std::string expected;
    for (const int each : allowed) expected += (expected.empty() ? "" : " or ") + std::to_string(each);
    fail(node, std::string(key) + " cannot be this", expected, node.IsScalar() ? node.Scalar() : "");
  }

  void read_quantization(const YAML::Node& node, BatchModel& model) {
    if (!is_given(node)) return;
    if (!node.IsMap()) fail(node, "quantization is no mapping", "", "");
    warn_unknown(node, {"bits", "dtype", "group_size", "target_size_mb", "max_accuracy_drop"},
                 "quantization.");
    const std::string dtype = text(node, "dtype", false);
    const int named = dtype == "int4" ? 4 : 8;
    if (!dtype.empty() && dtype != "int8" && dtype != "int4")
      fail(node["dtype"], "dtype cannot be this", "int8 or int4", dtype);
    model.bits = one_of(node, "bits", named, {8, 4});
    if (!dtype.empty() && model.bits != named)
      fail(node["dtype"], "dtype contradicts bits", fmt::format("int{}", model.bits), dtype);
    model.group_size = one_of(node, "group_size", model.group_size, {32, 64});
    read_limits(node, model);
  }

  void read_limits(const YAML::Node& node, BatchModel& model) const {
    if (const auto target = positive(node, "target_size_mb")) model.target_size_mb = target;
    if (const auto drop = positive(node, "max_accuracy_drop")) {
      if (*drop > 1.0)
        fail(node["max_accuracy_drop"], "max_accuracy_drop is a share", "at most 1",
             node["max_accuracy_drop"].Scalar());
      model.max_accuracy_drop = drop;
    }
  }

  void add_model(const YAML::Node& entry) {
    if (!entry.IsMap()) fail(entry, "an entry of models is no mapping", "", "");
    warn_unknown(
        entry,
        {"name", "hf_name", "task", "quantization", "target_size_mb", "max_accuracy_drop", "benchmarks"}, "");
    BatchModel model;
    model.name = text(entry, "name", true);
    // It becomes a folder's name.
    if (model.name.find('/') != std::string::npos || model.name[0] == '.' || !is_safe_name(model.name))
      fail(entry["name"], "a name that no folder can have", "", quote_name(model.name));
    if (std::any_of(config_.models.begin(), config_.models.end(),
                    [&](const BatchModel& other) { return other.name == model.name; }))
      fail(entry["name"], "a name is given twice", "", quote_name(model.name));
    model.hf_name = text(entry, "hf_name", true);
    model.task = text(entry, "task", false);
    read_limits(entry, model);
    read_quantization(entry["quantization"], model);
    const YAML::Node benchmarks = entry["benchmarks"];
    if (is_given(benchmarks) && !benchmarks.IsSequence()) fail(benchmarks, "benchmarks is no list", "", "");
    for (const YAML::Node& benchmark : benchmarks)
      model.benchmarks.push_back(benchmark.IsScalar() ? benchmark.Scalar() : "");
    config_.models.push_back(std::move(model));
  }

  BatchConfig config_;
};

}  // namespace

BatchConfig read_batch_config(const std::filesystem::path& path) {
  return ConfigReader(path).run();
}

const BatchModel& find_batch_model(const BatchConfig& config, const std::string& name) {
  std::string names;
  for (const BatchModel& model : config.models) {
    if (model.name == name) return model;
    names += (names.empty() ? "" : ", ") + model.name;
  }
  throw UsageError(Fault{"no such model", config.path.string(), names, quote_name(name), {}});
}

}  // namespace assay
