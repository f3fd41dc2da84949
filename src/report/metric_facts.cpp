#include "report/metric_facts.hpp"

#include <algorithm>
#include <iterator>

namespace assay {
namespace {

constexpr Direction kLow = Direction::kLowerIsBetter, kHigh = Direction::kHigherIsBetter,
                    kOpen = Direction::kNeither;

struct Row {
  std::string_view task, metric, title, group;
  Direction direction;
  std::string_view meaning;
};

/// In the order of columns. An empty task stands for every task.
constexpr Row kMetrics[] = {
    {"divergence", "kl_mean", "KL, mean", "Distance of the predictions", kLow,
     "how far the predicted next-token probabilities lie from the reference's; 0 is the same"},
    {"divergence", "kl_median", "KL, median", "Distance of the predictions", kLow,
     "half of all positions lie closer than this"},
    {"divergence", "kl_p90", "KL, 90 %", "Distance of the predictions", kLow, ""},
    {"divergence", "kl_p99", "KL, 99 %", "Distance of the predictions", kLow,
     "one position in a hundred lies further away: the tail that users notice"},
    {"divergence", "kl_p99.9", "KL, 99.9 %", "Distance of the predictions", kLow, ""},
    {"divergence", "kl_p999", "KL, 99.9 %", "Distance of the predictions", kLow, ""},
    {"divergence", "kl_max", "KL, largest", "Distance of the predictions", kLow, ""},
    {"divergence", "top1_agreement", "same first choice", "Agreement and perplexity", kHigh,
     "positions where the likeliest next token is the reference's"},
    {"divergence", "top5_agreement", "same five best", "Agreement and perplexity", kHigh, ""},
    {"divergence", "delta_p_rms", "RMS Δp", "Agreement and perplexity", kLow,
     "typical change of the true next token's probability"},
    {"divergence", "delta_p_mean", "mean Δp", "Agreement and perplexity", kOpen, ""},
    {"divergence", "ln_ppl_ratio", "ln perplexity ratio", "Agreement and perplexity", kLow,
     "perplexity against the reference's on the same tokens; 0 is the same"},
    {"divergence", "ppl_candidate", "perplexity", "Agreement and perplexity", kLow, ""},
    {"divergence", "ppl_reference", "reference's perplexity", "Agreement and perplexity", kOpen, ""},
    {"", "perplexity", "perplexity", "Perplexity", kLow,
     "how surprised the model is by a text; lower is better"},
    {"", "f1", "F1", "Scores", kHigh, "balance of precision and recall of the harmful class"},
    {"", "f1_harmful", "F1 harmful", "Scores", kHigh, ""},
    {"", "f1_safe", "F1 safe", "Scores", kHigh, ""},
    {"", "macro_f1", "macro F1", "Scores", kHigh, ""},
    {"", "accuracy", "accuracy", "Scores", kHigh,
     "right answers among all; one that cannot be read is wrong"},
    {"", "precision", "precision", "Scores", kHigh, ""},
    {"", "recall", "recall", "Scores", kHigh, ""},
    {"", "auprc", "AUPRC", "Scores", kHigh, "area under precision and recall, from the label's logits"},
    {"", "f1_at_reference_threshold", "F1 at the reference's threshold", "Scores", kHigh, ""},
    {"", "fpr", "false alarms", "Scores", kLow, "harmless rows taken for harmful ones"},
    {"", "agreement", "agrees with the reference", "Agreement", kHigh, ""},
    {"", "retention", "retention", "Agreement", kHigh, "the score as a share of the reference's"},
    {"", "flips", "flips", "Agreement", kLow, "rows whose answer is not the reference's"},
    {"", "unparsed", "unreadable", "Faults", kLow, "answers in which the parser found no label"},
    {"", "unparsed_share", "unreadable", "Faults", kLow, "answers in which the parser found no label"},
    {"", "parse_failures", "unreadable", "Faults", kLow, "answers in which the parser found no label"},
    {"", "truncated", "cut off", "Faults", kLow, "answers that ran into the token limit"},
    {"", "truncated_share", "cut off", "Faults", kLow, "answers that ran into the token limit"},
    {"", "empty_share", "empty", "Faults", kLow, "answers without text"},
    {"", "repetitive_share", "repetitive", "Faults", kLow, "answers that say the same again and again"},
    {"", "seconds_per_prompt", "seconds a prompt", "Cost", kLow, ""},
    {"", "tokens_per_answer", "tokens an answer", "Cost", kOpen, ""},
    {"", "seconds_per_sample", "seconds a row", "Cost", kLow, ""},
    {"answers", "same_text_share", "same text as the reference", "Agreement", kHigh, ""},
    {"judge", "win_rate", "win rate", "Verdicts", kHigh,
     "share of prompts on which the judge preferred the answer; ties count half"},
    {"judge", "length_controlled_win_rate", "win rate at equal length", "Verdicts", kHigh,
     "among prompts whose answers are about as long as the reference's"},
    {"judge", "win_share", "won", "Verdicts", kHigh, ""},
    {"judge", "tie_share", "tied", "Verdicts", kOpen, ""},
    {"judge", "loss_share", "lost", "Verdicts", kLow, ""},
    {"judge", "order_consistency", "same verdict in both orders", "The judge itself", kOpen, ""},
    {"judge", "first_position_share", "first answer preferred", "The judge itself", kOpen,
     "half would be a judge without a favourite place"},
    {"judge", "overall", "overall score", "Scores", kHigh, "0 to 10, by the judge's rubric"},
    {"judge", "score", "overall score", "Scores", kHigh, "0 to 10, by the judge's rubric"},
    {"judge", "coherence", "coherence", "Scores", kHigh, ""},
    {"judge", "relevance", "relevance", "Scores", kHigh, ""},
    {"judge", "cost", "cost", "Cost", kLow, "what the judge's replies cost by the price table"},
    {"speed", "decode", "decode", "", kHigh, "tokens written a second, one after another"},
    {"speed", "prefill", "prefill", "", kHigh, "tokens of a prompt read a second"},
    {"speed", "load", "load", "", kLow, "seconds until the model is ready"},
    {"memory", "peak_rss", "peak memory", "", kLow, "largest resident memory of the process"},
    {"memory", "weights", "weights in memory", "", kLow, ""},
    {"memory", "kv_cache", "KV cache", "", kLow, ""},
    {"size", "bytes", "size", "", kLow, ""},
};

struct TaskRow {
  std::string_view task, title, meaning;
};

/// In the order of sections.
constexpr TaskRow kTasks[] = {
    {"divergence", "Divergence from the reference",
     "Both models read the same text, and at every position their predictions for the next token are "
     "compared "
     "over the whole vocabulary. Nothing is generated, so nothing is left to luck. “exact” shows what the "
     "weights lost, “fast” what the default integer arithmetic gives."},
    {"perplexity", "Perplexity", "How well each model predicts a held-out text."},
    {"guard", "Guard: is a request or an answer harmful?",
     "Every model labels the same rows with the same prompt and decoding. An answer in which no label can be "
     "read counts as wrong and is counted."},
    {"judge", "Judge: which answer is better?",
     "Another model reads the answers of two subjects without knowing whose they are, in both orders."},
    {"answers", "Answers", "The same prompts, the same decoding, read beside the reference's answers."},
    {"encoder", "Encoders", "Vectors and labels against the reference's on the same texts."},
    {"speed", "Speed", ""},
    {"memory", "Memory", ""},
    {"size", "Size", ""},
};

/// "some_new_metric" → "some new metric"
std::string plain_name(std::string_view name) {
  std::string words(name);
  std::replace(words.begin(), words.end(), '_', ' ');
  return words;
}

/// The task's row, or that of the family its first word names: "guard prompt".
const TaskRow* find_task(std::string_view task) {
  const std::string_view family = task.substr(0, task.find(' '));
  const auto* const found = std::find_if(std::begin(kTasks), std::end(kTasks), [&](const TaskRow& row) {
    return row.task == task || row.task == family;
  });
  return found == std::end(kTasks) ? nullptr : found;
}

}  // namespace

MetricFact metric_fact(std::string_view task, std::string_view metric) {
  for (const Row& row : kMetrics) {
    if (row.metric != metric || (!row.task.empty() && row.task != task)) continue;
    return {.title = std::string(row.title),
            .group = std::string(row.group),
            .meaning = std::string(row.meaning),
            .direction = row.direction,
            .order = static_cast<int>(&row - kMetrics)};
  }
  return {.title = plain_name(metric), .group = "Further figures", .meaning = ""};
}

std::string task_title(std::string_view task) {
  const TaskRow* row = find_task(task);
  if (row == nullptr) return plain_name(task);
  if (row->task == task) return std::string(row->title);
  const std::string_view family = row->title.substr(0, row->title.find(':'));
  return std::string(family) + ": " + plain_name(task.substr(row->task.size() + 1));
}

std::string task_meaning(std::string_view task) {
  const TaskRow* row = find_task(task);
  return row != nullptr ? std::string(row->meaning) : std::string();
}

int task_order(std::string_view task) {
  const TaskRow* row = find_task(task);
  return static_cast<int>(row != nullptr ? row - kTasks : std::ssize(kTasks));
}

}  // namespace assay
