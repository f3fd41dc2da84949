#include "eval/token_price.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include "base/error.hpp"
#include "base/file.hpp"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

double price_member(const YAML::Node& entry, const char* name, const std::string& where) {
  const YAML::Node member = entry[name];
  double price = -1.0;
  if (!member || !member.IsScalar() || !YAML::convert<double>::decode(member, price) || !(price >= 0.0) ||
      price > 1e9)
    throw Error({fmt::format("no price \"{}\"", name), where, "a number from 0 on", {}, {}});
  return price;
}

std::string text_of(const YAML::Node& node, const std::string& otherwise) {
  return node && node.IsScalar() ? node.Scalar() : otherwise;
}

}  // namespace

void TokenUsage::add(const TokenUsage& other) noexcept {
  calls += other.calls;
  input += other.input;
  cached_input += other.cached_input;
  output += other.output;
  reasoning += other.reasoning;
  estimated += other.estimated;
}

TokenUsage usage_of(const Answer& answer, size_t question_bytes) {
  if (!answer.usage_known)
    return {.calls = 1,
            .input = static_cast<int64_t>(question_bytes),
            .output = static_cast<int64_t>(answer.text.size()),
            .estimated = 1};
  return {.calls = 1,
          .input = answer.prompt_tokens,
          .cached_input = answer.cached_tokens,
          .output = answer.answer_tokens,
          .reasoning = answer.reasoning_tokens};
}

double cost_of(const TokenUsage& usage, const TokenPrice& price) noexcept {
  const double cached = static_cast<double>(usage.cached_input);
  const double input = static_cast<double>(usage.input) - cached;
  return (input * price.input + cached * price.cached_input.value_or(price.input) +
          static_cast<double>(usage.output) * price.output) /
         1e6;
}

TokenPrice read_token_price(const std::filesystem::path& path, const std::string& model) {
  const std::string text = read_text_file(path, size_t{1} << 20);
  try {
    const YAML::Node table = YAML::Load(text);
    const YAML::Node entry =
        table.IsMap() && table["models"] && table["models"].IsMap() ? table["models"][model] : YAML::Node();
    if (!entry || !entry.IsMap())
      throw Error({"the price table does not know the model",
                   path.string(),
                   {},
                   model,
                   "models: {NAME: {input: …, output: …}}"});
    const std::string where = fmt::format("{}: {}", path.string(), model);
    TokenPrice price{.input = price_member(entry, "input", where),
                     .output = price_member(entry, "output", where),
                     .currency = text_of(table["currency"], "USD"),
                     .version = text_of(table["version"], "")};
    if (entry["cached_input"]) price.cached_input = price_member(entry, "cached_input", where);
    return price;
  } catch (const YAML::Exception& fault) {
    throw Error(
        {"not a price table", fmt::format("{}:{}", path.string(), fault.mark.line + 1), {}, fault.msg, {}});
  }
}

Json to_json(const TokenUsage& usage) {
  return {{"calls", usage.calls},
          {"input_tokens", usage.input},
          {"cached_input_tokens", usage.cached_input},
          {"output_tokens", usage.output},
          {"reasoning_tokens", usage.reasoning},
          {"calls_estimated_from_bytes", usage.estimated}};
}

Json to_json(const TokenPrice& price) {
  return {{"input_per_million", price.input},
          {"cached_input_per_million", price.cached_input.value_or(price.input)},
          {"output_per_million", price.output},
          {"currency", price.currency},
          {"version", price.version}};
}

}  // namespace assay
