#include "convert/batch_run.hpp"

#include <fmt/format.h>

#include <cstdlib>

#include "base/error.hpp"
#include "base/file.hpp"
#include "convert/conversion_metadata.hpp"
#include "convert/convert.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace fs = std::filesystem;
namespace {

/// One scale a row. npz's one scale a matrix takes as many bytes and strays much further (note_npz_scales).
constexpr const char* kEightBitRecipe = "int8";

uint64_t weight_file_bytes(const fs::path& folder) {
  uint64_t total = 0;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".npz" || entry.path().extension() == ".safetensors")
      total += entry.file_size();
  return total;
}

std::string read_first_line(const fs::path& path) {
  const std::string text = read_text_file(path, 4096);
  return text.substr(0, text.find_first_of("\r\n"));
}

/// Where huggingface_hub keeps what it downloads. Source: huggingface_hub constants.py.
fs::path hub_cache() {
  if (const char* cache = std::getenv("HF_HUB_CACHE")) return cache;
  if (const char* home = std::getenv("HF_HOME")) return fs::path(home) / "hub";
  const char* home = std::getenv("HOME");
  return home == nullptr ? fs::path() : fs::path(home) / ".cache/huggingface/hub";
}

/// models--ORG--NAME/snapshots/COMMIT, the commit that refs/main names. Source: huggingface_hub
/// file_download.py.
fs::path cached_snapshot(const std::string& hf_name) {
  std::string folder = "models--" + hf_name;
  for (size_t at = folder.find('/'); at != std::string::npos; at = folder.find('/', at))
    folder.replace(at, 1, "--");
  const fs::path root = hub_cache() / folder;
  if (!fs::is_regular_file(root / "refs/main")) return root / "snapshots";
  return root / "snapshots" / read_first_line(root / "refs/main");
}

class BatchEntry {
 public:
  BatchEntry(const BatchConfig& config, const BatchModel& model, const BatchRunOptions& options,
             ThreadPool& pool, Progress& progress)
      : config_(config),
        options_(options),
        pool_(pool),
        progress_(progress),
        recipe_(batch_recipe(model, options)) {
    outcome_.model = model;
    if (options.bits != 0) outcome_.model.bits = options.bits;
    outcome_.recipe = recipe_.name;
    outcome_.output = options.output / fmt::format("{}-mlx-q{}-v2", model.name, outcome_.model.bits);
  }

  BatchOutcome run() {
    try {
      outcome_.checkpoint =
          find_checkpoint(outcome_.model.hf_name, options_.checkpoints, config_.path.parent_path());
      make_output();
      check_target();
      check_accuracy();
    } catch (const Error& error) {
      outcome_.status = BatchStatus::kFailed;
      outcome_.error = error.what();
    }
    return std::move(outcome_);
  }

 private:
  void make_output() {
    if (options_.dry_run) return plan();
    if (options_.skip && is_complete_output(outcome_.output, recipe_.name)) {
      outcome_.status = BatchStatus::kSkipped;
    } else {
      if (options_.skip && fs::exists(outcome_.output))
        throw Error(Fault{"the output exists, but is not complete or of another recipe",
                          outcome_.output.string(),
                          recipe_.name,
                          {},
                          "--no-skip replaces it"});
      convert_now();
    }
    outcome_.weights_mb = to_mib(weight_file_bytes(outcome_.output));
  }

  void plan() {
    const Plan plan = make_plan(ConversionSource::open(outcome_.checkpoint), recipe_);
    outcome_.status = BatchStatus::kPlanned;
    outcome_.weights_mb = to_mib(plan.file_bytes());
    outcome_.notes = plan.notes;
  }

  void convert_now() {
    const ConversionSource source = ConversionSource::open(outcome_.checkpoint);
    ConvertOptions options;
    options.overwrite = !options_.skip;
    options.output_name = outcome_.output.filename().string();
    const auto outputs = convert(source, {recipe_}, options_.output, options, pool_, progress_);
    outcome_.notes = outputs[0].plan.notes;
    outcome_.status = BatchStatus::kConverted;
    set_conversion_target(outcome_.output, outcome_.model.name, outcome_.model.hf_name,
                          outcome_.model.target_size_mb);
  }

  void check_target() {
    const std::optional<double> target = outcome_.model.target_size_mb;
    if (!target || outcome_.weights_mb <= *target) return;
    const bool floats = recipe_.encoder && recipe_.encoder->embeddings.kind != WeightKind::kInt8 &&
                        recipe_.encoder->embeddings.kind != WeightKind::kInt4;
    std::string remedy;
    if (floats)
      remedy = "; --embeddings int8 makes the float tables four times smaller";
    else if (outcome_.model.bits == 8)
      remedy = "; 4 bits are smaller";
    outcome_.missed.push_back(fmt::format("weights take {:.2f} MiB on disk, {:.2f}x the target of {:g}{}",
                                          outcome_.weights_mb, outcome_.weights_mb / *target, *target,
                                          remedy));
  }

  void check_accuracy() {
    const std::optional<double> limit = outcome_.model.max_accuracy_drop;
    if (!limit || outcome_.status == BatchStatus::kPlanned) return;
    if (!options_.measure_accuracy) {
      outcome_.notes.push_back(fmt::format(
          "max_accuracy_drop {:g} was not checked: --evaluate FILE gives the labelled texts", *limit));
      return;
    }
    outcome_.accuracy = options_.measure_accuracy(outcome_.checkpoint, outcome_.output);
    const AccuracyChange& change = *outcome_.accuracy;
    append_measurements(outcome_.output / kConversionMetadataName, {{"accuracy_reference", change.reference},
                                                                    {"accuracy", change.candidate},
                                                                    {"accuracy_drop", change.drop()},
                                                                    {"max_accuracy_drop", *limit},
                                                                    {"texts", change.texts}});
    if (change.drop() > *limit)
      outcome_.missed.push_back(
          fmt::format("accuracy falls by {:.4f} from {:.4f} to {:.4f} over {} texts, more than {:g}{}",
                      change.drop(), change.reference, change.candidate, change.texts, *limit,
                      outcome_.model.bits == 4 ? "; try 8 bits (--bits 8)" : ""));
  }

  const BatchConfig& config_;
  const BatchRunOptions& options_;
  ThreadPool& pool_;
  Progress& progress_;
  const Recipe recipe_;
  BatchOutcome outcome_;
};

}  // namespace

std::string_view status_name(BatchStatus status) noexcept {
  switch (status) {
    case BatchStatus::kConverted:
      return "converted";
    case BatchStatus::kSkipped:
      return "skipped";
    case BatchStatus::kPlanned:
      return "planned";
    case BatchStatus::kFailed:
      break;
  }
  return "failed";
}

Recipe batch_recipe(const BatchModel& model, const BatchRunOptions& options) {
  const int bits = options.bits != 0 ? options.bits : model.bits;
  const std::string name = !options.recipe.empty()  ? options.recipe
                           : bits == 8              ? kEightBitRecipe
                           : model.group_size == 32 ? "int4-g32"
                                                    : "int4";
  const Recipe recipe = parse_recipe(name);
  if (!recipe.encoder)
    throw UsageError(Fault{"a batch converts encoders", {}, "npz:int8, int8 or int4", name, {}});
  return with_encoder_options(recipe, options.embeddings, options.head);
}

fs::path find_checkpoint(const std::string& hf_name, const fs::path& checkpoints,
                         const fs::path& config_folder) {
  std::vector<fs::path> places;
  const fs::path short_name = fs::path(hf_name).filename();
  if (!checkpoints.empty()) places = {checkpoints / hf_name, checkpoints / short_name};
  places.push_back(expand_path(hf_name));
  places.push_back(config_folder / hf_name);
  places.push_back(config_folder / short_name);
  places.push_back(cached_snapshot(hf_name));
  std::string looked;
  for (const fs::path& place : places) {
    if (fs::is_regular_file(place / "config.json")) return place;
    looked += (looked.empty() ? "" : ", ") + place.string();
  }
  throw Error(Fault{"the checkpoint is not on this machine",
                    hf_name,
                    {},
                    "no config.json in " + looked,
                    "download it, and give its parent folder before --config"});
}

bool is_complete_output(const fs::path& output, const std::string& recipe) {
  if (!fs::is_directory(output)) return false;
  const std::optional<SizeClaims> claims = read_size_claims(output);
  if (!claims || !claims->actual_mb) return false;
  const uint64_t bytes = weight_file_bytes(output);
  if (bytes == 0) return false;
  const bool foreign = claims->recipe.empty() && !claims->on_disk_bytes;
  return foreign || (claims->recipe == recipe && claims->on_disk_bytes == bytes);
}

std::vector<BatchOutcome> run_batch(const BatchConfig& config, const BatchRunOptions& options,
                                    ThreadPool& pool, Progress& progress) {
  std::vector<const BatchModel*> models;
  if (options.model.empty())
    for (const BatchModel& model : config.models) models.push_back(&model);
  else
    models.push_back(&find_batch_model(config, options.model));
  for (const BatchModel* model : models) batch_recipe(*model, options);  // a wrong word fails before the work
  std::vector<BatchOutcome> outcomes;
  for (const BatchModel* model : models)
    outcomes.push_back(BatchEntry(config, *model, options, pool, progress).run());
  return outcomes;
}

nlohmann::ordered_json outcome_json(const BatchOutcome& outcome) {
  nlohmann::ordered_json json = {{"name", outcome.model.name},
                                 {"hf_name", outcome.model.hf_name},
                                 {"success", outcome.ok()},
                                 {"status", status_name(outcome.status)},
                                 {"skipped", outcome.status == BatchStatus::kSkipped},
                                 {"recipe", outcome.recipe},
                                 {"output_path", outcome.output.string()}};
  if (outcome.status == BatchStatus::kFailed) {
    json["error"] = outcome.error;
    return json;
  }
  json["weights_mb"] = outcome.weights_mb;
  if (const auto target = outcome.model.target_size_mb) {
    json["target_size_mb"] = *target;
    json["target_met"] = outcome.weights_mb <= *target;
  }
  if (outcome.accuracy)
    json["accuracy"] = {{"reference", outcome.accuracy->reference},
                        {"candidate", outcome.accuracy->candidate},
                        {"drop", outcome.accuracy->drop()},
                        {"texts", outcome.accuracy->texts}};
  json["missed"] = outcome.missed;
  json["notes"] = outcome.notes;
  if (outcome.status != BatchStatus::kPlanned)
    json["metadata"] = read_json_file(outcome.output / kConversionMetadataName);
  return json;
}

}  // namespace assay
