#include "text/decoder.hpp"

#include <algorithm>

#include "text/json_fields.hpp"
#include "text/normalizer.hpp"
#include "text/unicode.hpp"

namespace assay::text {
namespace {

using nlohmann::json;
using Pieces = std::vector<std::string>;

/// One piece back to its bytes; a piece with a character outside the alphabet stays as it is.
std::string decode_byte_level(const std::string& piece) {
  std::string bytes;
  for (size_t at = 0; at < piece.size();) {
    const auto byte = byte_of_byte_level(read_code_point(piece, at));
    if (!byte) return piece;
    bytes.push_back(static_cast<char>(*byte));
  }
  return bytes;
}

Pieces decode_byte_fallback(const Pieces& pieces, bool whole_runs) {
  Pieces out;
  std::string run;
  const auto flush = [&] {
    if (run.empty()) return;
    if (!whole_runs || is_valid_utf8(run)) {
      out.push_back(run);
    } else {
      for (size_t i = 0; i < run.size(); ++i) out.emplace_back("\xEF\xBF\xBD");
    }
    run.clear();
  };
  for (const std::string& piece : pieces) {
    if (const auto byte = byte_of_byte_token(piece)) {
      run.push_back(static_cast<char>(*byte));
      continue;
    }
    flush();
    out.push_back(piece);
  }
  flush();
  return out;
}

std::string strip_piece(std::string_view piece, const StripDecode& step) {
  for (size_t i = 0; i < step.start && piece.starts_with(step.content); ++i)
    piece.remove_prefix(step.content.size());
  for (size_t i = 0; i < step.stop && piece.ends_with(step.content); ++i)
    piece.remove_suffix(step.content.size());
  return std::string(piece);
}

/// English punctuation and contractions that WordPiece separates (decoders/wordpiece.rs, cleanup).
std::string clean_up(std::string piece) {
  static constexpr std::pair<const char*, const char*> kRules[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kRules) piece = replace_all(piece, from, to);
  return piece;
}

struct Apply {
  Pieces pieces;
  bool at_start, at_end;
  bool fused;  ///< an earlier step has put all pieces together

  template <typename Change>
  Pieces each(Change change) {
    for (size_t i = 0; i < pieces.size(); ++i) pieces[i] = change(pieces[i], at_start && i == 0);
    return std::move(pieces);
  }

  Pieces operator()(const ByteLevelDecode&) {
    std::string bytes;
    for (const std::string& piece : pieces) bytes += decode_byte_level(piece);
    return {std::move(bytes)};
  }
  Pieces operator()(const ByteFallbackDecode& step) { return decode_byte_fallback(pieces, step.whole_runs); }
  Pieces operator()(const FuseDecode&) {
    std::string text;
    for (const std::string& piece : pieces) text += piece;
    return {std::move(text)};
  }
  Pieces operator()(const StripDecode& step) {
    if (fused && !at_start) return std::move(pieces);
    return each([&](const std::string& piece, bool) { return strip_piece(piece, step); });
  }
  Pieces operator()(const ReplaceDecode& step) {
    return each(
        [&](const std::string& piece, bool) { return replace_pattern(piece, step.pattern, step.content); });
  }
  Pieces operator()(const MetaspaceDecode& step) {
    return each([&](const std::string& piece, bool first) {
      return replace_all(piece, step.replacement, first && step.drops_first ? "" : " ");
    });
  }
  Pieces operator()(const WordPieceDecode& step) {
    return each([&](const std::string& piece, bool first) {
      std::string text = first                            ? piece
                         : piece.starts_with(step.prefix) ? piece.substr(step.prefix.size())
                                                          : " " + piece;
      return step.cleanup ? clean_up(std::move(text)) : text;
    });
  }
  Pieces operator()(const BpeDecode& step) {
    const size_t last = at_end ? pieces.size() - 1 : pieces.size();
    for (size_t i = 0; i < pieces.size(); ++i)
      pieces[i] = replace_all(pieces[i], step.suffix, i == last ? "" : " ");
    return std::move(pieces);
  }
  Pieces operator()(const JoinWithSpaces&) {
    return each([](const std::string& piece, bool first) { return first ? piece : " " + piece; });
  }
};

/// A Strip behind Fuse works on the text's two ends; the left one is settled once there is any text.
Decoder::Cut find_cut(const std::vector<DecoderStep>& steps) {
  auto cut = Decoder::Cut::kAnywhere;
  bool fused = false;
  for (const DecoderStep& step : steps) {
    const auto* strip = std::get_if<StripDecode>(&step);
    if (fused && !std::holds_alternative<FuseDecode>(step) && !(strip != nullptr && strip->stop == 0))
      return Decoder::Cut::kNowhere;
    if (std::holds_alternative<BpeDecode>(step)) cut = Decoder::Cut::kOneBehind;
    if (const auto* bytes = std::get_if<ByteFallbackDecode>(&step); bytes != nullptr && bytes->whole_runs)
      cut = Decoder::Cut::kOutsideBytes;
    fused |= std::holds_alternative<FuseDecode>(step) || std::holds_alternative<ByteLevelDecode>(step);
  }
  return cut;
}

StripDecode strip_from_json(const json& object, const std::string& where) {
  StripDecode step{string_field(object, "content", where), 0, 0};
  const int64_t start = integer_field(object, "start", where), stop = integer_field(object, "stop", where);
  if (step.content.empty() || start < 0 || stop < 0) throw Error({"malformed Strip", where, {}, {}, {}});
  step.start = static_cast<size_t>(start);
  step.stop = static_cast<size_t>(stop);
  return step;
}

void read_step(const json& object, const std::string& where, std::vector<DecoderStep>& steps) {
  const std::string& type = string_field(object, "type", where);
  if (type == "Sequence") {
    for (const json& child : array_field(object, "decoders", where)) read_step(child, where, steps);
  } else if (type == "ByteLevel") {
    steps.emplace_back(ByteLevelDecode{});
  } else if (type == "ByteFallback") {
    steps.emplace_back(ByteFallbackDecode{});
  } else if (type == "Fuse") {
    steps.emplace_back(FuseDecode{});
  } else if (type == "Strip") {
    steps.emplace_back(strip_from_json(object, where));
  } else if (type == "Replace") {
    steps.emplace_back(
        ReplaceDecode{pattern_from_json(object, where), string_field(object, "content", where)});
  } else if (type == "Metaspace") {
    const std::string scheme = optional_string_field(object, "prepend_scheme", where);
    const bool prepends =
        scheme.empty() ? bool_field(object, "add_prefix_space", true, where) : scheme != "never";
    std::string replacement = string_field(object, "replacement", where);
    if (replacement.empty()) throw Error({"Metaspace needs a replacement character", where, {}, {}, {}});
    steps.emplace_back(MetaspaceDecode{std::move(replacement), prepends});
  } else if (type == "WordPiece") {
    steps.emplace_back(
        WordPieceDecode{string_field(object, "prefix", where), bool_field(object, "cleanup", true, where)});
  } else if (type == "BPEDecoder") {
    std::string suffix = string_field(object, "suffix", where);
    if (suffix.empty()) throw Error({"BPEDecoder needs a suffix", where, {}, {}, {}});
    steps.emplace_back(BpeDecode{std::move(suffix)});
  } else {
    throw unsupported("decoder", type, where);
  }
}

}  // namespace

Decoder::Decoder(std::vector<DecoderStep> steps) : steps_(std::move(steps)), cut_(find_cut(steps_)) {}

Decoder Decoder::from_json(const json& object, const std::string& where) {
  std::vector<DecoderStep> steps;
  if (object.is_null())
    steps.emplace_back(JoinWithSpaces{});
  else
    read_step(object, where + ": decoder", steps);
  return Decoder(std::move(steps));
}

std::string Decoder::decode(std::vector<std::string> pieces, bool at_start, bool at_end) const {
  if (pieces.empty()) return {};
  bool fused = false;
  for (const DecoderStep& step : steps_) {
    // Steps behind the byte level work on characters, as Hugging Face's do.
    if (fused) pieces[0] = replace_invalid_utf8(pieces[0]);
    pieces = std::visit(Apply{std::move(pieces), at_start, at_end, fused}, step);
    fused = pieces.size() == 1 && (std::holds_alternative<FuseDecode>(step) ||
                                   std::holds_alternative<ByteLevelDecode>(step) || fused);
  }
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return text;
}

}  // namespace assay::text
