// Corpora from files: plain text, rows with a text, conversations.
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/sha256.hpp"
#include "eval/corpus.hpp"
#include "eval/dataset.hpp"

namespace assay {
namespace {

using Json = nlohmann::json;

[[noreturn]] void refuse(const DatasetRow& row, const std::string& expected, const std::string& found) {
  throw Error({"not a document", row.where, expected, found, {}});
}

/// The one role that templates know of those that transcripts name.
std::string role_of(const std::string& name, const DatasetRow& row) {
  constexpr std::array<std::pair<const char*, const char*>, 9> kRoles = {{{"user", "user"},
                                                                          {"human", "user"},
                                                                          {"assistant", "assistant"},
                                                                          {"gpt", "assistant"},
                                                                          {"chatgpt", "assistant"},
                                                                          {"bard", "assistant"},
                                                                          {"bing", "assistant"},
                                                                          {"system", "system"},
                                                                          {"tool", "tool"}}};
  for (const auto& [given, role] : kRoles)
    if (name == given) return role;
  refuse(row, "a role: user, assistant, system, tool, human or gpt", '"' + name + '"');
}

/// Content is a text, or a list of parts of which the texts count.
std::string content_of(const Json& content, const DatasetRow& row) {
  if (content.is_string()) return content.get<std::string>();
  if (content.is_null()) return {};
  if (!content.is_array()) refuse(row, "content that is a text or a list of parts", content.type_name());
  std::string text;
  for (const Json& part : content)
    if (part.is_object() && part.value("type", "") == "text" && part.contains("text") &&
        part["text"].is_string())
      text += part["text"].get<std::string>();
  return text;
}

std::vector<ChatMessage> messages_of(const Json& list, const DatasetRow& row) {
  std::vector<ChatMessage> messages;
  for (const Json& message : list) {
    if (!message.is_object()) refuse(row, "messages that are objects", message.type_name());
    const char* role = message.contains("role") ? "role" : "from";
    const char* content = message.contains("content") ? "content" : "value";
    if (!message.contains(role) || !message[role].is_string() || !message.contains(content))
      refuse(row, "messages with role and content, or from and value", message.dump().substr(0, 60));
    messages.push_back({role_of(message[role].get<std::string>(), row), content_of(message[content], row)});
  }
  if (messages.empty()) refuse(row, "a conversation", "no message");
  return messages;
}

/// A user's turns. What follows on an answer nobody knows cannot be rendered, so those turns end it.
std::vector<ChatMessage> turns_of(const Json& turns, const DatasetRow& row) {
  const Json none = Json::array(),
             &answers = row.fields.contains("reference") && row.fields["reference"].is_array()
                            ? row.fields["reference"]
                            : none;
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < turns.size(); ++i) {
    if (!turns[i].is_string()) refuse(row, "turns that are texts", turns[i].type_name());
    messages.push_back({"user", turns[i].get<std::string>()});
    if (i >= answers.size() || !answers[i].is_string() || answers[i].get<std::string>().empty()) break;
    messages.push_back({"assistant", answers[i].get<std::string>()});
  }
  if (messages.empty()) refuse(row, "turns", "none");
  return messages;
}

Document document_of(const DatasetRow& row, const std::string& field) {
  std::vector<std::string> names = {"messages", "conversations", "conversation", "turns", "text"};
  if (!field.empty()) names = {field};
  for (const std::string& name : names) {
    const auto member = row.fields.find(name);
    if (member == row.fields.end() || member->is_null()) continue;
    if (member->is_string()) return {.text = member->get<std::string>()};
    if (!member->is_array() || member->empty())
      refuse(row, "a text or a conversation in \"" + name + '"', member->type_name());
    return {.messages = member->front().is_string() ? turns_of(*member, row) : messages_of(*member, row)};
  }
  refuse(row, field.empty() ? "a member messages, conversations, turns or text" : "a member \"" + field + '"',
         "none");
}

bool has_rows(const std::filesystem::path& path) {
  for (const char* extension : {".jsonl", ".ndjson", ".json", ".csv", ".tsv"})
    if (path.extension() == extension) return true;
  return false;
}

}  // namespace

Corpus read_corpus(const std::filesystem::path& path, const std::string& field) {
  const std::string bytes = read_text_file(path);
  Corpus corpus;
  if (has_rows(path)) {
    for (const DatasetRow& row : parse_dataset(bytes, path))
      corpus.documents.push_back(document_of(row, field));
    if (corpus.documents.empty()) throw Error({"no documents", path.string(), "a row", "none", {}});
  } else {
    if (!field.empty())
      throw UsageError(
          {"a plain text has no fields", path.string(), ".jsonl, .json, .csv or .tsv", field, {}});
    corpus = text_corpus(bytes);
  }
  corpus.path = path.string();
  corpus.sha256 = sha256_of_text(bytes);
  return corpus;
}

Corpus render_conversations(Corpus corpus, const LanguageModel& model) {
  for (Document& document : corpus.documents) {
    if (document.messages.empty()) continue;
    const bool opens_turn = document.messages.back().role != "assistant";
    document.text = render_conversation(model, document.messages, std::nullopt, opens_turn);
    document.messages.clear();
    document.with_special_tokens = true;
  }
  return corpus;
}

}  // namespace assay
