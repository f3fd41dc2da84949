#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "base/thread_pool.hpp"
#include "convert/plan.hpp"
#include "convert/quantize_tensor.hpp"
#include "io/npz_writer.hpp"

namespace assay {

/// The scale of a whole tensor whose largest magnitude is `largest`: codes of ±127 reach it. 1 for a tensor
/// of zeros, and where the quotient is too small for a float.
float npz_scale(float largest) noexcept;
/// round(value / scale) half to even, between -127 and 127. A value is code * scale.
int8_t npz_code(float value, float scale) noexcept;

/// Completes the plan of an npz output: names without the prefix of the base model ("distilbert."), bytes
/// with one scale a tensor instead of one a row, weights.npz, and the output's name, "NAME-mlx-q8-v2".
void plan_npz(const ConversionSource& source, Plan& plan);

/// The arrays of weights.npz: every tensor, and behind int8 codes their scale, NAME.__scale__, without
/// dimensions.
std::vector<NpzSpec> npz_specs(const Plan& plan);

/// Writes weights.npz, config.json, README.md and the files that travel on into `folder` and returns their
/// names. Weights are read in chunks of rows, rows in parallel; int8 ones twice, first for the scale.
/// `errors` gets one entry per planned tensor. Throws Error for NaN, infinite and overflowing weights.
std::vector<std::string> write_npz_output(const std::filesystem::path& folder, const ConversionSource& source,
                                          const Plan& plan, ThreadPool& pool, Progress& progress,
                                          std::vector<WeightError>& errors);

}  // namespace assay
