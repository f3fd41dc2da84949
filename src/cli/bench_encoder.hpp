#pragma once
#include <nlohmann/json.hpp>
#include <string>

#include "engine/compute.hpp"

namespace assay {

struct EncoderBenchOptions {
  std::string ids{};  ///< JSON Lines, each line one batch: a list of lists of token ids. Empty: random ids
                      ///< in the shapes 1x16 and 32x128, and a mix of lengths
  std::string vectors{};  ///< where to write the vectors of the last pass: little-endian f32, [texts, dim],
                          ///< in the order of the file. Empty: nowhere. Needs `ids`
  int64_t repeats = 5;
  int64_t warmup = 1;
};

/// Times an encoder from ids to pooled vectors (a model's Dense modules left out; normalized where the
/// model's files say so). Returns one row a workload, as `bench --json` lists runs, with the unit "s": a pass
/// over all its batches. Throws Error when the file holds anything else, or for ids the model cannot take.
nlohmann::ordered_json measure_encoder(const std::string& path, const EngineOptions& engine,
                                       const EncoderBenchOptions& options);

/// Prints the rows of measure_encoder for people.
void print_encoder_runs(const nlohmann::ordered_json& document);

}  // namespace assay
