#include "models/sentence_modules.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "formats/format.hpp"
#include "io/json_text.hpp"
#include "models/config_fields.hpp"

// Files and defaults: sentence_transformers base/model.py, base/modules/{transformer,dense,normalize}.py and
// sentence_transformer/modules/pooling.py.

namespace assay {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr const char *kModulesFile = "modules.json", *kModelFile = "config_sentence_transformers.json";
// Transformer.load looks for them in this order.
constexpr const char* kTransformerFiles[] = {
    "sentence_bert_config.json",      "sentence_roberta_config.json", "sentence_distilbert_config.json",
    "sentence_camembert_config.json", "sentence_albert_config.json",  "sentence_xlm-roberta_config.json",
    "sentence_xlnet_config.json"};

struct Module {
  std::string kind;  ///< last word of its class: "Pooling"
  fs::path folder;   ///< relative; empty: the model's own
};

bool is_present(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

json read_object(const fs::path& path) {
  json value = read_json_file(path);
  if (!value.is_object()) throw Error(Fault{"not a JSON object", path.string(), {}, value.type_name(), {}});
  return value;
}

/// Refuses settings that nothing here would obey.
void allow_keys(const ConfigFields& fields, const json& object, const std::set<std::string>& known) {
  for (const auto& [key, value] : object.items())
    if (!known.contains(key)) fields.fail(key, "no such setting", "a newer sentence-transformers?");
}

std::vector<Module> read_module_list(const fs::path& directory) {
  const fs::path path = directory / kModulesFile;
  const json list = read_json_file(path);
  if (!list.is_array()) throw Error(Fault{"not a list of modules", path.string(), {}, list.type_name(), {}});
  std::vector<Module> modules;
  for (const json& entry : list) {
    const ConfigFields fields(entry, path.string());
    const std::string type = fields.string_or("type", "");
    if (!type.starts_with("sentence_transformers."))
      fields.fail("type", "a module of sentence_transformers", "a module with code of its own?");
    const fs::path folder = fields.string_or("path", "");
    const bool is_inside = folder.is_relative() && std::distance(folder.begin(), folder.end()) <= 1;
    if (!is_inside || folder == "..") fields.fail("path", "a folder of the model");
    modules.push_back({type.substr(type.rfind('.') + 1), folder});
  }
  return modules;
}

/// modes from the one key of new files, else from the flags of old ones; no flag at all means the mean.
PoolingModes read_modes(const ConfigFields& fields) {
  const json& given = fields.at("pooling_mode");
  if (!given.is_null()) {
    const json list = given.is_array() ? given : json::array({given});
    std::string text;
    for (const json& word : list) {
      if (!word.is_string()) fields.fail("pooling_mode", "a mode or a list of modes");
      text += (text.empty() ? "" : "+") + word.get<std::string>();
    }
    PoolingModes modes;
    try {
      modes = parse_pooling(text);
    } catch (const Error& error) {
      fields.fail("pooling_mode", error.fault().expected);
    }
    if (pooling_name(modes) != text)
      fields.fail("pooling_mode", pooling_name(modes), "modes are concatenated in this order");
    return modes;
  }
  PoolingModes modes{.mean = false};
  modes.cls = fields.boolean_or("pooling_mode_cls_token", false);
  modes.max = fields.boolean_or("pooling_mode_max_tokens", false);
  modes.mean = fields.boolean_or("pooling_mode_mean_tokens", false);
  modes.mean_sqrt_len = fields.boolean_or("pooling_mode_mean_sqrt_len_tokens", false);
  modes.weighted_mean = fields.boolean_or("pooling_mode_weightedmean_tokens", false);
  modes.last_token = fields.boolean_or("pooling_mode_lasttoken", false);
  if (modes.count() == 0) modes.mean = true;
  return modes;
}

/// torch.nn modules without settings of their own; nn.GELU() is the erf form.
Activation read_torch_activation(const ConfigFields& fields) {
  const std::string name = fields.string_or("activation_function", "torch.nn.modules.activation.Tanh");
  const std::string word = name.substr(name.rfind('.') + 1);
  if (name.starts_with("torch.nn.")) {
    if (word == "Tanh") return Activation::kTanh;
    if (word == "Identity") return Activation::kNone;
    if (word == "ReLU") return Activation::kRelu;
    if (word == "GELU") return Activation::kGeluErf;
    if (word == "SiLU") return Activation::kSilu;
  }
  fields.fail("activation_function", "Tanh, Identity, ReLU, GELU or SiLU of torch.nn");
}

void require_sentence_input(const ConfigFields& fields) {
  for (const char* key : {"module_input_name", "module_output_name"})
    if (fields.string_or(key, "sentence_embedding") != "sentence_embedding")
      fields.fail(key, "\"sentence_embedding\"", "a multi-vector model?");
}

std::vector<float> decode_vector(const TensorView& view) {
  const WeightFormat format = plain_format(view.dtype);
  std::vector<float> values(static_cast<size_t>(count_elements(view.shape)));
  format_ops(format).dequantize_row(format, {.codes = view.bytes.data()}, static_cast<int64_t>(values.size()),
                                    values.data());
  return values;
}

class ModuleReader {
 public:
  ModuleReader(const fs::path& directory, int64_t hidden_dim)
      : directory_(directory), hidden_dim_(hidden_dim) {}

  SentenceModules run() {
    modules_.declared = true;
    const std::vector<Module> list = read_module_list(directory_);
    if (list.size() < 2 || list[0].kind != "Transformer" || list[1].kind != "Pooling")
      fail("unusable module list", "Transformer and Pooling first", describe(list));
    if (!list[0].folder.empty())
      fail("the transformer lies in a folder of its own", "in the model's folder", list[0].folder.string());
    read_transformer();
    read_pooling(list[1].folder);
    for (size_t i = 2; i < list.size(); ++i) {
      if (modules_.normalize) fail("a module behind Normalize", "Normalize last", describe(list));
      if (list[i].kind == "Dense")
        read_dense(list[i].folder);
      else if (list[i].kind == "Normalize")
        read_normalize(list[i].folder);
      else
        fail("module cannot be run", "Transformer, Pooling, Dense or Normalize", list[i].kind);
    }
    read_model_settings();
    return std::move(modules_);
  }

 private:
  static std::string describe(const std::vector<Module>& list) {
    std::string text;
    for (const Module& module : list) text += (text.empty() ? "" : ", ") + module.kind;
    return text.empty() ? "nothing" : text;
  }

  void read_transformer() {
    for (const char* name : kTransformerFiles) {
      const fs::path path = directory_ / name;
      if (!is_present(path)) continue;
      const json config = read_object(path);
      const ConfigFields fields(config, path.string());
      if (fields.has("max_seq_length")) modules_.max_seq_length = fields.dimension("max_seq_length", 1 << 26);
      modules_.lowercase = fields.boolean_or("do_lower_case", false);
      if (fields.string_or("transformer_task", "feature-extraction") != "feature-extraction")
        fields.fail("transformer_task", "\"feature-extraction\"");
      return;
    }
  }

  void read_pooling(const fs::path& folder) {
    const fs::path path = directory_ / folder / "config.json";
    const json config = read_object(path);
    const ConfigFields fields(config, path.string());
    allow_keys(
        fields, config,
        {"word_embedding_dimension", "embedding_dimension", "pooling_mode", "include_prompt",
         "pooling_mode_cls_token", "pooling_mode_max_tokens", "pooling_mode_mean_tokens",
         "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens", "pooling_mode_lasttoken"});
    for (const char* key : {"word_embedding_dimension", "embedding_dimension"})
      if (fields.has(key) && fields.integer(key) != hidden_dim_)
        fields.fail(key, std::to_string(hidden_dim_) + " as config.json says", "pooling of another model?");
    modules_.pooling = read_modes(fields);
    modules_.include_prompt = fields.boolean_or("include_prompt", true);
    width_ = hidden_dim_ * modules_.pooling.count();
  }

  void read_dense(const fs::path& folder) {
    const fs::path path = directory_ / folder;
    if (!is_present(path / "model.safetensors") && is_present(path / "pytorch_model.bin"))
      throw Error(Fault{"a pickle is not read, for opening one runs the code in it",
                        (path / "pytorch_model.bin").string(), "model.safetensors", "pytorch_model.bin alone",
                        "save the model again with a newer sentence-transformers"});
    auto file = std::make_shared<const CheckpointDirectory>(path);
    const ConfigFields fields(file->config(), (path / "config.json").string());
    allow_keys(fields, file->config(),
               {"in_features", "out_features", "bias", "activation_function", "module_input_name",
                "module_output_name", "use_residual"});
    require_sentence_input(fields);
    if (fields.boolean_or("use_residual", false)) fields.fail("use_residual", "false");
    const int64_t in = fields.dimension("in_features", 1 << 24);
    const int64_t out = fields.dimension("out_features", 1 << 24);
    if (in != width_) fields.fail("in_features", std::to_string(width_) + ", what the module before gives");
    SentenceDense dense;
    dense.activation = read_torch_activation(fields);
    const bool has_bias = fields.boolean_or("bias", true);
    const TensorView& weight = require(*file, "linear.weight", {out, in});
    dense.weight = {plain_format(weight.dtype), out, in, weight.bytes, {}, {}};
    if (has_bias) dense.bias = decode_vector(require(*file, "linear.bias", {out}));
    if (file->tensors().size() != (has_bias ? 2u : 1u))
      fail_in(path, "tensors that a Dense module does not have", "linear.weight and linear.bias alone",
              "more");
    modules_.dense.push_back(std::move(dense));
    modules_.files.push_back(std::move(file));
    width_ = out;
  }

  const TensorView& require(const CheckpointDirectory& file, const char* name, const Shape& shape) const {
    const TensorView* view = file.find(name);
    if (view == nullptr) fail_in(file.path(), "tensor is missing", name, "nothing");
    if (view->shape != shape || !is_float_weight(view->dtype))
      fail_in(file.path(), std::string(name) + " contradicts config.json", "floats " + format_shape(shape),
              std::string(dtype_name(view->dtype)) + " " + format_shape(view->shape));
    return *view;
  }

  void read_normalize(const fs::path& folder) {
    modules_.normalize = true;
    const fs::path path = directory_ / folder / "config.json";
    if (folder.empty() || !is_present(path)) return;
    const json config = read_object(path);
    const ConfigFields fields(config, path.string());
    allow_keys(fields, config, {"module_input_name", "module_output_name"});
    require_sentence_input(fields);
  }

  void read_model_settings() {
    const fs::path path = directory_ / kModelFile;
    if (!is_present(path)) return;
    const json config = read_object(path);
    const ConfigFields fields(config, path.string());
    const json& prompts = fields.at("prompts");
    if (!prompts.is_null() && !prompts.is_object()) fields.fail("prompts", "an object of texts by name");
    for (const auto& [name, text] : prompts.items()) {
      if (!text.is_string()) fields.fail("prompts", "an object of texts by name");
      modules_.prompts[name] = text.get<std::string>();
    }
    modules_.default_prompt_name = fields.string_or("default_prompt_name", "");
    if (!modules_.default_prompt_name.empty() && !modules_.prompts.contains(modules_.default_prompt_name))
      fields.fail("default_prompt_name", "a name in prompts");
    modules_.similarity = fields.string_or("similarity_fn_name", "cosine");
    constexpr std::string_view kKnown[] = {"cosine", "dot", "euclidean", "manhattan"};
    if (std::find(std::begin(kKnown), std::end(kKnown), modules_.similarity) == std::end(kKnown))
      fields.fail("similarity_fn_name", "cosine, dot, euclidean or manhattan");
  }

  [[noreturn]] void fail(std::string what, std::string expected, std::string found) const {
    fail_in(directory_ / kModulesFile, std::move(what), std::move(expected), std::move(found));
  }
  [[noreturn]] static void fail_in(const fs::path& path, std::string what, std::string expected,
                                   std::string found) {
    throw Error(Fault{std::move(what), path.string(), std::move(expected), std::move(found), {}});
  }

  const fs::path& directory_;
  const int64_t hidden_dim_;
  int64_t width_ = 0;  ///< of the vector after the modules read so far
  SentenceModules modules_;
};

}  // namespace

SentenceModules SentenceModules::read(const fs::path& directory, int64_t hidden_dim) {
  if (!is_present(directory / kModulesFile)) return {};
  return ModuleReader(directory, hidden_dim).run();
}

std::vector<fs::path> SentenceModules::side_files(const fs::path& directory) {
  if (!is_present(directory / kModulesFile)) return {};
  std::vector<fs::path> files{kModulesFile};
  if (is_present(directory / kModelFile)) files.emplace_back(kModelFile);
  for (const char* name : kTransformerFiles)
    if (is_present(directory / name)) files.emplace_back(name);
  for (const Module& module : read_module_list(directory)) {
    if (module.folder.empty() || !fs::is_directory(directory / module.folder)) continue;
    std::vector<fs::path> inside;
    for (const auto& entry : fs::directory_iterator(directory / module.folder))
      if (entry.is_regular_file()) inside.push_back(module.folder / entry.path().filename());
    std::sort(inside.begin(), inside.end());
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

}  // namespace assay
