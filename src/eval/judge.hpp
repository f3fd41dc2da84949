#pragma once
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "eval/judge_template.hpp"
#include "eval/record_log.hpp"
#include "eval/token_price.hpp"

namespace assay {

/// One question for the judge. Its key is what its reply is stored under.
struct JudgeRequest {
  std::string key;
  JudgeMode mode = JudgeMode::kPairwise;
  Question question;
  uint64_t repeat = 0;
  nlohmann::ordered_json about;  ///< subject, prompt, order: for people who read the stored replies
};

struct JudgeOptions {
  std::string model;                    ///< recorded, and part of every key
  int attempts = 3;                     ///< calls for one request until a reply is valid
  int64_t max_tokens = 2048;            ///< of a reply; doubled after one that was cut
  std::optional<double> temperature{};  ///< none: the judge's own
  std::optional<bool> thinking{};
  int parallel = 1;  ///< calls at a time
  std::optional<TokenPrice> price{};
  std::optional<double> budget{};  ///< in the price's currency; needs `price`
};

/// A valid reply.
struct JudgeReply {
  Preference preference = Preference::kTie;  ///< pairwise
  PointScores scores;                        ///< pointwise
};

/// What the replies to some requests took.
struct JudgeLedger {
  TokenUsage usage;
  int64_t requests = 0, valid = 0;
  int64_t invalid_replies = 0;  ///< cut, not the JSON asked for, or out of range: asked again
  int64_t missing = 0;          ///< requests without a valid reply
  int64_t failures = 0;         ///< calls this time that the endpoint refused or broke off
  bool stopped_by_budget = false;
  std::optional<double> cost{};
  std::optional<TokenPrice> price{};
};
nlohmann::ordered_json to_json(const JudgeLedger& ledger);

/// A judge behind a store of its replies: whatever was answered once is never asked again. A reply that is
/// cut by its limit, is not the JSON asked for, or is out of range counts as an attempt; a request without a
/// valid reply after all attempts is missing, and no score.
class Judge {
 public:
  /// `respondent` null: only recorded replies. It and `log` must outlive this; the respondent must bear
  /// `options.parallel` threads. Throws UsageError for a budget without a price.
  Judge(Respondent* respondent, JudgeOptions options, RecordLog& log);

  /// Takes over replies from elsewhere: records of a log, or {"key", "reply"} alone.
  void add_recorded(const std::vector<nlohmann::ordered_json>& records);

  /// Completes a request: its key from judge model, template, temperature, prompt and answers (the question),
  /// order and repeat.
  JudgeRequest make_request(JudgeMode mode, Question question, int order, uint64_t repeat,
                            nlohmann::ordered_json about) const;

  /// Asks what has no reply yet, and stores each reply as it comes. Stops quietly where the next call could
  /// exceed the budget (a token a byte is taken for the question, the whole limit for the reply). Throws
  /// EndpointError at once for a refused key, and after three failed calls in a row; all that was answered
  /// is stored then.
  void ask(std::span<const JudgeRequest> requests, Progress& progress);

  /// Nothing where the reply is missing.
  std::optional<JudgeReply> reply_to(const JudgeRequest& request) const;
  /// Whether ask() would call the judge for it.
  bool is_open(const JudgeRequest& request) const;
  JudgeLedger ledger(std::span<const JudgeRequest> requests) const;
  /// Every request that was passed to ask() so far, each once.
  const std::vector<JudgeRequest>& asked() const noexcept { return asked_; }
  const JudgeOptions& options() const noexcept { return options_; }
  /// Settings that change a verdict: model, template, temperature, attempts.
  nlohmann::ordered_json settings(JudgeMode mode) const;

 private:
  struct Attempt {
    std::string text, finish_reason;
    TokenUsage usage;
  };
  struct Crew;

  std::vector<Attempt> attempts_at(const std::string& key) const;
  void pursue(const JudgeRequest& request, Crew& crew);
  bool call(const JudgeRequest& request, size_t attempt, int64_t limit, Crew& crew);
  void keep(const JudgeRequest& request, size_t attempt, Answer answer, int64_t limit);
  bool reserve(double worst);
  void settle(double worst, double actual);

  Respondent* respondent_;
  JudgeOptions options_;
  RecordLog& log_;
  mutable std::mutex mutex_;
  std::map<std::string, std::vector<Attempt>> attempts_;
  std::vector<JudgeRequest> asked_;
  std::map<std::string, size_t> asked_keys_;
  double spent_ = 0.0, reserved_ = 0.0;
  int64_t failures_ = 0, failures_in_a_row_ = 0;
  bool stopped_by_budget_ = false;
};

}  // namespace assay
