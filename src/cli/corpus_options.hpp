#pragma once
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "eval/corpus.hpp"

namespace assay {

/// Options by which a verb is given a corpus and how to cut it.
struct CorpusOptions {
  std::string path, field, scored;
  WindowOptions windows;

  /// --text (or --corpus), --field, --ctx, --chunks, --score. `by_default`: the task's own positions.
  void declare(CLI::App& command, const std::string& by_default);
  /// Reads the file. Throws Error as read_corpus does.
  Corpus read() const;
  /// Windows with --score in them.
  WindowOptions window_options() const;
};

}  // namespace assay
