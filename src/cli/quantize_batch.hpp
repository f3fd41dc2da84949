#pragma once
#include <CLI/CLI.hpp>
#include <string>

#include "convert/batch_run.hpp"

namespace assay {

/// Options of `quantize --config models.yaml`, which converts the encoders that the file lists.
struct BatchFlags {
  std::string config, model;
  int bits = 0;
  bool no_skip = false;
};

void declare_batch_options(CLI::App& command, BatchFlags& flags);

/// What the options of `quantize` itself add.
struct BatchQuantizeRequest {
  std::string checkpoints;  ///< the positional SOURCE: the folder that holds checkpoints; may be empty
  std::string output;       ///< may be empty: models/mlx_converted_v2, as the converter before assay had it
  std::string recipe, embeddings, head;
  std::string evaluate;  ///< labelled texts for max_accuracy_drop; may be empty
  bool dry_run = false, overwrite = false, json = false;
  int threads = 0;
};

/// Runs the batch and prints what became of every entry. 1 when one failed or missed a gate.
int run_quantize_batch(const BatchFlags& flags, const BatchQuantizeRequest& request);

}  // namespace assay
