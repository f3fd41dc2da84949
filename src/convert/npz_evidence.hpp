#pragma once
#include <string>
#include <vector>

#include "convert/inspect.hpp"
#include "convert/tensor_groups.hpp"
#include "io/npz.hpp"

namespace assay {

/// Companions of a weight in an archive. Generation 1 of the converter that is met in the wild stored floats
/// with both of the first, generation 2 codes with the third.
inline constexpr const char* kNpzScaleV1 = "scale";
inline constexpr const char* kNpzZeroPointV1 = "zero_point";
inline constexpr const char* kNpzScale = "__scale__";

/// Counts what really lies in a weight that has such companions and writes it into `tensor`: for int8 codes
/// how many of the 255 are in use, their range, and the scale; for floats with a scale and a zero point how
/// many distinct values they have, which convicts them. What cannot be (a scale that is no positive number,
/// -128, codes that say nothing) is appended to `contradictions`. Other weights are left as they are. Reads
/// one array at a time.
void examine_npz_weight(const NpzFile& file, const TensorGroup& group, InspectedTensor& tensor,
                        std::vector<std::string>& contradictions);

}  // namespace assay
