#pragma once
#include "models/architecture.hpp"

namespace assay {

extern const Architecture kBert;

}  // namespace assay
