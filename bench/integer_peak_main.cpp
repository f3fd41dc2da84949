// Prints what one thread's registers can multiply: {"isa": "amx", "int8_macs_per_second": 3.9e12}.
#include <fmt/format.h>

#include "kernels/encoder_kernels.hpp"
#include "kernels/integer_peak.hpp"

int main() {
  const std::string_view isa = assay::encoder_kernels().isa;
  fmt::print("{{\"isa\": \"{}\", \"int8_macs_per_second\": {}}}\n", isa, assay::measure_integer_peak(isa));
}
