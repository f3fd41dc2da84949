#pragma once
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/compute.hpp"

namespace assay {

/// Options every verb that runs a model shares.
struct RunOptions {
  int threads = 0;
  std::string compute = "fast";

  void declare(CLI::App& command);
  EngineOptions engine() const;
};

/// Accepts whole numbers from 1 on, up to what no sum of them can overflow.
inline const CLI::Range kCount(int64_t{1}, int64_t{1} << 40, "COUNT");

/// Adds the examples to the end of --help.
void add_examples(CLI::App& command, const std::string& examples);

/// Prints one JSON document on stdout. NaN and infinities, which JSON lacks, become null.
void print_json(const nlohmann::ordered_json& document);

}  // namespace assay
