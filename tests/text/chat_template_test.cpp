#include "text/chat_template.hpp"

#include <fstream>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/sha256.hpp"
#include "support/test_data.hpp"

// Every expected output here was made by Jinja2 (tests/golden/templates/compare_with_jinja2.py).
namespace assay {
namespace {

using Json = nlohmann::ordered_json;

/// 2025-07-26 12:00:00 UTC, as in compare_with_jinja2.py; noon, so that the date is the same in most zones.
constexpr int64_t kNow = 1753531200;

Json read_json(const std::filesystem::path& path) {
  return Json::parse(read_text_file(path));
}
Json golden(const std::string& name) {
  return read_json(test::source_file("tests/golden/templates/" + name));
}

/// The text, or nothing where the template throws Error.
std::optional<std::string> try_render(const ChatTemplate& compiled, Json values) {
  values["__now"] = kNow;
  try {
    return compiled.render(values);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<std::string> try_render(const std::string& source, const Json& values) {
  try {
    return try_render(ChatTemplate(source), values);
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::optional<std::string> expected_of(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional<std::string>(value.get<std::string>());
}

void write_file(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path) << text;
}

std::string error_of(const std::string& source, const Json& values = Json::object()) {
  try {
    ChatTemplate(source).render(values);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(ChatTemplate, OwnTemplatesEqualJinja2) {
  const Json cases = golden("cases.json");
  ASSERT_GT(cases.size(), 100u);
  for (const auto& each : cases) {
    const std::string name = each["template"];
    const auto text =
        try_render(read_text_file(test::source_file("tests/golden/templates/" + name)), each["values"]);
    ASSERT_EQ(text, expected_of(each["expected"])) << name << "\n" << each["values"].dump();
  }
}

TEST(ChatTemplate, ExpressionsEqualJinja2) {
  const Json values = golden("values.json");
  for (const auto& row : golden("expressions.json")) {
    EXPECT_EQ(try_render(row[0].get<std::string>(), values), expected_of(row[1])) << row[0];
  }
}

/// The cases leave out the special tokens they were made with.
std::string bos_of(const std::string& name) {
  if (name == "llama3") return "<|begin_of_text|>";
  if (name == "gemma") return "<bos>";
  if (name == "deepseek") return "<｜begin▁of▁sentence｜>";
  return "<s>";
}

std::string eos_of(const std::string& name) {
  if (name == "phi3" || name == "phi4mini") return "<|endoftext|>";
  if (name == "deepseek") return "<｜end▁of▁sentence｜>";
  return "</s>";
}

TEST(ChatTemplate, PublishedCases) {
  ASSAY_NEED_DATA(path, "golden-arch/neural-api/chat_template_cases.json");
  int checked = 0;
  const Json document = read_json(path);
  for (const auto& [name, entry] : document.items()) {
    const std::string file = name + "_chat_template.jinja";
    const std::string source = entry.contains("template") ? entry["template"].get<std::string>()
                                                          : read_text_file(path.parent_path() / file);
    const ChatTemplate compiled(source);
    for (const auto& each : entry["cases"]) {
      Json values = each;
      if (!values.contains("bos_token")) values["bos_token"] = bos_of(name);
      if (!values.contains("eos_token")) values["eos_token"] = eos_of(name);
      if (values.value("reasoning_effort", "") == "off") {
        // What the cases call "off" reaches these templates as this switch.
        values.erase("reasoning_effort");
        values["enable_thinking"] = false;
      }
      const bool raises = each.contains("raises") && each["raises"].get<bool>();
      const auto text = try_render(compiled, values);
      EXPECT_EQ(text.has_value(), !raises) << name << " " << each.dump();
      if (!raises) {
        EXPECT_EQ(text.value_or(""), each["expected"].get<std::string>()) << name;
      }
      ++checked;
    }
  }
  EXPECT_GT(checked, 90);
}

/// The digest compare_with_jinja2.py makes of a list of outputs.
std::string digest(const std::vector<std::optional<std::string>>& outputs) {
  Sha256 sha;
  size_t size = 0;
  for (const auto& text : outputs) {
    const std::string piece = text ? "T" + std::to_string(text->size()) + "\n" + *text : "E\n";
    size += text ? text->size() : 0;
    sha.update(std::as_bytes(std::span(piece.data(), piece.size())));
  }
  return sha.hex().substr(0, 24) + ":" + std::to_string(size);
}

std::string source_of(const std::string& name) {
  const size_t mark = name.find('#');
  const std::filesystem::path path = test::data_folder() / name.substr(0, mark);
  if (mark != std::string::npos) return read_json(path)[name.substr(mark + 1)]["template"];
  if (path.extension() == ".json") return read_json(path)["chat_template"];
  return read_text_file(path);
}

std::vector<std::optional<std::string>> render_options(const ChatTemplate& compiled, const Json& chat,
                                                       const Json& options) {
  std::vector<std::optional<std::string>> outputs;
  for (const auto& option : options) {
    for (const bool prompt : {false, true}) {
      Json values = {{"messages", chat}, {"add_generation_prompt", prompt}};
      values.update(option);
      outputs.push_back(try_render(compiled, values));
    }
  }
  return outputs;
}

TEST(ChatTemplate, TemplatesByOthersEqualJinja2) {
  ASSAY_NEED_DATA(folder, "templates");
  const Json matrix = golden("conversations.json");
  const Json known = golden("third_party.json");
  for (const auto& [name, entry] : known.items()) {
    const std::string source = source_of(name);
    ASSERT_EQ(sha256_of(std::as_bytes(std::span(source.data(), source.size()))), entry["sha256"]) << name;
    const ChatTemplate compiled(source);
    ASSERT_EQ(entry["outputs"].size(), matrix["chats"].size());
    for (size_t i = 0; i < matrix["chats"].size(); ++i) {
      const auto outputs = render_options(compiled, matrix["chats"][i], matrix["options"]);
      EXPECT_EQ(digest(outputs), entry["outputs"][i]) << name << " chat " << i;
    }
  }
}

TEST(ChatTemplate, DigestNoticesAChangedOutput) {
  EXPECT_NE(digest({"a", std::nullopt}), digest({"a", ""}));
  EXPECT_NE(digest({"ab", "c"}), digest({"a", "bc"}));
}

TEST(ChatTemplate, ErrorsNameTheLine) {
  EXPECT_EQ(error_of("a\n{{ 1 + }}"),
            "chat template line 2: expected an expression, got end of print statement");
  EXPECT_EQ(error_of("\n\n{{ x.y }}"), "chat template line 3: 'x' is undefined");
  EXPECT_EQ(error_of("{% if x %}"),
            "chat template line 1: unexpected end of template, 'elif' or 'else' or 'endif' is missing");
  EXPECT_EQ(error_of("{{ x|nope }}"), "chat template line 1: No filter named 'nope'.");
  EXPECT_EQ(error_of("{% macro m(a) %}\n{{ a + 1 }}{% endmacro %}\n\n{{ m('x') }}"),
            "chat template line 2: can only concatenate str (not \"int\") to str");
}

TEST(ChatTemplate, RaiseExceptionIsAnErrorWithItsMessage) {
  try {
    ChatTemplate("\n{{ raise_exception('roles must alternate') }}").render(Json::object());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.fault().what, "roles must alternate");
    EXPECT_EQ(error.fault().where, "chat template");
  }
}

TEST(ChatTemplate, TimeComesFromTheValues) {
  const ChatTemplate compiled("{{ strftime_now('%d %b %Y') }}{{ __now }}");
  EXPECT_EQ(compiled.render({{"__now", kNow}}), "26 Jul 2025");
  EXPECT_THROW(compiled.render({{"__now", "today"}}), Error);
}

TEST(ChatTemplate, FindsTheTemplateOfADirectory) {
  const test::TemporaryFolder folder;
  EXPECT_EQ(ChatTemplate::find_source(folder.path()), std::nullopt);
  EXPECT_FALSE(ChatTemplate::from_directory(folder.path()).has_value());
  write_file(folder / "tokenizer_config.json", R"({"chat_template": "from config"})");
  EXPECT_EQ(ChatTemplate::find_source(folder.path()), "from config");
  write_file(folder / "chat_template.json", R"({"chat_template": "from json"})");
  EXPECT_EQ(ChatTemplate::find_source(folder.path()), "from json");
  write_file(folder / "chat_template.jinja", "from jinja {{ x }}");
  EXPECT_EQ(ChatTemplate::find_source(folder.path()), "from jinja {{ x }}");
  EXPECT_EQ(ChatTemplate::from_directory(folder.path())->render({{"x", 1}}), "from jinja 1");
}

TEST(ChatTemplate, ChoosesTheDefaultOfSeveral) {
  const test::TemporaryFolder folder;
  const auto config = folder / "tokenizer_config.json";
  write_file(
      config,
      R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})");
  EXPECT_EQ(ChatTemplate::find_source(folder.path()), "d");
  write_file(config,
             R"({"chat_template": [{"name": "a", "template": "t"}, {"name": "b", "template": "d"}]})");
  EXPECT_THROW(ChatTemplate::find_source(folder.path()), Error);
  write_file(config, R"({"chat_template": [{"name": "a"}]})");
  EXPECT_THROW(ChatTemplate::find_source(folder.path()), Error);
  write_file(config, R"({"chat_template": 5})");
  EXPECT_THROW(ChatTemplate::find_source(folder.path()), Error);
  write_file(config, "{\"chat_template\": ");
  EXPECT_THROW(ChatTemplate::find_source(folder.path()), Error);
  write_file(config, R"({"chat_template": null})");
  EXPECT_EQ(ChatTemplate::find_source(folder.path()), std::nullopt);
}

TEST(ChatTemplate, ReadsGgufMetadata) {
  GgufMetadata metadata;
  EXPECT_FALSE(ChatTemplate::from_gguf(metadata).has_value());
  metadata.set("tokenizer.chat_template", GgufValue::string("{{ 1 + 1 }}"));
  EXPECT_EQ(ChatTemplate::from_gguf(metadata)->render(Json::object()), "2");
}

}  // namespace
}  // namespace assay
