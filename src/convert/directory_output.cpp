#include "convert/directory_output.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "convert/assay_output.hpp"
#include "convert/mlx_output.hpp"
#include "models/sentence_modules.hpp"

namespace assay {
namespace {

/// Copied without a change when the source has them.
constexpr std::string_view kCopied[] = {"generation_config.json",
                                        "tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "vocab.txt",
                                        "tokenizer.model",
                                        "sentencepiece.bpe.model",
                                        "spiece.model",
                                        "chat_template.jinja",
                                        "chat_template.json",
                                        "LICENSE",
                                        "LICENSE.txt",
                                        "NOTICE",
                                        "USE_POLICY.md"};

void write_text(const std::filesystem::path& path, std::string_view text) {
  AtomicFile file(path, false);
  file.write(text);
  file.commit();
}

std::string dump_python_style(const nlohmann::json& value) {
  return value.dump(4, ' ', true, nlohmann::json::error_handler_t::replace);
}

nlohmann::json index_json(const Plan& plan) {
  nlohmann::json map = nlohmann::json::object();
  for (const PlannedFile& file : plan.files)
    for (const TensorSpec& spec : file.specs) map[spec.name] = file.name;
  return {{"metadata", {{"total_size", plan.weight_bytes}, {"total_parameters", plan.parameters}}},
          {"weight_map", std::move(map)}};
}

}  // namespace

void DirectoryWeights::open_next() {
  if (writer_ != nullptr) {
    writer_->finish();
    writer_.reset();
    file_->commit();
    file_.reset();
  }
  if (next_file_ == plan_.files.size()) return;
  const PlannedFile& planned = plan_.files[next_file_++];
  file_ = std::make_unique<AtomicFile>(folder_ / planned.name, false);
  writer_ = std::make_unique<SafetensorsWriter>(*file_, planned.specs, directory_metadata(plan_));
  left_ = planned.bytes - file_->size();
}

void DirectoryWeights::write(std::span<const std::byte> bytes) {
  if (bytes.empty()) return;
  if (left_ == 0) open_next();
  ASSAY_CHECK(writer_ != nullptr && bytes.size() <= left_);
  writer_->write(bytes);
  left_ -= bytes.size();
}

void DirectoryWeights::finish() {
  ASSAY_CHECK(left_ == 0 && next_file_ == plan_.files.size());
  open_next();
}

std::vector<std::filesystem::path> carried_files(const ConversionSource& source) {
  std::vector<std::filesystem::path> files;
  for (const std::string_view name : kCopied)
    if (std::filesystem::is_regular_file(source.path() / name)) files.emplace_back(name);
  if (!source.model().encoder) return files;
  for (const std::filesystem::path& name : SentenceModules::side_files(source.path()))
    if (std::find(files.begin(), files.end(), name) == files.end()) files.push_back(name);
  return files;
}

std::vector<std::string> copy_carried_files(const std::filesystem::path& folder,
                                            const ConversionSource& source) {
  std::vector<std::string> names;
  for (const std::filesystem::path& name : carried_files(source)) {
    const MappedFile original(source.path() / name);
    AtomicFile copy(folder / name, false);
    copy.write(original.bytes());
    copy.commit();
    names.push_back(name.generic_string());
  }
  return names;
}

std::vector<std::string> write_side_files(const std::filesystem::path& folder, const ConversionSource& source,
                                          const Plan& plan) {
  std::vector<std::string> names;
  for (const PlannedFile& file : plan.files) names.push_back(file.name);
  const auto write = [&](const char* name, const std::string& text) {
    write_text(folder / name, text);
    names.emplace_back(name);
  };
  const bool own = plan.recipe.encoder.has_value();
  write("config.json", dump_python_style(own ? assay_config(source, plan) : mlx_config(source, plan)));
  if (!own || plan.files.size() > 1)
    write("model.safetensors.index.json", dump_python_style(index_json(plan)));
  write("README.md", own ? assay_model_card(source, plan) : mlx_model_card(source, plan));
  const std::vector<std::string> copied = copy_carried_files(folder, source);
  names.insert(names.end(), copied.begin(), copied.end());
  return names;
}

}  // namespace assay
