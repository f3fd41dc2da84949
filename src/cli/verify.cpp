#include "convert/verify.hpp"

#include <fmt/format.h>

#include <memory>

#include "base/error.hpp"
#include "base/file.hpp"
#include "base/memory.hpp"
#include "cli/options.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/verb.hpp"
#include "engine/generate.hpp"

namespace assay {
namespace {

struct Options {
  std::string path, source;
  int threads = 0;
  bool json = false;
};

/// Runs the model and compares what the process holds itself (mapped pages of the file not counted) with what
/// it may hold: the KV cache, activations of one chunk, f32 copies of norms and biases, the vocabulary. An
/// engine that expanded its weights to float would hold at least four bytes a weight.
Check check_resident_memory(const std::filesystem::path& path, int threads) {
  constexpr int64_t kTokens = 64;
  const uint64_t before = anonymous_rss_bytes();
  const Tokenizer vocabulary = std::filesystem::is_directory(path)
                                   ? Tokenizer::from_directory(path)
                                   : Tokenizer::from_gguf(GgufFile(path).metadata());
  const uint64_t vocabulary_bytes = anonymous_rss_bytes() - std::min(before, anonymous_rss_bytes());
  LanguageModel model(path, {.threads = threads});
  KvCache cache = model.decoder().make_cache(std::min<int64_t>(kTokens, model.config().max_context));
  const std::vector<TokenId> tokens(static_cast<size_t>(cache.max_positions()), 0);
  model.decoder().forward(tokens, cache);
  const uint64_t after = anonymous_rss_bytes();
  const ModelConfig& config = model.config();
  const auto row = static_cast<uint64_t>(4 * config.hidden_dim + 3 * config.n_heads * config.head_dim +
                                         2 * config.n_kv_heads * config.head_dim + 3 * config.ffn_dim);
  const uint64_t activations =
      2 * sizeof(float) * row * kTokens + 3 * sizeof(float) * static_cast<uint64_t>(config.vocab_size);
  // Twice the vocabulary, for the trees it is parsed from, and the allocator's and the program's own pages.
  constexpr uint64_t kProgram = uint64_t{24} << 20;
  const uint64_t allowed = cache.bytes() + activations + 2 * vocabulary_bytes + kProgram;
  const uint64_t held = after - std::min(before, after);
  uint64_t weights = 0;
  for (const ModelTensor& tensor : model.file().tensors())
    weights += static_cast<uint64_t>(tensor.weight.rows * tensor.weight.cols);
  return {.name = "resident memory",
          .ok = held <= allowed,
          .detail = fmt::format("the engine holds {} beside the mapped file of {}, at most {} allowed; as "
                                "float32 the weights alone would be {}",
                                format_bytes(held), format_bytes(model.file().weight_bytes()),
                                format_bytes(allowed), format_bytes(sizeof(float) * weights))};
}

Check try_resident_memory(const std::filesystem::path& path, int threads) {
  try {
    return check_resident_memory(path, threads);
  } catch (const Error& error) {
    return {.name = "resident memory", .ok = false, .detail = error.what()};
  }
}

int run_verify(const Options& options) {
  const int threads = options.threads > 0 ? options.threads : count_physical_cores();
  const std::filesystem::path path = expand_path(options.path);
  if (!std::filesystem::exists(path)) throw Error({"no such file or directory", path.string(), {}, {}, {}});
  Check memory = try_resident_memory(path, threads);
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
  command.add_option("path", options->path, "MLX directory or GGUF file")->required();
  command.add_option("--against", options->source, "the checkpoint it was made from")->required();
  command.add_option("--threads", options->threads, "threads (default: physical cores)")
      ->check(CLI::Range(1, 1024));
  command.add_flag("--json", options->json, "print one JSON document");
  add_examples(command, "  assay verify out/mlx-4bit --against ./Llama-3.2-1B");
  return [options] { return run_verify(*options); };
}

}  // namespace assay
