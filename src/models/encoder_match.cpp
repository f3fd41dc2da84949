#include "models/encoder_match.hpp"

#include <algorithm>
#include <set>

#include "base/error.hpp"
#include "models/encoder_slots.hpp"

namespace assay {
namespace {

class EncoderCompletion {
 public:
  EncoderCompletion(const CheckpointDirectory& directory, const EncoderNames& names, ModelConfig& config)
      : directory_(directory), names_(names), traits_(*config.encoder) {}

  void run() {
    resolve_prefix();
    resolve_norm_names();
    if (!names_.pooler.empty())
      traits_.head.has_pooler = find_weight(traits_.name_prefix + std::string(names_.pooler)) != nullptr;
    if (traits_.head.kind == EncoderHeadKind::kNone)
      refuse_unannounced_head();
    else
      check_head();
  }

 private:
  /// The tensor that holds a module's matrix, plain or packed.
  const TensorView* find_weight(const std::string& module) const {
    const TensorView* view = directory_.find(module + ".weight");
    return view != nullptr ? view : directory_.find(module + ".weight_packed");
  }

  void resolve_prefix() {
    const std::string prefix(names_.prefix), word(names_.word_embedding);
    const bool with = find_weight(prefix + word) != nullptr, without = find_weight(word) != nullptr;
    if (with && without)
      fail("the base model is stored twice", prefix + word + ".weight or " + word + ".weight", "both",
           "two exports in one folder?");
    traits_.name_prefix = with ? prefix : "";
  }

  void resolve_norm_names() {
    const std::string norm = traits_.name_prefix + std::string(names_.embedding_norm);
    traits_.old_norm_names =
        directory_.find(norm + ".weight") == nullptr && directory_.find(norm + ".gamma") != nullptr;
  }

  void check_head() {
    const EncoderHead& head = traits_.head;
    const std::string module(classifier_module(names_, head));
    const TensorView* classifier = find_weight(module);
    if (classifier == nullptr || classifier->shape.size() != 2)
      fail("the head that config.json's architectures announces is missing", module + ".weight",
           classifier == nullptr ? "no such tensor" : "shape " + format_shape(classifier->shape),
           "exported without its head?");
    const auto labels = static_cast<int64_t>(head.labels.size());
    if (classifier->shape[0] != labels)
      fail("config.json's labels do not match the classifier", std::to_string(labels) + " rows",
           std::to_string(classifier->shape[0]) + " in " + classifier->name,
           "id2label or num_labels of another model?");
    if (head.kind == EncoderHeadKind::kSequence && !head.has_dense && !head.has_pooler)
      fail("the pooler that the classifier stands on is missing",
           traits_.name_prefix + std::string(names_.pooler) + ".weight", "no such tensor",
           "exported without its head?");
  }

  void refuse_unannounced_head() const {
    std::set<std::string_view> modules{names_.sequence_classifier, names_.token_classifier,
                                       names_.question_classifier};
    for (const std::string_view module : modules) {
      const TensorView* view = find_weight(std::string(module));
      if (view != nullptr)
        fail("a head that config.json does not announce", "architectures that name its class",
             view->name + " " + format_shape(view->shape), "config.json of the base model?");
    }
  }

  [[noreturn]] void fail(std::string what, std::string expected, std::string found, std::string cause) const {
    throw Error(Fault{std::move(what), directory_.path().string(), std::move(expected), std::move(found),
                      std::move(cause)});
  }

  const CheckpointDirectory& directory_;
  const EncoderNames& names_;
  EncoderTraits& traits_;
};

}  // namespace

void complete_encoder_config(const CheckpointDirectory& directory, const EncoderNames& names,
                             ModelConfig& config) {
  EncoderCompletion(directory, names, config).run();
}

bool is_pretraining_tensor(const EncoderNames& names, std::string_view tensor) noexcept {
  return std::any_of(names.pretraining.begin(), names.pretraining.end(),
                     [&](std::string_view beginning) { return tensor.starts_with(beginning); });
}

}  // namespace assay
