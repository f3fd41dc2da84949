#include "eval/divergence_statistics.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "base/error.hpp"
#include "base/rng.hpp"

namespace assay {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr uint64_t kSeed = 0;

using Tokens = std::span<const TokenDivergence>;
using Value = std::function<double(const TokenDivergence&)>;
using Condition = std::function<bool(const TokenDivergence&)>;

/// Sums by cluster of the tokens that meet the condition; clusters without one are left out.
std::vector<Cluster> sum_clusters(Tokens tokens, const Value& value, const Condition& meets = {}) {
  std::vector<Cluster> clusters;
  int64_t current = -1;
  for (const TokenDivergence& token : tokens) {
    if (meets && !meets(token)) continue;
    if (current != token.cluster) clusters.emplace_back();
    current = token.cluster;
    clusters.back().sum += value(token);
    clusters.back().count += 1.0;
  }
  return clusters;
}

Estimate mean_of(Tokens tokens, const Value& value) {
  return cluster_mean(sum_clusters(tokens, value), kSeed);
}

Estimate transformed(const Estimate& e, double (*function)(double)) {
  return {function(e.value), std::isinf(e.low) ? e.low : function(e.low),
          std::isinf(e.high) ? e.high : function(e.high), e.n};
}

/// A value and the cluster it comes from.
struct Sourced {
  double value = 0.0;
  uint32_t cluster = 0;
};

/// The value at each share of the resample in which cluster i was drawn weights[i] times: type 7, as
/// quantile(), of the values repeated so often. shares ascend.
void weighted_quantiles(std::span<const Sourced> ascending, std::span<const uint32_t> weights, double total,
                        std::span<const double> shares, std::vector<double>& out) {
  out.clear();
  double passed = 0.0;  // values up to and with ascending[at]
  size_t at = 0;
  const auto value_at = [&](double rank) {
    while (passed <= rank && at < ascending.size()) passed += weights[ascending[at++].cluster];
    return ascending[at - 1].value;
  };
  for (const double share : shares) {
    const double rank = share * (total - 1.0), below = std::floor(rank);
    const double low = value_at(below);
    const size_t kept_at = at;
    const double kept = passed;
    const double high = rank > below ? value_at(below + 1.0) : low;
    at = kept_at, passed = kept;  // the next share may begin at the same value
    out.push_back(low + (rank - below) * (high - low));
  }
}

/// Quantiles of a quantity over all tokens, each with its bootstrap interval over clusters.
std::vector<Estimate> quantiles_of(Tokens tokens, const Value& value, std::span<const double> shares) {
  std::vector<Sourced> ascending;
  for (const TokenDivergence& token : tokens) ascending.push_back({value(token), token.cluster});
  std::stable_sort(ascending.begin(), ascending.end(),
                   [](const Sourced& a, const Sourced& b) { return a.value < b.value; });
  const size_t clusters = tokens.back().cluster + size_t{1};
  std::vector<uint32_t> sizes(clusters), weights(clusters, 1);
  for (const TokenDivergence& token : tokens) ++sizes[token.cluster];
  std::vector<double> found;
  weighted_quantiles(ascending, weights, static_cast<double>(tokens.size()), shares, found);
  std::vector<Estimate> estimates;
  for (const double each : found)
    estimates.push_back({each, -kInfinity, kInfinity, static_cast<int64_t>(clusters)});
  if (clusters < 2) return estimates;
  const int resamples = quantile_resamples(tokens.size());
  std::vector<std::vector<double>> drawn(shares.size());
  Rng rng(kSeed);
  for (int i = 0; i < resamples; ++i) {
    std::fill(weights.begin(), weights.end(), 0);
    double total = 0.0;
    for (size_t k = 0; k < clusters; ++k) {
      const auto cluster = static_cast<size_t>(rng.below(clusters));
      ++weights[cluster];
      total += sizes[cluster];
    }
    weighted_quantiles(ascending, weights, total, shares, found);
    for (size_t s = 0; s < found.size(); ++s) drawn[s].push_back(found[s]);
  }
  for (size_t s = 0; s < shares.size(); ++s) {
    if (shares[s] == 0.0 || shares[s] == 1.0) continue;  // no bootstrap tells how far an extreme may lie
    std::sort(drawn[s].begin(), drawn[s].end());
    estimates[s].low = quantile(drawn[s], 0.025);
    estimates[s].high = quantile(drawn[s], 0.975);
  }
  return estimates;
}

struct NamedShare {
  double share;
  const char *name, *llama_name;
};

/// The quantiles that llama-perplexity prints.
constexpr NamedShare kKlQuantiles[] = {
    {0.0, "kl_min", "Minimum KLD"},   {0.001, "kl_p0.1", "0.1% KLD"}, {0.01, "kl_p1", "1.0% KLD"},
    {0.05, "kl_p5", "5.0% KLD"},      {0.1, "kl_p10", "10.0% KLD"},   {0.5, "kl_median", "Median KLD"},
    {0.9, "kl_p90", "90.0% KLD"},     {0.95, "kl_p95", "95.0% KLD"},  {0.99, "kl_p99", "99.0% KLD"},
    {0.999, "kl_p99.9", "99.9% KLD"}, {1.0, "kl_max", "Maximum KLD"}};
constexpr NamedShare kDeltaQuantiles[] = {
    {0.0, "delta_p_min", "Minimum Δp"},   {0.001, "delta_p_p0.1", "0.1% Δp"},
    {0.01, "delta_p_p1", "1.0% Δp"},      {0.05, "delta_p_p5", "5.0% Δp"},
    {0.1, "delta_p_p10", "10.0% Δp"},     {0.25, "delta_p_p25", "25.0% Δp"},
    {0.5, "delta_p_median", "Median Δp"}, {0.75, "delta_p_p75", "75.0% Δp"},
    {0.9, "delta_p_p90", "90.0% Δp"},     {0.95, "delta_p_p95", "95.0% Δp"},
    {0.99, "delta_p_p99", "99.0% Δp"},    {0.999, "delta_p_p99.9", "99.9% Δp"},
    {1.0, "delta_p_max", "Maximum Δp"}};

void add_quantiles(Tokens tokens, const Value& value, std::span<const NamedShare> named, const char* unit,
                   std::vector<DivergenceFigure>& figures) {
  std::vector<double> shares;
  for (const NamedShare& each : named) shares.push_back(each.share);
  const std::vector<Estimate> found = quantiles_of(tokens, value, shares);
  for (size_t i = 0; i < found.size(); ++i)
    figures.push_back(
        {named[i].name, named[i].llama_name, unit, found[i], quantile_resamples(tokens.size())});
}

/// Pearson's correlation of the two models' surprise, token by token.
Estimate nll_correlation(Tokens tokens) {
  struct Moments {
    double n = 0, x = 0, y = 0, xx = 0, yy = 0, xy = 0;
  };
  std::vector<Moments> clusters(tokens.back().cluster + size_t{1});
  for (const TokenDivergence& token : tokens) {
    const double x = token.reference_nll, y = token.candidate_nll;
    Moments& m = clusters[token.cluster];
    m.n += 1, m.x += x, m.y += y, m.xx += x * x, m.yy += y * y, m.xy += x * y;
  }
  return bootstrap(
      clusters.size(),
      [&](std::span<const size_t> drawn) {
        Moments m;
        for (const size_t i : drawn) {
          const Moments& c = clusters[i];
          m.n += c.n, m.x += c.x, m.y += c.y, m.xx += c.xx, m.yy += c.yy, m.xy += c.xy;
        }
        const double spread = (m.xx - m.x * m.x / m.n) * (m.yy - m.y * m.y / m.n);
        return spread > 0.0 ? (m.xy - m.x * m.y / m.n) / std::sqrt(spread) : std::nan("");
      },
      kSeed);
}

/// Difference of the perplexities themselves, resampled together.
Estimate perplexity_difference(std::span<const Cluster> reference, std::span<const Cluster> candidate) {
  return bootstrap(
      reference.size(),
      [&](std::span<const size_t> drawn) {
        Cluster r, c;
        for (const size_t i : drawn) {
          r.sum += reference[i].sum;
          c.sum += candidate[i].sum;
          r.count += reference[i].count;
        }
        return std::exp(c.sum / r.count) - std::exp(r.sum / r.count);
      },
      kSeed);
}

DivergenceCurve::Point point_of(Tokens tokens, const Value& value, const Condition& meets, double x,
                                std::string label) {
  const std::vector<Cluster> clusters = sum_clusters(tokens, value, meets);
  double count = 0.0;
  for (const Cluster& cluster : clusters) count += cluster.count;
  return {x, cluster_mean(clusters, kSeed, DivergenceCurve{}.resamples), static_cast<int64_t>(count),
          std::move(label)};
}

/// Positions 0, 1, 2–3, 4–7, …: what a short context costs shows early, so the bins double.
DivergenceCurve curve_by_position(Tokens tokens, const std::string& metric, const std::string& unit,
                                  const Value& value) {
  DivergenceCurve curve{.metric = metric, .x_name = "position in the window", .unit = unit, .points = {}};
  int32_t last = 0;
  for (const TokenDivergence& token : tokens) last = std::max(last, token.position);
  for (int32_t begin = 0, end = 1; begin <= last; begin = end, end *= 2) {
    const auto meets = [&](const TokenDivergence& t) { return t.position >= begin && t.position < end; };
    const int32_t highest = std::min(end - 1, last);
    std::string label = std::to_string(begin);
    if (highest > begin) label += "–" + std::to_string(highest);
    auto point = point_of(tokens, value, meets, 0.5 * (begin + highest), std::move(label));
    if (point.tokens > 0) curve.points.push_back(std::move(point));
  }
  return curve;
}

/// Near ties weigh most in a mean, so the reference's own certainty tells where a difference comes from.
DivergenceCurve curve_by_confidence(Tokens tokens, const std::string& metric, const std::string& unit,
                                    const Value& value) {
  struct Bin {
    double from, to;
    const char* label;
  };
  constexpr Bin kBins[] = {{0.0, 0.1, "below 0.1"}, {0.1, 0.3, "0.1–0.3"}, {0.3, 0.5, "0.3–0.5"},
                           {0.5, 0.7, "0.5–0.7"},   {0.7, 0.9, "0.7–0.9"}, {0.9, 0.99, "0.9–0.99"},
                           {0.99, 2.0, "from 0.99"}};
  DivergenceCurve curve{.metric = metric, .x_name = "reference's confidence", .unit = unit, .points = {}};
  for (const Bin& bin : kBins) {
    const auto meets = [&](const TokenDivergence& t) {
      return t.confidence >= bin.from && t.confidence < bin.to;
    };
    auto point = point_of(tokens, value, meets, 0.5 * (bin.from + std::min(1.0, bin.to)), bin.label);
    if (point.tokens > 0) curve.points.push_back(std::move(point));
  }
  return curve;
}

double kl_of(const TokenDivergence& token) {
  return token.kl;
}
double top1_of(const TokenDivergence& token) {
  return token.top1 ? 1.0 : 0.0;
}

void add_means(DivergenceResult& result, Tokens tokens, std::span<const Cluster> nll_reference,
               std::span<const Cluster> nll_candidate) {
  const auto exp = [](double x) { return std::exp(x); };
  const auto root = [](double x) { return std::sqrt(x); };
  const auto delta_p = [](const TokenDivergence& t) { return t.delta_p(); };
  const auto square = [](const TokenDivergence& t) { return t.delta_p() * t.delta_p(); };
  result.figures.insert(
      result.figures.end(),
      {{"ppl_candidate", "Mean PPL(Q)", "perplexity", transformed(result.nll_candidate, exp)},
       {"ppl_reference", "Mean PPL(base)", "perplexity", transformed(result.nll_reference, exp)},
       {"ppl_correlation", "Cor(ln(PPL(Q)), ln(PPL(base)))", "correlation", nll_correlation(tokens)},
       {"ln_ppl_ratio", "Mean ln(PPL(Q)/PPL(base))", "nats/token", result.nll_difference},
       {"ppl_ratio", "Mean PPL(Q)/PPL(base)", "ratio", transformed(result.nll_difference, exp)},
       {"ppl_difference", "Mean PPL(Q)-PPL(base)", "perplexity",
        perplexity_difference(nll_reference, nll_candidate)},
       {"kl_mean", "Mean KLD", "nats/token", result.kl},
       {"delta_p_mean", "Mean Δp", "share", mean_of(tokens, delta_p)},
       {"delta_p_rms", "RMS Δp", "share", transformed(mean_of(tokens, square), root)},
       {"top1_agreement", "Same top p", "share", result.top1_agreement},
       {"top5_agreement", "", "share", result.top5_agreement}});
}

}  // namespace

int quantile_resamples(size_t tokens) noexcept {
  return static_cast<int>(std::clamp<size_t>(200'000'000 / std::max<size_t>(tokens, 1), 200, 2000));
}

double TokenDivergence::delta_p() const noexcept {
  return std::exp(-candidate_nll) - std::exp(-reference_nll);
}

DivergenceResult summarize_divergence(Tokens tokens) {
  ASSAY_CHECK(!tokens.empty());
  DivergenceResult result;
  result.tokens = static_cast<int64_t>(tokens.size());
  const auto nll_reference = sum_clusters(tokens, [](const auto& t) { return t.reference_nll; });
  const auto nll_candidate = sum_clusters(tokens, [](const auto& t) { return t.candidate_nll; });
  result.kl_clusters = sum_clusters(tokens, kl_of);
  result.top1_clusters = sum_clusters(tokens, top1_of);
  result.nll_clusters = sum_clusters(tokens, [](const auto& t) { return t.candidate_nll - t.reference_nll; });
  result.kl = cluster_mean(result.kl_clusters, kSeed);
  result.top1_agreement = cluster_mean(result.top1_clusters, kSeed);
  result.top5_agreement = mean_of(tokens, [](const auto& t) { return static_cast<double>(t.top5); });
  result.nll_reference = cluster_mean(nll_reference, kSeed);
  result.nll_candidate = cluster_mean(nll_candidate, kSeed);
  result.nll_difference = cluster_mean(result.nll_clusters, kSeed);
  add_means(result, tokens, nll_reference, nll_candidate);
  add_quantiles(tokens, kl_of, kKlQuantiles, "nats/token", result.figures);
  add_quantiles(
      tokens, [](const auto& t) { return t.delta_p(); }, kDeltaQuantiles, "share", result.figures);
  result.curves = {curve_by_position(tokens, "kl_mean", "nats/token", kl_of),
                   curve_by_position(tokens, "top1_agreement", "share", top1_of),
                   curve_by_confidence(tokens, "kl_mean", "nats/token", kl_of),
                   curve_by_confidence(tokens, "top1_agreement", "share", top1_of)};
  return result;
}

}  // namespace assay
