#include "kernels/encoder_kernels.hpp"

#include <cstdlib>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "kernels/encoder_float_isa.hpp"
#include "kernels/encoder_int_isa.hpp"
#include "kernels/kernels.hpp"
#include "kernels/tiles.hpp"

namespace assay {
namespace {

constexpr EncoderKernels join(std::string_view isa, const EncoderIntIsa& integers,
                              const EncoderFloatIsa& floats) {
  return {
      .isa = isa,
      .int8_panel_bytes = integers.int8_panel_bytes,
      .int4_panel_bytes = integers.int4_panel_bytes,
      .f32_panel_bytes = floats.f32_panel_bytes,
      .pack_int8 = integers.pack_int8,
      .pack_int4 = integers.pack_int4,
      .pack_f32 = floats.pack_f32,
      .quantize_tokens = integers.quantize_tokens,
      .multiply_int8 = integers.multiply_int8,
      .multiply_int4 = integers.multiply_int4,
      .multiply_f32 = floats.multiply_f32,
      .layer_norm = floats.layer_norm,
      .activate = floats.activate,
      .attend = floats.attend,
  };
}

std::vector<const EncoderKernels*> find_tables() {
  static const EncoderKernels kScalar = join("scalar", kScalarEncoderInt, kScalarEncoderFloat);
  std::vector<const EncoderKernels*> tables = {&kScalar};
#if defined(__x86_64__) && !defined(ASSAY_SCALAR_ONLY)
  static const EncoderKernels kAvx2 = join("avx2", kAvx2EncoderInt, kAvx2EncoderFloat);
  static const EncoderKernels kAvx512 = join("avx512vnni", kAvx512EncoderInt, kAvx512EncoderFloat);
  static const EncoderKernels kAmx = join("amx", kAmxEncoderInt, kAvx512EncoderFloat);
  // The names of kernels() are the processor's: what it can run there, it can run here.
  for (const KernelTable* table : available_kernels()) {
    if (table->isa == kAvx2.isa) tables.push_back(&kAvx2);
    if (table->isa == kAvx512.isa) tables.push_back(&kAvx512);
  }
  if (tables.back() == &kAvx512 && may_use_tiles()) tables.push_back(&kAmx);
#endif
  return tables;
}

const EncoderKernels& choose_table() {
  const auto tables = available_encoder_kernels();
  const char* named = std::getenv("ASSAY_ISA");
  if (named == nullptr || *named == '\0') return *tables.back();
  std::string known;
  for (const EncoderKernels* candidate : tables) {
    if (candidate->isa == named) return *candidate;
    known += known.empty() ? "" : ", ";
    known += candidate->isa;
  }
  throw Error(Fault{.what = "this processor has no such instruction set",
                    .where = "ASSAY_ISA",
                    .expected = known,
                    .found = named,
                    .cause = {}});
}

}  // namespace

std::span<const EncoderKernels* const> available_encoder_kernels() noexcept {
  static const std::vector<const EncoderKernels*> kTables = find_tables();
  return kTables;
}

const EncoderKernels& encoder_kernels() {
  static const EncoderKernels& kChosen = choose_table();
  return kChosen;
}

}  // namespace assay
