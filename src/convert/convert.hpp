#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "base/thread_pool.hpp"
#include "convert/manifest.hpp"
#include "convert/plan.hpp"

namespace assay {

struct ConvertOptions {
  bool overwrite = false;
  std::string output_name{};  ///< of the folder that a single recipe writes, instead of the plan's
};

/// Writes every recipe's output below `folder` (made when absent) and FOLDER/assay.json, one recipe after the
/// other, each straight from the checkpoint. All plans, names and the disk space are checked before the first
/// byte; an output appears under its final name complete or not at all. Throws Error for a source that is
/// quantized already, has no weights or no tokenizer, and for NaN, infinite or overflowing weights.
std::vector<ConvertedOutput> convert(const ConversionSource& source, const std::vector<Recipe>& recipes,
                                     const std::filesystem::path& folder, const ConvertOptions& options,
                                     ThreadPool& pool, Progress& progress);

}  // namespace assay
