#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/activation.hpp"

namespace assay {

/// How one layer of an encoder attends.
struct EncoderAttention {
  int64_t window = 0;      ///< keys at a distance of at most window / 2 are visible; 0: all
  double rope_base = 0.0;  ///< rotary positions (halves layout) with this base; 0: none
};

/// What stands on top of an encoder's layers.
enum class EncoderHeadKind : uint8_t {
  kNone,      ///< hidden states alone (sentence encoders)
  kSequence,  ///< one row of logits for a text: classifiers and rerankers
  kToken,     ///< one row of logits for every token: named entities, question answering
};

/// How `problem_type` (or the number of labels) turns logits into answers.
enum class ProblemKind : uint8_t {
  kSingleLabel,  ///< softmax
  kMultiLabel,   ///< sigmoid of each
  kRegression,   ///< one label: the logit itself, or its sigmoid for a reranker
};

/// The pooler and the classifier, in the order they run: the token row (or the mean of rows) → [dense →
/// activation] → [norm] → classifier. Sources: transformers modeling_{bert,distilbert,roberta,modernbert,
/// mpnet}.py, class *ForSequenceClassification.
struct EncoderHead {
  EncoderHeadKind kind = EncoderHeadKind::kNone;
  /// pooler.dense + tanh exists in the file. A sequence head without a dense layer of its own stands on it.
  bool has_pooler = false;
  bool has_dense = false;  ///< a dense layer of the head's own stands before the classifier
  bool dense_bias = true;
  Activation dense_activation = Activation::kNone;
  bool has_norm = false;  ///< ModernBERT's head.norm
  bool norm_bias = true;
  bool classifier_bias = true;
  bool pools_mean = false;         ///< the mean over tokens instead of the first row
  bool answers_questions = false;  ///< a token head whose two labels are where an answer starts and ends
  ProblemKind problem = ProblemKind::kSingleLabel;
  std::vector<std::string> labels;  ///< by id; "LABEL_0" … where config.json names none
};

/// What a BERT-family encoder has beyond the plain numbers of ModelConfig (layers, widths, heads, vocabulary,
/// norm_eps). Flags, so that one generic encoder runs them all.
struct EncoderTraits {
  int64_t position_rows = 0;    ///< rows of the position table; 0: none (rope or relative positions only)
  int64_t position_offset = 0;  ///< row of a text's first token (RoBERTa, MPNet: pad_token_id + 1)
  int64_t type_rows = 0;        ///< rows of the token type table; 0: none
  bool embedding_norm_bias = true;
  bool pre_norm = false;  ///< norms before attention and feed-forward, and one after the last layer
  bool first_norm_is_identity = false;  ///< ModernBERT: layer 0 has no attention norm
  bool fused_qkv = false;               ///< one [3 hidden, hidden] weight in the file
  bool attention_bias = true, mlp_bias = true, norm_bias = true;
  bool gated_mlp = false;  ///< Wi is [2 ffn, hidden]: act(first half) * second half
  Activation activation = Activation::kGeluErf;
  int64_t relative_buckets = 0;  ///< MPNet: [buckets, heads] biases shared by all layers; 0: none
  int64_t relative_max_distance = 128;
  std::vector<EncoderAttention> layers;  ///< one entry per layer
  EncoderHead head;
  int32_t pad_id = 0;
  std::string name_prefix{};    ///< of the base model's tensors in this file: "bert.", or none
  bool old_norm_names = false;  ///< norms are stored as "gamma" and "beta"
};

}  // namespace assay
