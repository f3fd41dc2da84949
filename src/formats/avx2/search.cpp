#include "formats/search.hpp"

namespace assay {
namespace {

constexpr int kLanes = 8;
#include "formats/search_lanes.inl"

}  // namespace

const SearchTable kAvx2Search = {"avx2", fit_lines, fit_scales, fit_levels};

}  // namespace assay
