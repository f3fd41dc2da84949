#include "cli/legacy_files.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "base/error.hpp"
#include "cli/options.hpp"
#include "convert/inspect.hpp"
#include "eval/endpoint.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// What the old files called quantization_config, from what the file itself declares.
LegacySubject legacy_facts(const std::string& address, bool baseline, const std::string& now) {
  LegacySubject facts{.path = address,
                      .format = baseline ? "baseline" : "endpoint",
                      .config = Json::object(),
                      .timestamp = now};
  if (parse_endpoint_address(address)) return facts;
  const Inspection found = inspect_path(expand_path(address));
  if (!baseline) facts.format = found.container == "huggingface" ? "safetensors" : found.container;
  const auto declared = [&](const char* name) {
    return found.declared.is_object() && found.declared.contains(name) ? Json(found.declared[name]) : Json();
  };
  if (found.container == "gguf")
    facts.config = {{"precision", declared("file_type")}};
  else if (declared("bits").is_null())
    facts.config = {{"precision", found.formats().empty() ? "" : found.formats().begin()->first}};
  else
    facts.config = {{"quantization", fmt::format("{}bit", declared("bits").dump())},
                    {"bits", declared("bits")},
                    {"mixed_precision", found.formats().size() > 2}};
  return facts;
}

std::string utc_now() {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
}

}  // namespace

ReservedFiles::ReservedFiles(std::filesystem::path folder, bool overwrite)
    : folder_(std::move(folder)), overwrite_(overwrite) {
  std::filesystem::create_directories(folder_);
}

void ReservedFiles::reserve(const std::string& name) {
  files_[name] = std::make_unique<AtomicFile>(folder_ / name, overwrite_);
}

void ReservedFiles::write(const std::string& name, const Json& document) {
  const auto found = files_.find(name);
  ASSAY_CHECK(found != files_.end());
  found->second->write(json_text(document));
  found->second->commit();
  files_.erase(found);
}

LegacyEvaluations::LegacyEvaluations(std::filesystem::path folder, bool overwrite,
                                     const std::vector<Address>& subjects)
    : files_(std::move(folder), overwrite) {
  const std::string now = utc_now();
  std::map<std::string, int> seen;
  for (const Address& subject : subjects) {
    Entry entry{{}, legacy_facts(subject.path, subject.is_reference, now)};
    const std::string& format = entry.facts.format;
    const std::string more = seen[format]++ == 0 ? "" : "-" + file_name_of(subject.label);
    entry.name = fmt::format("evaluation_{}{}.json", format, more);
    files_.reserve(entry.name);
    entries_.push_back(std::move(entry));
  }
}

void LegacyEvaluations::write(const JudgeTask& task, const JudgeTaskResult& result,
                              const std::string& judge_model) {
  size_t next = 0;
  const auto write = [&](const JudgedSubject& subject) {
    const Entry& entry = entries_.at(next++);
    files_.write(entry.name, legacy_evaluation(subject, task, judge_model, entry.facts));
  };
  if (result.reference) write(*result.reference);
  for (const JudgedSubject& candidate : result.candidates) write(candidate);
}

std::string file_name_of(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '/' || c == ':' || c == '#'; }, '_');
  return text;
}

}  // namespace assay
