#pragma once
#include <string_view>

namespace assay {

/// The project's version, as CMakeLists.txt declares it (a test compares the two).
inline constexpr std::string_view kToolVersion = "0.1.0";

}  // namespace assay
