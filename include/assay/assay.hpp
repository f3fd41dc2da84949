#pragma once
// The public face of the library: quantize, prove, look inside, run. Needs no other header of assay and no
// third-party type. Every function throws a std::runtime_error whose what() is one line that says what went
// wrong, where, what was expected and found, and the likely cause.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace assay::api {

struct QuantizeOptions {
  bool overwrite = false;
  int threads = 0;  ///< 0: one per physical core
};

/// A file or directory that quantize() wrote.
struct Output {
  std::string recipe;  ///< "gguf:Q4_K_M"
  std::string path;
  uint64_t bytes = 0;
  double bits_per_weight = 0.0;
  double seconds = 0.0;
};

/// Writes each recipe ("mlx:4bit", "gguf:Q4_K_M", "int8", …) of a Hugging Face checkpoint directory below
/// `folder`, and assay.json beside them. Outputs appear under their final names complete or not at all.
std::vector<Output> quantize(const std::string& source, const std::vector<std::string>& recipes,
                             const std::string& folder, const QuantizeOptions& options = {});

struct Check {
  std::string name;
  bool ok = false;
  std::string detail;
};

/// Proves an output against the checkpoint it was made from; one entry a check.
std::vector<Check> verify(const std::string& output, const std::string& source, int threads = 0);

struct Inspection {
  std::string verdict;  ///< "quantized", "unquantized", "mixed" or "fake"
  std::vector<std::string> reasons;
  std::string container, architecture;
  uint64_t parameters = 0, bytes = 0;
  double bits_per_weight = 0.0;
};

/// Says what is really in a file or directory.
Inspection inspect(const std::string& path);

struct ModelOptions {
  int threads = 0;     ///< 0: one per physical core
  bool exact = false;  ///< weights decoded on the fly and f32 sums, instead of integer activations
};

struct GenerateOptions {
  int64_t max_tokens = 256;
  float temperature = 0.0f;  ///< 0: greedy
  int64_t top_k = 0;
  float top_p = 1.0f, min_p = 0.0f, repeat_penalty = 1.0f;
  uint64_t seed = 0;
  std::vector<std::string> stop{};
  bool chat_template = true;  ///< apply the model's chat template where it has one
};

/// A model opened for generating text: a checkpoint or MLX directory or a GGUF file. Not for use by two
/// threads at once.
class Model {
 public:
  explicit Model(const std::string& path, const ModelOptions& options = {});
  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  /// The answer; `on_text` receives it piece by piece as it becomes certain.
  std::string generate(const std::string& prompt, const GenerateOptions& options = {},
                       const std::function<void(std::string_view)>& on_text = {});

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct Classification {
  std::string label;                  ///< the likeliest
  std::vector<double> probabilities;  ///< in the order of Encoder::labels()
};

/// An encoder opened for embedding and classifying: a checkpoint, or an int8, int4, MLX or npz directory. Not
/// for use by two threads at once.
class Encoder {
 public:
  explicit Encoder(const std::string& path, const ModelOptions& options = {});
  ~Encoder();
  Encoder(Encoder&&) noexcept;
  Encoder& operator=(Encoder&&) noexcept;

  /// One vector per text, pooled and normalized as the model's own files say. A text's vector is the same,
  /// bit for bit, whatever texts stand beside it.
  std::vector<std::vector<float>> embed(const std::vector<std::string>& texts);
  /// Names of the labels; empty for a model without a classification head.
  const std::vector<std::string>& labels() const noexcept;
  /// One answer per text. Throws for a model without a classification head.
  std::vector<Classification> classify(const std::vector<std::string>& texts);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace assay::api
