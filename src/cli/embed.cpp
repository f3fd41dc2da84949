#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

#include "base/error.hpp"
#include "base/sha256.hpp"
#include "cli/options.hpp"
#include "cli/result_sink.hpp"
#include "cli/terminal_progress.hpp"
#include "cli/text_rows.hpp"
#include "cli/verb.hpp"
#include "engine/encoder_model.hpp"
#include "io/npz_writer.hpp"

namespace assay {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

constexpr std::array<std::string_view, 3> kFormats = {"jsonl", "csv", "npy"};

struct Options {
  std::string path, output, pooling;
  std::optional<std::string> prompt_name, prompt;
  bool normalize = false, no_normalize = false, overwrite = false, json = false;
  TextInput input;
  RunOptions run;

  EmbedOptions embedding() const {
    EmbedOptions result{.prompt_name = prompt_name, .prompt = prompt};
    if (normalize || no_normalize) result.normalize = normalize;
    if (!pooling.empty()) result.pooling = parse_pooling(pooling);
    return result;
  }
};

PoolingModes pooling_of(const EncoderModel& model, const EmbedOptions& options) {
  return options.pooling.value_or(model.modules().pooling);
}

bool is_normalized(const EncoderModel& model, const EmbedOptions& options) {
  return options.normalize.value_or(model.modules().normalize);
}

/// Names the space that vectors lie in: everything that goes into them but the text and the arithmetic.
/// Vectors of two fingerprints must not be compared with each other.
std::string fingerprint(const EncoderModel& model, const EmbedOptions& options) {
  std::vector<fs::path> files = model.file().files();
  const fs::path folder = model.file().path();
  for (const char* name : {"config.json", "tokenizer.json", "vocab.txt", "vocab.json", "merges.txt",
                           "tokenizer.model", "tokenizer_config.json", "modules.json"})
    if (fs::is_regular_file(folder / name)) files.push_back(folder / name);
  for (const auto& module : model.modules().files) files.push_back(module->path() / "model.safetensors");
  std::string text =
      fmt::format("{}\n{}\n{}\n{}\n", pooling_name(pooling_of(model, options)), is_normalized(model, options),
                  options.prompt_name.value_or(""), options.prompt.value_or(""));
  for (const fs::path& file : files)
    if (fs::is_regular_file(file)) text += sha256_of_file(file) + "\n";
  return sha256_of_text(text).substr(0, 16);
}

/// Writes vectors as they come, so that a million of them need no more memory than a batch.
class VectorWriter {
 public:
  /// `format`: "json" (one document), "jsonl", "csv" or "npy".
  VectorWriter(std::string format, const std::vector<TextRow>& rows, ResultSink& sink)
      : format_(std::move(format)), rows_(rows), sink_(sink) {}

  void begin(const EncoderModel& model, const EmbedOptions& options) {
    const int64_t width = model.embedding_dim(options);
    if (format_ == "json") return begin_document(model, options);
    if (format_ == "npy")
      sink_.write(npy_preamble({"", DType::kF32, {static_cast<int64_t>(rows_.size()), width}}));
    if (format_ != "csv") return;
    std::string line;
    for (int64_t i = 0; i < width; ++i) line += fmt::format("{}e{}", i == 0 ? "" : ",", i);
    sink_.write(line + "\n");
  }

  /// The vector of the next row.
  void add(const std::vector<float>& vector) {
    if (format_ == "json")
      list_->add(json_numbers(vector));
    else if (format_ == "npy")
      sink_.write({reinterpret_cast<const char*>(vector.data()), vector.size() * sizeof(float)});
    else if (format_ == "csv")
      sink_.write(fmt::format("{}\n", fmt::join(vector, ",")));
    else
      add_line(vector);
    ++next_;
  }

  void end() {
    if (list_) list_->end();
  }

 private:
  /// The numbers are written by hand: as doubles they would be twice as long.
  void begin_document(const EncoderModel& model, const EmbedOptions& options) {
    const ordered_json head = {{"model", model.file().path().string()},
                               {"fingerprint", fingerprint(model, options)},
                               {"pooling", pooling_name(pooling_of(model, options))},
                               {"normalized", is_normalized(model, options)},
                               {"dimensions", model.embedding_dim(options)}};
    list_.emplace(sink_, head, "embeddings");
  }

  void add_line(const std::vector<float>& vector) {
    const ordered_json& id = rows_[next_].id;
    const std::string name = id.is_null() ? fmt::format("\"index\":{}", next_) : "\"id\":" + id.dump();
    sink_.write(fmt::format("{{{},\"embedding\":{}}}\n", name, json_numbers(vector)));
  }

  std::string format_;
  const std::vector<TextRow>& rows_;
  ResultSink& sink_;
  std::optional<JsonList> list_{};
  size_t next_ = 0;
};

int run_embed(const Options& options) {
  if (options.normalize && options.no_normalize)
    throw UsageError("--normalize and --no-normalize contradict each other");
  if (options.json && !options.output.empty()) throw UsageError("give either --json or -o");
  const std::string format = options.json ? "json" : result_format(options.output, kFormats);
  const EmbedOptions embedding = options.embedding();
  const std::vector<TextRow> rows = options.input.read();
  EncoderModel model(expand_path(options.path), options.run.engine());
  ResultSink sink(options.output, options.overwrite);  // refuses an existing file before the work
  VectorWriter writer(format, rows, sink);
  TerminalProgress progress;
  progress.begin("embed", rows.size(), "text");
  for (size_t first = 0; first < rows.size(); first += kRowsAtOnce) {
    const auto texts =
        encoder_texts(std::span(rows).subspan(first, std::min(kRowsAtOnce, rows.size() - first)));
    const auto vectors = model.embed(texts, embedding, [&](size_t done) { progress.advance(done); });
    if (first == 0) writer.begin(model, embedding);  // not before the first batch has shown that it works
    for (const std::vector<float>& vector : vectors) writer.add(vector);
  }
  progress.end();
  writer.end();
  sink.commit();
  return 0;
}

}  // namespace

RunVerb declare_embed(CLI::App& command) {
  auto options = std::make_shared<Options>();
  command
      .add_option("path", options->path,
                  "checkpoint of an encoder, int8, int4, MLX or npz directory, or GGUF file")
      ->required();
  options->input.declare(command, false);
  command.add_option("-o,--output", options->output,
                     "file for the vectors: .jsonl, .csv or .npy (f32 matrix)");
  command.add_flag("--overwrite", options->overwrite, "replace an existing file");
  command.add_flag("--json", options->json, "print one JSON document");
  command.add_option("--pooling", options->pooling,
                     "cls, max, mean, mean_sqrt_len, weighted_mean, last_token, joined by +, instead of what "
                     "the model's files say");
  command.add_flag("--normalize", options->normalize, "scale every vector to length 1");
  command.add_flag("--no-normalize", options->no_normalize, "leave the lengths as they are");
  command.add_option("--prompt-name", options->prompt_name,
                     "put this prompt of config_sentence_transformers.json in front");
  command.add_option("--prompt", options->prompt, "put this text in front");
  options->run.declare(command);
  add_examples(
      command,
      "  assay embed out/int8 --text \"A cat sits on the mat.\" --json\n"
      "  assay embed out/int8 --file sentences.txt -o vectors.npy\n"
      "  assay embed models/e5 --file rows.jsonl --field body --prompt \"passage: \" > vectors.jsonl");
  return [options] { return run_embed(*options); };
}

}  // namespace assay
