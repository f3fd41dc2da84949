#include "cli/options.hpp"

#include <cstdio>

#include "base/error.hpp"

namespace assay {

void RunOptions::declare(CLI::App& command) {
  command.add_option("--threads", threads, "threads to run with (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command
      .add_option("--compute", compute,
                  "exact: weights decoded on the fly, f32 sums; fast: integer activations (default)")
      ->check(CLI::IsMember({"exact", "fast"}));
}

void RunOptions::declare_kv(CLI::App& command) {
  command
      .add_option("--kv", kv,
                  "keep keys and values as f32, f16 or q8 (default: f16, with --compute exact f32)")
      ->check(CLI::IsMember({"f32", "f16", "q8"}));
}

EngineOptions RunOptions::engine() const {
  EngineOptions options{.threads = threads, .compute = compute_from_name(compute)};
  if (!kv.empty()) options.kv = kv_format_from_name(kv);
  return options;
}

void add_examples(CLI::App& command, const std::string& examples) {
  command.footer("Examples:\n" + examples);
}

std::string json_text(const nlohmann::ordered_json& document) {
  return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void print_json(const nlohmann::ordered_json& document) {
  const std::string text = json_text(document);
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw Error("cannot write to standard output");
}

}  // namespace assay
