#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string_view>

namespace assay {

/// Runs a verb whose options have been parsed; returns the exit code.
using RunVerb = std::function<int()>;

/// One thing people want to do. declare() adds its options and examples to `command` and returns what runs
/// it.
struct Verb {
  std::string_view name;
  std::string_view summary;
  RunVerb (*declare)(CLI::App& command);
};

RunVerb declare_quantize(CLI::App& command);
RunVerb declare_inspect(CLI::App& command);
RunVerb declare_verify(CLI::App& command);
RunVerb declare_generate(CLI::App& command);
RunVerb declare_chat(CLI::App& command);
RunVerb declare_embed(CLI::App& command);
RunVerb declare_classify(CLI::App& command);
RunVerb declare_bench(CLI::App& command);
RunVerb declare_eval(CLI::App& command);
RunVerb declare_compare(CLI::App& command);
RunVerb declare_estimate(CLI::App& command);
RunVerb declare_report(CLI::App& command);

}  // namespace assay
