#pragma once
#include "models/architecture.hpp"

namespace assay {

extern const Architecture kQwen3;

}  // namespace assay
