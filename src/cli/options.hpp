#pragma once
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/compute.hpp"
#include "eval/measurement.hpp"

namespace assay {

/// Options every verb that runs a model shares.
struct RunOptions {
  int threads = 0;
  std::string compute = "fast";
  std::string kv;  ///< "": what the mode of computing keeps

  void declare(CLI::App& command);
  /// --kv, for verbs that run a decoder.
  void declare_kv(CLI::App& command);
  EngineOptions engine() const;
};

/// Accepts whole numbers from 1 on, up to what no sum of them can overflow.
inline const CLI::Range kCount(int64_t{1}, int64_t{1} << 40, "COUNT");

/// Adds the examples to the end of --help.
void add_examples(CLI::App& command, const std::string& examples);

/// The document as indented text with a line break at its end; bytes that are no UTF-8 are replaced.
std::string json_text(const nlohmann::ordered_json& document);

/// Prints one JSON document on stdout. NaN and infinities, which JSON lacks, become null.
void print_json(const nlohmann::ordered_json& document);

}  // namespace assay
