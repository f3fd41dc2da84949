#include "text/chat_template.hpp"

#include "base/error.hpp"
#include "base/file.hpp"
#include "text/jinja_template.hpp"

namespace assay {
namespace {

constexpr const char* kGgufKey = "tokenizer.chat_template";
/// Templates are a few kilobytes; a tokenizer_config.json with many added tokens a few megabytes.
constexpr size_t kMaxFileBytes = size_t{64} << 20;

[[noreturn]] void rethrow(const jinja::Failure& failure) {
  Fault fault;
  fault.what = failure.message;
  fault.where = "chat template";
  if (failure.line > 0 && !failure.raised) fault.where += " line " + std::to_string(failure.line);
  throw Error(std::move(fault));
}

nlohmann::ordered_json read_json(const std::filesystem::path& path) {
  try {
    return nlohmann::ordered_json::parse(read_text_file(path, kMaxFileBytes));
  } catch (const nlohmann::json::exception& error) {
    throw Error(Fault{"not valid JSON", path.string(), {}, error.what(), "incomplete download?"});
  }
}

/// The template among several named ones: "default", or the only one.
std::string choose_named(const nlohmann::ordered_json& list, const std::string& where) {
  std::string names;
  for (const auto& entry : list) {
    if (!entry.is_object() || !entry.contains("name") || !entry.contains("template") ||
        !entry["name"].is_string() || !entry["template"].is_string()) {
      throw Error(Fault{"chat_template is malformed", where, "a list of {name, template}", entry.dump(), {}});
    }
    if (list.size() == 1 || entry["name"] == "default") return entry["template"].get<std::string>();
    names += (names.empty() ? "" : ", ") + entry["name"].get<std::string>();
  }
  throw Error(Fault{"no chat template is the default one", where, "a template named \"default\"", names, {}});
}

std::optional<std::string> find_in_json(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) return std::nullopt;
  const nlohmann::ordered_json json = read_json(path);
  if (!json.is_object()) throw Error(Fault{"not a JSON object", path.string(), {}, {}, {}});
  const auto at = json.find("chat_template");
  if (at == json.end() || at->is_null()) return std::nullopt;
  if (at->is_string()) return at->get<std::string>();
  if (at->is_array() && at->empty()) return std::nullopt;
  if (at->is_array()) return choose_named(*at, path.string());
  throw Error(Fault{"chat_template is malformed", path.string(), "a text or a list", at->type_name(), {}});
}

}  // namespace

struct ChatTemplate::Compiled {
  explicit Compiled(std::string text) : source(std::move(text)), body(source) {}
  std::string source;
  jinja::Template body;
};

ChatTemplate::ChatTemplate(std::string source) {
  try {
    compiled_ = std::make_unique<const Compiled>(std::move(source));
  } catch (const jinja::Failure& failure) {
    rethrow(failure);
  }
}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;

std::optional<std::string> ChatTemplate::find_source(const std::filesystem::path& directory) {
  const std::filesystem::path plain = directory / "chat_template.jinja";
  if (std::filesystem::exists(plain)) return read_text_file(plain, kMaxFileBytes);
  if (auto source = find_in_json(directory / "chat_template.json")) return source;
  return find_in_json(directory / "tokenizer_config.json");
}

std::optional<ChatTemplate> ChatTemplate::from_directory(const std::filesystem::path& directory) {
  auto source = find_source(directory);
  if (!source) return std::nullopt;
  return ChatTemplate(std::move(*source));
}

std::optional<ChatTemplate> ChatTemplate::from_gguf(const GgufMetadata& metadata) {
  if (metadata.find(kGgufKey) == nullptr) return std::nullopt;
  return ChatTemplate(metadata.string(kGgufKey));
}

std::string ChatTemplate::render(const nlohmann::ordered_json& values) const {
  try {
    return compiled_->body.render(values);
  } catch (const jinja::Failure& failure) {
    rethrow(failure);
  }
}

const std::string& ChatTemplate::source() const noexcept {
  return compiled_->source;
}

}  // namespace assay
