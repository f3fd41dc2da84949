#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/pre_tokenizer.hpp"

namespace assay::text {

/// One of llama.cpp's named pre-tokenizers (tokenizer.ggml.pre) for byte-level BPE.
struct LlamaPre {
  std::vector<const char*> names;    ///< the first is the one we write
  std::vector<const char*> regexes;  ///< applied one after the other, matches isolated
  bool ignore_merges = false;
  bool add_bos = false;  ///< unless tokenizer.ggml.add_bos_token says otherwise
};

/// By name; nullptr when unknown. Source: llama.cpp src/llama-vocab.cpp (llm_tokenizer_bpe, load),
/// expressions in the form of the models' own tokenizer.json files where llama.cpp only rewrote them.
const LlamaPre* find_llama_pre(std::string_view name);

/// The name under which llama.cpp knows these stages; nothing when it has no equivalent.
std::optional<std::string> name_llama_pre(const PreTokenizer& pre_tokenizer, bool ignore_merges);

}  // namespace assay::text
