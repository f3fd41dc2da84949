#include "convert/convert.hpp"

#include <chrono>

#include "base/error.hpp"
#include "base/file.hpp"
#include "convert/conversion_metadata.hpp"
#include "convert/directory_output.hpp"
#include "convert/gguf_metadata.hpp"
#include "convert/npz_output.hpp"
#include "convert/source_weight.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// For the side files of an output and the manifest.
constexpr uint64_t kSideBytes = uint64_t{64} << 20;

void check_source(const ConversionSource& source) {
  const std::string where = source.path().string();
  if (source.is_quantized())
    throw Error(
        Fault{"the source is quantized already, and quantizing it again would lose more than it seems", where,
              "a checkpoint of 16- or 32-bit floats", "a quantized model",
              "convert the original checkpoint instead"});
  if (source.file() == nullptr)
    throw Error(
        Fault{"no weights", where, "safetensors files", "a configuration alone", "incomplete download?"});
  if (!has_tokenizer_files(source.path()))
    throw Error(Fault{"no tokenizer",
                      where,
                      "tokenizer.json, vocab.json, tokenizer.model or vocab.txt",
                      {},
                      "incomplete download?"});
  // A directory takes these files over as they are: a damaged one must not travel on.
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    if (std::filesystem::exists(source.path() / name)) read_json_file(source.path() / name);
}

/// Throws for a target that could not be committed, or that is the source itself or a folder around it.
void check_target(const ConversionSource& source, const Plan& plan, const std::filesystem::path& folder,
                  bool overwrite) {
  const std::filesystem::path path = folder / plan.output_name;
  if (!std::filesystem::exists(path)) return;
  const bool is_folder = std::filesystem::is_directory(path);
  std::filesystem::path above = std::filesystem::canonical(source.path());
  while (above.has_relative_path() && !std::filesystem::equivalent(path, above)) above = above.parent_path();
  if (above.has_relative_path())
    throw Error(Fault{"the output would replace its own source", path.string(), {}, {}, "another folder?"});
  if (!overwrite) throw Error(Fault{"already exists", path.string(), {}, {}, "--overwrite replaces it"});
  if (is_folder == plan.recipe.is_gguf())
    throw Error(Fault{"something else lies in the output's place", path.string(),
                      plan.recipe.is_gguf() ? "a file" : "a folder", is_folder ? "a folder" : "a file",
                      "move it away first"});
}

/// Quantizes every planned tensor into `sink`, in plan order.
class WeightStream {
 public:
  WeightStream(const ConversionSource& source, ThreadPool& pool, Progress& progress)
      : file_(*source.file()), pool_(pool), quantizer_(pool), progress_(progress) {}

  ThreadPool& pool() const noexcept { return pool_; }
  Progress& progress() const noexcept { return progress_; }
  std::vector<WeightError> run(const Plan& plan, const TensorQuantizer::Sink& sink) {
    std::vector<WeightError> errors;
    progress_.begin(plan.recipe.name, plan.parameters, "weight");
    const bool gguf = plan.recipe.is_gguf();
    for (const PlannedTensor& tensor : plan.tensors) {
      const SourceWeight weight = source_weight(file_, tensor.slot, gguf, plan.cast());
      uint64_t written = 0;
      errors.push_back(quantizer_.run(
          weight, tensor.format, tensor.slot.hf_name.empty() ? tensor.name : tensor.slot.hf_name,
          [&](std::span<const std::byte> bytes) {
            written += bytes.size();
            sink(bytes);
          },
          [&](int64_t begin, int64_t end) { finish_rows(tensor.slot, weight, begin, end); },
          find_importance(plan, tensor, weight.cols())));
      ASSAY_CHECK(written == tensor.bytes);
    }
    progress_.end();
    return errors;
  }

 private:
  static std::span<const float> find_importance(const Plan& plan, const PlannedTensor& tensor, int64_t cols) {
    if (plan.recipe.matrix == nullptr || !is_quantized(tensor.format)) return {};
    return plan.recipe.matrix->find(tensor.name, cols);
  }

  /// The source's pages are not read again; giving them back keeps the resident set flat.
  void finish_rows(const TensorSlot& slot, const SourceWeight& weight, int64_t begin, int64_t end) {
    if (slot.role == TensorRole::kRopeFactors) return;
    ModelTensor part{slot, {}, weight.view()};
    const size_t row = weight.view().codes.size() / static_cast<size_t>(weight.rows());
    part.weight.codes =
        part.weight.codes.subspan(static_cast<size_t>(begin) * row, static_cast<size_t>(end - begin) * row);
    file_.release(part);
    progress_.advance(static_cast<uint64_t>((end - begin) * weight.cols()));
  }

  const ModelFile& file_;
  ThreadPool& pool_;
  TensorQuantizer quantizer_;
  Progress& progress_;
};

void write_gguf(const std::filesystem::path& path, const Plan& plan, bool overwrite, WeightStream& stream,
                ConvertedOutput& output) {
  AtomicFile file(path, overwrite);
  GgufWriter writer(file, plan.metadata, gguf_specs(plan));
  output.errors = stream.run(plan, [&](std::span<const std::byte> bytes) { writer.write(bytes); });
  writer.finish();
  ASSAY_CHECK(file.size() == plan.files[0].bytes);
  file.commit();
}

/// Writes the weights and what lies beside them; returns the names of all files.
std::vector<std::string> fill_directory(const std::filesystem::path& folder, const ConversionSource& source,
                                        const Plan& plan, WeightStream& stream, ConvertedOutput& output) {
  if (plan.recipe.encoder && plan.recipe.encoder->npz)
    return write_npz_output(folder, source, plan, stream.pool(), stream.progress(), output.errors);
  DirectoryWeights weights(folder, plan);
  output.errors = stream.run(plan, [&](std::span<const std::byte> bytes) { weights.write(bytes); });
  weights.finish();
  return write_side_files(folder, source, plan);
}

std::vector<std::string> write_directory(const ConversionSource& source, const std::filesystem::path& path,
                                         const Plan& plan, bool overwrite, WeightStream& stream,
                                         ConvertedOutput& output) {
  const Clock::time_point start = Clock::now();
  AtomicDirectory directory(path, overwrite);
  std::vector<std::string> names = fill_directory(directory.staging(), source, plan, stream, output);
  // Not among the names whose hashes the manifest keeps: measurements are added to it later.
  if (source.model().encoder)
    write_conversion_metadata(directory.staging(), source, plan, seconds_since(start));
  for (const PlannedFile& file : plan.files)
    ASSAY_CHECK(std::filesystem::file_size(directory.staging() / file.name) == file.bytes);
  directory.commit();
  return names;
}

ConvertedOutput convert_one(const ConversionSource& source, Plan plan, const std::filesystem::path& folder,
                            const ConvertOptions& options, ThreadPool& pool, Progress& progress) {
  const Clock::time_point start = Clock::now();
  ConvertedOutput output;
  output.path = folder / plan.output_name;
  WeightStream stream(source, pool, progress);
  std::vector<std::string> names{plan.output_name};
  std::filesystem::path base = folder;
  if (plan.recipe.is_gguf()) {
    write_gguf(output.path, plan, options.overwrite, stream, output);
  } else {
    names = write_directory(source, output.path, plan, options.overwrite, stream, output);
    base = output.path;
  }
  output.files = record_files(base, names);
  output.plan = std::move(plan);
  output.seconds = seconds_since(start);
  return output;
}

std::vector<FileRecord> record_source(const ConversionSource& source) {
  std::vector<std::string> names{"config.json"};
  for (const std::filesystem::path& path : source.file()->files()) names.push_back(path.filename().string());
  for (const std::filesystem::path& name : carried_files(source)) names.push_back(name.generic_string());
  return record_files(source.path(), names);
}

}  // namespace

std::vector<ConvertedOutput> convert(const ConversionSource& source, const std::vector<Recipe>& recipes,
                                     const std::filesystem::path& folder, const ConvertOptions& options,
                                     ThreadPool& pool, Progress& progress) {
  check_source(source);
  check_manifest(folder);
  std::vector<Plan> plans;
  uint64_t needed = kSideBytes;
  for (const Recipe& recipe : recipes) {
    plans.push_back(make_plan(source, recipe));
    if (!options.output_name.empty()) {
      ASSAY_CHECK(recipes.size() == 1 && !recipe.is_gguf());
      plans.back().output_name = options.output_name;
    }
    check_target(source, plans.back(), folder, options.overwrite);
    needed += plans.back().file_bytes();
  }
  std::error_code fault;
  const bool made_folder = std::filesystem::create_directories(folder, fault);
  if (fault) throw Error(Fault{"cannot make the folder", folder.string(), {}, fault.message(), {}});
  std::vector<ConvertedOutput> outputs;
  try {
    require_free_space(folder, needed);
    const std::vector<FileRecord> source_files = record_source(source);
    for (Plan& plan : plans) {
      outputs.push_back(convert_one(source, std::move(plan), folder, options, pool, progress));
      merge_manifest(folder, manifest_entry(outputs.back(), source.path(), source_files));
    }
  } catch (...) {
    // An empty folder of our own making says nothing; remove() leaves one with content alone.
    std::error_code ignored;
    if (made_folder) std::filesystem::remove(folder, ignored);
    throw;
  }
  return outputs;
}

}  // namespace assay
