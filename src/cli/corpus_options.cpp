#include "cli/corpus_options.hpp"

#include "base/file.hpp"
#include "cli/options.hpp"

namespace assay {

void CorpusOptions::declare(CLI::App& command, const std::string& by_default) {
  command
      .add_option(
          "--text,--corpus", path,
          "what to score: a plain text, or documents and chat transcripts as .jsonl, .json, .csv, .tsv")
      ->required();
  command.add_option(
      "--field", field,
      "member with the text or conversation of a row (default: messages, conversations, turns, "
      "else text)");
  command.add_option("--ctx", windows.context, "tokens per window (default 512)")
      ->check(CLI::Range(4, 1 << 20));
  command.add_option("--chunks", windows.max_windows, "windows at most (default: all)")->check(kCount);
  command
      .add_option("--score", scored,
                  "positions of a window that count: all, or second-half as in llama-perplexity (default: " +
                      by_default + ")")
      ->check(CLI::IsMember({"all", "second-half"}));
}

Corpus CorpusOptions::read() const {
  Corpus corpus = read_corpus(expand_path(path), field);
  corpus.path = path;  // as it was given
  return corpus;
}

WindowOptions CorpusOptions::window_options() const {
  WindowOptions options = windows;
  if (!scored.empty())
    options.scored = scored == "all" ? ScoredPositions::kAll : ScoredPositions::kSecondHalf;
  return options;
}

}  // namespace assay
