#include "formats/search.hpp"

namespace assay {
namespace {

constexpr int kLanes = 16;
#include "formats/search_lanes.inl"

}  // namespace

const SearchTable kAvx512Search = {"avx512", fit_lines, fit_scales, fit_levels};

}  // namespace assay
