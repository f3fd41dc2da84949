#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "eval/respondent.hpp"

namespace assay {

/// What calls of a model used, as its server reports.
struct TokenUsage {
  int64_t calls = 0;
  int64_t input = 0, cached_input = 0;  ///< cached_input is part of input
  int64_t output = 0, reasoning = 0;    ///< reasoning is part of output
  int64_t estimated = 0;  ///< calls whose server counts nothing: taken as a token a byte, an upper bound

  void add(const TokenUsage& other) noexcept;
};

/// Usage of one call. Where the server counts nothing, bytes stand for tokens.
TokenUsage usage_of(const Answer& answer, size_t question_bytes);

/// What a million tokens cost.
struct TokenPrice {
  double input = 0.0, output = 0.0;
  std::optional<double> cached_input{};  ///< as input where not given
  std::string currency = "USD";
  std::string version{};  ///< of the table; empty where nobody says
};

double cost_of(const TokenUsage& usage, const TokenPrice& price) noexcept;

/// The price of `model` in a YAML or JSON table: {version, currency, models: {NAME: {input, cached_input,
/// output}}}, per million tokens. Throws Error naming the line where it is malformed, and where the model is
/// not in it.
TokenPrice read_token_price(const std::filesystem::path& path, const std::string& model);

nlohmann::ordered_json to_json(const TokenUsage& usage);
nlohmann::ordered_json to_json(const TokenPrice& price);

}  // namespace assay
