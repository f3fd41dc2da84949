#include <fmt/format.h>

#include <algorithm>

#include "base/error.hpp"
#include "convert/claims.hpp"
#include "convert/inspect_containers.hpp"
#include "models/tensor_match.hpp"

namespace assay {
namespace {

bool is_matrix(const InspectedTensor& tensor) {
  return tensor.quantized ||
         (tensor.shape.size() >= 2 && (tensor.format == "F32" || tensor.format == "F16" ||
                                       tensor.format == "BF16" || tensor.format == "F64"));
}

/// Shares of the matrices' parameters.
struct Shares {
  double matrices = 0, quantized = 0, written_back = 0, degenerate = 0;
  double eight_bit = 0;  ///< of the quantized ones that no fallback explains
  double explained = 0;  ///< by a row that no K-quant fits, or by a list of exceptions in config.json
  double k_quant = 0;

  explicit Shares(const std::vector<InspectedTensor>& tensors) {
    for (const InspectedTensor& tensor : tensors) {
      if (!is_matrix(tensor)) continue;
      const double weight = static_cast<double>(tensor.parameters);
      matrices += weight;
      if (!tensor.suspicion.empty()) written_back += weight;
      if (!tensor.quantized) continue;
      quantized += weight;
      if (tensor.degenerate) degenerate += weight;
      const bool is_explained = tensor.row_fallback || tensor.listed;
      if (tensor.code_bits >= 8 && !is_explained) eight_bit += weight;
      if (is_explained) explained += weight;
      if (tensor.format.find("_K") != std::string::npos) k_quant += weight;
    }
  }
  static double of(double part, double whole) { return whole > 0 ? part / whole : 0.0; }
};

int percent(double share) {
  return static_cast<int>(100.0 * share + 0.5);
}

class Judge {
 public:
  explicit Judge(Inspection& inspection)
      : inspection_(inspection),
        shares_(inspection.tensors),
        name_claim_(find_claim(inspection.path)),
        claim_(name_claim_) {
    // What the container declares of itself counts like a name.
    const nlohmann::json& declared = inspection.declared;
    if (!claim_ && declared.contains("bits") && declared["bits"].is_number_integer())
      claim_ = Claim{declared["bits"].get<int>(), "config.json", false};
    if (declared.contains("file_type") &&
        declared["file_type"].get<std::string>().find("_K") != std::string::npos) {
      const std::string name = declared["file_type"];
      const size_t digit = name.find_first_of("23456");
      claim_ = Claim{digit == std::string::npos ? 0 : name[digit] - '0', name, true};
    }
  }

  void run() {
    look_for_floats_of_few_levels();
    look_for_dead_codes();
    remark_few_codes();
    if (!inspection_.contradictions.empty())
      lie("declared is not what is stored: " + list_some(inspection_.contradictions));
    compare_with_claim();
    if (!fake_)
      inspection_.verdict = honest_verdict();
    else
      inspection_.verdict = Verdict::kFake;
    explain_contents();
    for (const std::string& fact : inspection_.observations) add(fact);
  }

 private:
  void add(std::string reason) { inspection_.reasons.push_back(std::move(reason)); }
  void lie(std::string reason) {
    fake_ = true;
    add(std::move(reason));
  }

  void look_for_floats_of_few_levels() {
    std::vector<std::string> found;
    for (const InspectedTensor& tensor : inspection_.tensors)
      if (!tensor.suspicion.empty())
        found.push_back(tensor.name + " (" + tensor.format + ") " + tensor.suspicion);
    if (found.empty()) return;
    const double share = Shares::of(shares_.written_back, shares_.matrices);
    std::string reason = fmt::format("floats that look quantized and written back, {} % of the weights: {}",
                                     percent(share), list_some(found));
    share >= 0.05 ? lie(std::move(reason)) : add(std::move(reason));
  }

  void look_for_dead_codes() {
    std::vector<std::string> found;
    for (const InspectedTensor& tensor : inspection_.tensors)
      if (tensor.degenerate) found.push_back(tensor.name);
    if (found.empty()) return;
    std::string reason = "codes that are the same almost everywhere: " + list_some(found);
    Shares::of(shares_.degenerate, shares_.quantized) >= 0.05 ? lie(std::move(reason))
                                                              : add(std::move(reason));
  }

  void remark_few_codes() {
    std::vector<std::string> found;
    for (const InspectedTensor& tensor : inspection_.tensors)
      if (tensor.few_codes && !tensor.degenerate) found.push_back(tensor.name);
    if (!found.empty())
      add("8-bit codes of which at most 16 occur among 32 neighbours, so the scales are far too large or the "
          "weights had few levels before: " +
          list_some(found));
  }

  void compare_with_claim() {
    if (!claim_ || shares_.matrices == 0) return;
    const double quantized = Shares::of(shares_.quantized, shares_.matrices);
    if (quantized == 0.0) {
      lie(fmt::format("\"{}\" promises {} bits, but every weight is a plain float: {:.2f} bits per weight",
                      claim_->text, claim_->bits, inspection_.bits_per_weight()));
      return;
    }
    if (claim_->bits < 8 && Shares::of(shares_.eight_bit, shares_.quantized - shares_.explained) > 0.5 &&
        shares_.eight_bit > 0)
      lie(fmt::format("\"{}\" promises {} bits, but {} % of the quantized weights have codes of 8 bits",
                      claim_->text, claim_->bits, percent(Shares::of(shares_.eight_bit, shares_.quantized))));
    if (!fake_) remark_larger_codes();
    if (claim_->k_quant && Shares::of(shares_.k_quant, shares_.quantized) < 0.5)
      add(fmt::format(
          "\"{}\" names K-quants, but {} % of the quantized weights are in fallback formats, because their "
          "rows are no multiple of 256: really {:.2f} bits per weight",
          claim_->text, percent(1.0 - Shares::of(shares_.k_quant, shares_.quantized)),
          inspection_.bits_per_weight()));
  }

  /// A mix keeps some matrices at more bits than its name tells, but never half of the weights. What the name
  /// promises counts even where the container declares something else.
  void remark_larger_codes() {
    const Claim& least = name_claim_ && name_claim_->bits < claim_->bits ? *name_claim_ : *claim_;
    double larger = 0;
    size_t tensors = 0;
    bool planned = inspection_.declared.value("quant_method", "") == "assay";
    for (const InspectedTensor& tensor : inspection_.tensors) {
      if (!tensor.quantized || tensor.row_fallback || tensor.code_bits <= least.bits) continue;
      larger += static_cast<double>(tensor.parameters);
      planned = planned && tensor.listed;
      ++tensors;
    }
    const double share = Shares::of(larger, shares_.quantized);
    if (planned && tensors > 0)
      add(fmt::format(
          "a planned mix: {} bits, and more in {} tensors that config.json lists ({} % of the quantized "
          "weights)",
          least.bits, tensors, percent(share)));
    else if (least.bits > 0 && share > 0.5)
      add(fmt::format("\"{}\" promises {} bits, but {} % of the quantized weights have codes of more",
                      least.text, least.bits, percent(share)));
  }

  /// Up to a twentieth may stay float without a word: norms never count, routers and heads of oddities may.
  Verdict honest_verdict() const {
    const double share = Shares::of(shares_.quantized, shares_.matrices);
    if (share == 0.0) return Verdict::kUnquantized;
    return share >= 0.95 ? Verdict::kQuantized : Verdict::kMixed;
  }

  void explain_contents() {
    std::string formats;
    for (const auto& [name, totals] : inspection_.formats())
      formats += fmt::format("{}{} {} tensors ({} % of the parameters)", formats.empty() ? "" : ", ", name,
                             totals.tensors,
                             percent(Shares::of(static_cast<double>(totals.parameters),
                                                static_cast<double>(inspection_.parameters))));
    add(fmt::format("{:.3f} bits per weight over {} parameters: {}", inspection_.bits_per_weight(),
                    inspection_.parameters, formats));
    std::vector<std::string> plain;
    for (const InspectedTensor& tensor : inspection_.tensors)
      if (!tensor.quantized && is_matrix(tensor)) plain.push_back(tensor.name + " (" + tensor.format + ")");
    if (shares_.quantized > 0 && !plain.empty()) add("left unquantized: " + list_some(plain));
    if (std::any_of(inspection_.tensors.begin(), inspection_.tensors.end(),
                    [](const InspectedTensor& tensor) { return tensor.format.starts_with("bnb-"); }))
      add("packed by bitsandbytes: neither MLX nor GGUF, and readable by its own CUDA kernels alone");
  }

  Inspection& inspection_;
  const Shares shares_;
  const std::optional<Claim> name_claim_;
  std::optional<Claim> claim_;
  bool fake_ = false;
};

}  // namespace

void judge(Inspection& inspection) {
  Judge(inspection).run();
}

std::string_view verdict_name(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::kQuantized:
      return "quantized";
    case Verdict::kUnquantized:
      return "unquantized";
    case Verdict::kMixed:
      return "mixed";
    case Verdict::kFake:
      return "fake";
  }
  return "unknown";
}

Verdict parse_verdict(std::string_view word) {
  for (const Verdict verdict : {Verdict::kQuantized, Verdict::kUnquantized, Verdict::kMixed, Verdict::kFake})
    if (verdict_name(verdict) == word) return verdict;
  throw UsageError(Fault{
      "no such verdict", {}, "quantized, unquantized, mixed or fake", "\"" + std::string(word) + "\"", {}});
}

}  // namespace assay
