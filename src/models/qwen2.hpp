#pragma once
#include "models/architecture.hpp"

namespace assay {

extern const Architecture kQwen2;

}  // namespace assay
