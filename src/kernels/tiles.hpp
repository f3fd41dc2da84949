#pragma once

namespace assay {

/// Whether this process may use AMX's tiles for int8. Asks Linux for them the first time; what it grants
/// holds for every thread of the process.
bool may_use_tiles() noexcept;

}  // namespace assay
