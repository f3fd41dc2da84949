#pragma once
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "eval/dataset.hpp"
#include "eval/dataset_order.hpp"
#include "eval/guard_labels.hpp"

namespace assay {

/// One question to a guard model, with what people say the answers are.
struct GuardRow {
  std::string id;           ///< number of the row in its set, from 0
  std::string instruction;  ///< the row's own, or kGuardInstruction
  std::string input;        ///< request and answer as the prompt shows them: guard_input's form
  std::string prompt;       ///< the request alone
  std::string source;       ///< where the set says the row is from; may be empty
  GuardLabels truth;
};

struct GuardSet {
  std::string name;
  std::vector<GuardRow> rows;
  /// Tasks for which at least one row has a label.
  std::vector<GuardTask> tasks() const;
  /// The first of tasks(): what order and cut go by.
  GuardTask main_task() const;
  std::vector<GuardLabel> labels(GuardTask task) const;
};

/// Which members hold what, where the names that sets usually have do not fit. Empty: the usual names.
struct GuardFields {
  std::string prompt{};    ///< else instruction+input, text, prompt, content, Behavior, forbidden_prompt …
  std::string response{};  ///< else response; none: a request alone
  std::string label{};     ///< else output, label, ground_truth, *_label, type, source …
  std::string constant_label{};     ///< the label of every row of a file that has none
  std::optional<GuardTask> task{};  ///< what the label says; else refusal words mean refusal, a row with an
                                    ///< answer means response-harm, any other prompt-harm
};

/// A set by path, or by name below `folder`: GuardReasoner's eleven benchmark files by their number, name or
/// the paper's ("ToxicChat", "0_8", "toxic_chat"), any other file by its stem ("combined_test"). Several
/// joined by '+' make one set (harmful_behaviors+harmless_alpaca). Throws Error naming the row for an empty
/// prompt or a label that says nothing, and for a name that fits no file or several.
GuardSet read_guard_set(const std::string& spec, const GuardFields& fields,
                        const std::filesystem::path& folder);

/// Which rows of a set are asked, and in what order.
struct GuardSelection {
  GuardFields fields{};
  size_t limit = 0;      ///< rows of each set; 0: all
  size_t per_class = 0;  ///< rows of each class of a set's main task; 0: as they come
  RowOrder order = RowOrder::kFile;
  uint64_t seed = 42;
};
/// The sets that `specs` name, cut. Throws also where one is named twice.
std::vector<GuardSet> read_guard_sets(std::span<const std::string> specs, const GuardSelection& selection,
                                      const std::filesystem::path& folder);

/// The row that a file's row means. `number` becomes its id.
GuardRow guard_row(const DatasetRow& row, size_t number, const std::string& file_stem,
                   const GuardFields& fields);

}  // namespace assay
