#include "eval/guard_store.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.hpp"
#include "base/file.hpp"
#include "io/json_text.hpp"

namespace assay {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;
constexpr std::string_view kMark = "{\"assay_guard_run\":";
constexpr int kVersion = 1;
constexpr size_t kLargestFile = size_t{4} << 30;

Json labels_json(const GuardLabels& labels) {
  Json made = Json::object();
  for (const GuardTask task : kGuardTasks)
    if (labels[task]) made[std::string(guard_task_name(task))] = guard_label_word(task, *labels[task]);
  return made;
}

GuardLabels labels_from(const nlohmann::json& json) {
  GuardLabels labels;
  for (const GuardTask task : kGuardTasks)
    if (const auto found = json.find(guard_task_name(task)); found != json.end())
      labels[task] = guard_label_from_word(found->get<std::string>());
  return labels;
}

/// A line of a store: its number, text and where it begins.
struct Line {
  size_t number;
  size_t begin;
  std::string_view text;
};

/// Every whole line of `bytes` to `visit`; returns the end of the last one. An unfinished line, or a last one
/// that is no JSON (written by a system that lost power), is not visited.
template <typename Visit>
size_t visit_lines(std::string_view bytes, Visit visit) {
  size_t begin = 0;
  for (size_t number = 1; begin < bytes.size(); ++number) {
    const size_t end = bytes.find('\n', begin);
    if (end == std::string_view::npos) break;
    const Line line{number, begin, bytes.substr(begin, end - begin)};
    if (end + 1 == bytes.size() && !nlohmann::json::accept(line.text)) break;
    visit(line);
    begin = end + 1;
  }
  return begin;
}

/// The members whose values differ, each with both: "settings/max_tokens: 512, now 2048".
std::string difference(const Json& before, const Json& now) {
  std::string text;
  const Json a = before.flatten(), b = now.flatten();
  const auto show = [](const Json& of, const std::string& key) {
    return of.contains(key) ? of[key].dump() : std::string("none");
  };
  const auto add = [&](const std::string& key) {
    if (show(a, key) == show(b, key)) return;
    text +=
        fmt::format("{}{}: {}, now {}", text.empty() ? "" : "; ", key.substr(1), show(a, key), show(b, key));
  };
  for (const auto& [key, value] : a.items()) add(key);
  for (const auto& [key, value] : b.items())
    if (!a.contains(key)) add(key);
  return text;
}

Json header_of(const Line& line, const fs::path& path) {
  const Json header = Json::parse(line.text, nullptr, false);
  if (!header.is_object() || !header.contains("assay_guard_run") || !header.contains("run"))
    throw Error({"no file of guard answers",
                 path.string(),
                 "a first line that says which run it is",
                 {},
                 "another kind of file stands there"});
  if (header["assay_guard_run"] != kVersion)
    throw Error({"written by another version",
                 path.string(),
                 std::to_string(kVersion),
                 header["assay_guard_run"].dump(),
                 {}});
  return header["run"];
}

GuardRecord record_of(const Line& line, const fs::path& path) {
  const std::string where = fmt::format("{}:{}", path.string(), line.number);
  return guard_record_from_json(parse_json(line.text, where), where);
}

}  // namespace

Json to_json(const GuardRecord& record) {
  Json json = {{"set", record.set},
               {"id", record.id},
               {"truth", labels_json(record.truth)},
               {"prompt", record.prompt},
               {"prompt_sha256", record.prompt_sha256},
               {"source", record.source},
               {"text", record.text},
               {"finish_reason", record.finish_reason},
               {"prompt_tokens", record.prompt_tokens},
               {"answer_tokens", record.answer_tokens},
               {"seconds", record.seconds},
               {"prefill_seconds", record.prefill_seconds},
               {"decode_seconds", record.decode_seconds},
               {"threads", record.threads},
               {"machine", record.machine}};
  if (!record.error.empty()) json["error"] = record.error;
  if (record.predicted) json["predicted"] = labels_json(*record.predicted);
  if (record.margins) json["margins"] = *record.margins;
  return json;
}

GuardRecord guard_record_from_json(const nlohmann::json& json, const std::string& where) {
  try {
    GuardRecord record{.set = json.at("set"),
                       .id = json.at("id"),
                       .prompt = json.at("prompt"),
                       .prompt_sha256 = json.at("prompt_sha256")};
    record.source = json.value("source", "");
    record.truth = labels_from(json.at("truth"));
    record.text = json.at("text");
    record.finish_reason = json.at("finish_reason");
    record.error = json.value("error", "");
    record.prompt_tokens = json.at("prompt_tokens");
    record.answer_tokens = json.at("answer_tokens");
    record.seconds = json.at("seconds");
    record.prefill_seconds = json.at("prefill_seconds");
    record.decode_seconds = json.at("decode_seconds");
    record.threads = json.value("threads", 0);
    record.machine = json.value("machine", "");
    if (json.contains("predicted")) record.predicted = labels_from(json["predicted"]);
    if (json.contains("margins")) record.margins = json["margins"].get<std::array<double, 3>>();
    return record;
  } catch (const nlohmann::json::exception& fault) {
    throw Error({"no stored answer", where, "a row that eval guard wrote", fault.what(), {}});
  }
}

GuardStore::GuardStore(const fs::path& path, Json identity) : path_(path), identity_(std::move(identity)) {
  std::error_code error;
  if (!path.parent_path().empty()) fs::create_directories(path.parent_path(), error);
  descriptor_ = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor_ < 0) throw Error({"cannot be opened", path.string(), {}, errno_text(), {}});
  try {
    if (flock(descriptor_, LOCK_EX | LOCK_NB) != 0)
      throw Error({"is in use", path.string(), {}, {}, "another eval guard writes there"});
    read_existing();
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

GuardStore::~GuardStore() {
  close(descriptor_);
}

void GuardStore::read_existing() {
  const std::string bytes = read_text_file(path_, kLargestFile);
  bool begun = false;
  const size_t whole = visit_lines(bytes, [&](const Line& line) {
    if (line.number == 1) {
      const std::string changed = difference(header_of(line, path_), identity_);
      if (!changed.empty())
        throw Error({"holds another run", path_.string(), "the same model and settings", changed,
                     "choose another folder with -o"});
      begun = true;
      return;
    }
    GuardRecord record = record_of(line, path_);
    Key key{record.set, record.id, record.prompt_sha256};
    records_.insert_or_assign(std::move(key), std::move(record));
  });
  // Nothing of what stands there may be lost that a run did not write.
  if (!begun && !bytes.empty() && !std::string_view(bytes).starts_with(kMark.substr(0, bytes.size())))
    throw Error({"no file of guard answers", path_.string(), {}, {}, "another kind of file stands there"});
  if (ftruncate(descriptor_, static_cast<off_t>(whole)) != 0)
    throw Error({"cannot be cut", path_.string(), {}, errno_text(), {}});
  if (!begun) write_line({{"assay_guard_run", kVersion}, {"run", identity_}});
}

void GuardStore::write_line(const Json& line) {
  const std::string text = line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (size_t done = 0; done < text.size();) {
    const ssize_t written = write(descriptor_, text.data() + done, text.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw Error({"cannot write", path_.string(), {}, errno_text(), {}});
    done += static_cast<size_t>(written);
  }
  if (fdatasync(descriptor_) != 0)
    throw Error({"cannot flush to disk", path_.string(), {}, errno_text(), {}});
}

const GuardRecord* GuardStore::find(const std::string& set, const std::string& id,
                                    const std::string& prompt_sha256) const {
  const auto found = records_.find({set, id, prompt_sha256});
  return found == records_.end() || !found->second.error.empty() ? nullptr : &found->second;
}

const GuardRecord& GuardStore::append(GuardRecord record) {
  write_line(to_json(record));
  Key key{record.set, record.id, record.prompt_sha256};
  return records_.insert_or_assign(std::move(key), std::move(record)).first->second;
}

std::vector<GuardRecord> read_guard_records(const fs::path& path, Json* identity) {
  const std::string bytes = read_text_file(path, kLargestFile);
  std::vector<GuardRecord> records;
  std::map<std::pair<std::string, std::string>, size_t> places;
  visit_lines(bytes, [&](const Line& line) {
    if (line.number == 1) {
      const Json run = header_of(line, path);
      if (identity != nullptr) *identity = run;
      return;
    }
    GuardRecord record = record_of(line, path);
    const auto [place, fresh] = places.try_emplace({record.set, record.id}, records.size());
    if (fresh)
      records.push_back(std::move(record));
    else
      records[place->second] = std::move(record);
  });
  return records;
}

bool is_guard_store(std::string_view bytes) noexcept {
  return bytes.starts_with(kMark);
}

}  // namespace assay
