#include "convert/verify.hpp"

#include <fmt/format.h>

#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/options.hpp"
#include "cli/resident_memory.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/verb.hpp"

namespace assay {
namespace {

struct Options {
  std::string path, source;
  int threads = 0;
  bool json = false;
};

int run_verify(const Options& options) {
  const int threads = options.threads > 0 ? options.threads : count_physical_cores();
  const std::filesystem::path path = expand_path(options.path);
  if (!std::filesystem::exists(path)) throw Error({"no such file or directory", path.string(), {}, {}, {}});
  Check memory = check_resident_memory(path, {.threads = threads});
  ThreadPool pool(threads);
  TerminalProgress progress;
  Verification verification = verify_output(path, expand_path(options.source), pool, progress);
  verification.checks.push_back(std::move(memory));
  if (options.json) {
    print_json(nlohmann::ordered_json(verification_json(verification)));
  } else {
    for (const Check& check : verification.checks)
      fmt::print("{}  {}: {}\n", check.ok ? "ok  " : "FAIL", check.name, check.detail);
  }
  return verification.ok() ? 0 : 1;
}

}  // namespace

RunVerb declare_verify(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command.add_option("path", options->path, "MLX, int8, int4 or npz directory, or GGUF file")->required();
  command.add_option("--against", options->source, "the checkpoint it was made from")->required();
  command.add_option("--threads", options->threads, "threads (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--json", options->json, "print one JSON document");
  add_examples(command,
               "  assay verify out/mlx-4bit --against ./Llama-3.2-1B\n"
               "  assay verify out/int8 --against ./all-MiniLM-L6-v2");
  return [options] { return run_verify(*options); };
}

}  // namespace assay
