#include "convert/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "base/memory.hpp"
#include "base/sha256.hpp"
#include "convert/manifest.hpp"
#include "convert/output_recipe.hpp"
#include "convert/twins.hpp"
#include "convert/verify_meaning.hpp"
#include "convert/weight_check.hpp"
#include "models/encoder_match.hpp"
#include "models/tensor_match.hpp"

namespace assay {
namespace {

class Verifier {
 public:
  Verifier(const std::filesystem::path& output, const std::filesystem::path& source, ThreadPool& pool,
           Progress& progress)
      : path_(output), source_(ConversionSource::open(source)), pool_(pool), progress_(progress) {
    if (source_.file() == nullptr)
      throw Error(Fault{"no weights", source.string(), "safetensors files", {}, {}});
  }

  Verification run() {
    result_.path = path_;
    check("no float twin", [this] { return check_twins(); });
    check("opens", [this] { return check_opens(); });
    std::swap(result_.checks.front(), result_.checks.back());
    if (output_ == nullptr) return std::move(result_);
    check("manifest", [this] { return check_manifest(); });
    check("tensors", [this] { return check_tensors(); });
    check("planned bytes", [this] { return check_bytes(); });
    check("formats", [this] { return check_formats(); });
    check_weights();
    check("configuration", [this] { return compare_configurations(*output_, source_.model()); });
    check("tokenizer", [this] { return compare_tokenizers(*output_, source_); });
    if (source_.model().encoder && output_->gguf() == nullptr)
      check("side files", [this] { return compare_side_files(path_, source_); });
    return std::move(result_);
  }

 private:
  /// `body` returns the detail of success and throws Error for a failure.
  template <class Body>
  void check(const char* name, Body body) {
    try {
      std::string detail = body();
      result_.checks.push_back({name, true, std::move(detail)});
    } catch (const Error& error) {
      result_.checks.push_back({name, false, error.what()});
    } catch (const nlohmann::json::exception&) {
      result_.checks.push_back(
          {name, false, std::string(kManifestName) + " lacks a member or has another type there"});
    }
  }

  std::string check_twins() {
    const std::vector<std::string> twins = find_float_twins(path_);
    if (!twins.empty()) throw Error(Fault{"floats beside quantized weights", {}, {}, list_some(twins), {}});
    return "no plain tensor or file repeats a quantized weight";
  }

  std::string check_opens() {
    output_ = std::make_unique<ModelFile>(ModelFile::open(path_));
    return fmt::format("{}, {} tensors, {}", container_name(output_->container()), output_->tensors().size(),
                       format_bytes(output_->weight_bytes()));
  }

  std::string check_manifest() {
    entry_ = find_manifest_entry(path_);
    if (entry_.is_null()) return "no assay.json beside the output: nothing to compare hashes with";
    const std::filesystem::path base = std::filesystem::is_directory(path_) ? path_ : path_.parent_path();
    size_t count = 0;
    for (const nlohmann::json& file : entry_.at("files")) {
      const std::string name = file.at("name"), expected = file.at("sha256");
      const std::string found = sha256_of_file(base / name);
      if (found != expected)
        throw Error(Fault{"file is not the one that was written", name, expected, found, {}});
      ++count;
    }
    for (const nlohmann::json& file : entry_.at("source").at("files")) {
      const std::string name = file.at("name"), expected = file.at("sha256");
      const std::filesystem::path source = source_.path() / name;
      const std::string found = std::filesystem::exists(source) ? sha256_of_file(source) : "no such file";
      if (found != expected)
        throw Error(Fault{"the output was made from another source", source.string(), expected, found, {}});
    }
    return fmt::format("SHA-256 of {} output files and of the source as recorded", count);
  }

  /// Planned once, when the first check needs it; throws the Error that kept it from being made.
  const Plan& plan() {
    if (!plan_) plan_ = std::make_unique<Plan>(make_plan(source_, find_output_recipe(*output_, entry_)));
    return *plan_;
  }

  std::string check_tensors() {
    std::vector<std::string> missing, extra;
    std::set<std::pair<TensorRole, int>> known;
    for (const TensorSlot& slot : tensor_slots(source_.architecture(), source_.model())) {
      if (slot.role == TensorRole::kRopeFactors && output_->gguf() == nullptr) continue;
      known.insert({slot.role, slot.layer});
      const ModelTensor* tensor = output_->find(slot.role, slot.layer);
      if (tensor == nullptr)
        missing.push_back(slot.gguf_name);
      else if (tensor->slot.shape != slot.shape)
        throw Error(Fault{"shape differs from the source",
                          tensor->stored_name,
                          format_shape(slot.shape),
                          format_shape(tensor->slot.shape),
                          {}});
    }
    for (const ModelTensor& tensor : output_->tensors())
      if (!known.contains({tensor.slot.role, tensor.slot.layer})) extra.push_back(tensor.stored_name);
    if (!missing.empty()) throw Error(Fault{"source tensors are missing", {}, list_some(missing), {}, {}});
    if (!extra.empty()) throw Error(Fault{"tensors the source does not have", {}, {}, list_some(extra), {}});
    return fmt::format("all {} tensors of the source, and no other", known.size());
  }

  std::string check_bytes() {
    const uint64_t stored = stored_weight_bytes(*output_);
    if (stored != plan().weight_bytes)
      throw Error(Fault{"weights have another size than planned",
                        path_.string(),
                        format_bytes(plan().weight_bytes),
                        format_bytes(stored),
                        {}});
    if (entry_.is_null()) return fmt::format("{} of weights as planned", format_bytes(plan().weight_bytes));
    for (const PlannedFile& file : plan().files) {
      const std::filesystem::path path = std::filesystem::is_directory(path_) ? path_ / file.name : path_;
      const uint64_t found = std::filesystem::file_size(path);
      if (found != file.bytes)
        throw Error(Fault{"file has another size than planned",
                          path.string(),
                          format_bytes(file.bytes),
                          format_bytes(found),
                          {}});
    }
    return fmt::format("{} in {} files, to the byte", format_bytes(plan().file_bytes()), plan().files.size());
  }

  std::string check_formats() {
    std::vector<std::string> wrong;
    for (const PlannedTensor& planned : plan().tensors) {
      const ModelTensor* tensor = output_->find(planned.slot.role, planned.slot.layer);
      if (tensor != nullptr && tensor->weight.format != planned.format)
        wrong.push_back(fmt::format("{} is {}, not {}", tensor->stored_name,
                                    format_name(tensor->weight.format), format_name(planned.format)));
    }
    if (!wrong.empty())
      throw Error(Fault{"formats differ from " + plan().recipe.name, {}, {}, list_some(wrong), {}});
    return fmt::format("every tensor as {} asks: {:.4f} bits per weight", plan().recipe.name,
                       plan().bits_per_weight());
  }

  /// What comparing the weights has found so far, as the sentences of three checks.
  struct WeightFindings {
    std::vector<std::string> beyond, not_finite, badly_packed;
    std::set<std::string> not_repacked;  ///< formats that assay cannot write
    double worst = 0.0, worst_packing = 0.0;
    std::string worst_name = "none", worst_packed = "none";

    void add(const ModelTensor& tensor, const WeightCheck& found) {
      const std::string& name = tensor.stored_name;
      if (found.beyond != 0)
        beyond.push_back(fmt::format("{}: {} values from row {} on, up to {:.3g} times the bound", name,
                                     found.beyond, found.first_row, found.worst_ratio));
      if (found.not_finite_row >= 0)
        not_finite.push_back(fmt::format("{} row {}", name, found.not_finite_row));
      if (found.worst_ratio > worst) worst = found.worst_ratio, worst_name = name;
      if (is_quantized(tensor.weight.format) && !found.has_packing)
        not_repacked.insert(format_name(tensor.weight.format));
      if (found.is_badly_packed())
        badly_packed.push_back(fmt::format("{} errs {:.3g} times as much as {} needs to", name,
                                           found.packing_ratio(), format_name(tensor.weight.format)));
      if (found.packing_ratio() > worst_packing) worst_packing = found.packing_ratio(), worst_packed = name;
    }

    std::string packing_detail() const {
      std::string detail = fmt::format(
          "the error is at most {:.4f} times that of a fresh packing ({}), and may be {:.1f} times",
          worst_packing, worst_packed, kWorstPacking);
      if (worst_packing == 0.0) detail = "no error that a fresh packing would not have";
      for (const std::string& name : not_repacked)
        detail += "; not compared: " + name + ", which assay cannot write";
      return detail;
    }
  };

  /// The three checks that read every weight share one pass.
  void check_weights() {
    WeightFindings findings;
    std::string failure;
    progress_.begin("comparing with the source", source_.file()->weight_bytes(), "B");
    try {
      const bool gguf = output_->gguf() != nullptr;
      const std::optional<DType> cast = plan().cast();
      for (const ModelTensor& tensor : output_->tensors()) {
        const SourceWeight source = source_weight(*source_.file(), tensor.slot, gguf, cast);
        if (source.rows() != tensor.weight.rows || source.cols() != tensor.weight.cols) continue;
        findings.add(tensor,
                     check_weight(tensor.weight, source, pool_, output_->container() == Container::kNpz));
        progress_.advance(source.view().codes.size());
        output_->release(tensor);
        if (const ModelTensor* original = source_.file()->find(tensor.slot.role, tensor.slot.layer))
          source_.file()->release(*original);
      }
    } catch (const Error& error) {
      failure = error.what();
    }
    progress_.end();
    report_weights("error bound", failure, "decoded weights lie beyond the format's error bound",
                   findings.beyond,
                   fmt::format("every weight; the largest deviation is {:.4f} of its bound ({})",
                               findings.worst, findings.worst_name));
    report_weights("packing", failure, "codes and scales are far from the source's own packing",
                   findings.badly_packed, findings.packing_detail());
    report_weights("finite", failure, "NaN or infinity in scales or values", findings.not_finite,
                   "no NaN, no infinity in any scale or value");
  }

  void report_weights(const char* name, const std::string& failure, const char* what,
                      const std::vector<std::string>& faults, const std::string& detail) {
    if (!failure.empty())
      result_.checks.push_back({name, false, failure});
    else if (!faults.empty())
      result_.checks.push_back({name, false, std::string(what) + ": " + list_some(faults)});
    else
      result_.checks.push_back({name, true, detail});
  }

  const std::filesystem::path path_;
  const ConversionSource source_;
  ThreadPool& pool_;
  Progress& progress_;
  Verification result_;
  std::unique_ptr<ModelFile> output_;
  std::unique_ptr<Plan> plan_;
  nlohmann::json entry_;
};

}  // namespace

bool Verification::ok() const noexcept {
  return std::all_of(checks.begin(), checks.end(), [](const Check& check) { return check.ok; });
}

Verification verify_output(const std::filesystem::path& output, const std::filesystem::path& source,
                           ThreadPool& pool, Progress& progress) {
  return Verifier(output, source, pool, progress).run();
}

nlohmann::json verification_json(const Verification& verification) {
  nlohmann::json checks = nlohmann::json::array();
  for (const Check& check : verification.checks)
    checks.push_back({{"name", check.name}, {"ok", check.ok}, {"detail", check.detail}});
  return {{"path", verification.path.string()}, {"ok", verification.ok()}, {"checks", std::move(checks)}};
}

}  // namespace assay
