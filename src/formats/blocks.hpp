#pragma once
#include <bit>
#include <cstdint>

/// The blocks of ggml's formats as they lie in a file: little-endian, without padding between fields or
/// blocks. Plain structs that kernels share; the meaning of the values stands in each format's .cpp file.
/// Rows may be unaligned: copy a block out with memcpy, never cast a row pointer to a block.
/// Source: ggml src/ggml-common.h.
namespace assay {

static_assert(std::endian::native == std::endian::little, "packed weights are read in place");

inline constexpr int kBlockLen = 32;        ///< values of a simple block
inline constexpr int kSuperBlockLen = 256;  ///< values of a super-block (K-quants, IQ4_XS)

// Nibbles of a simple block: byte j holds value j below and value j + 16 above.
//
//            byte 0              byte 15
//   7..4   [ value 16 ]   …   [ value 31 ]
//   3..0   [ value  0 ]   …   [ value 15 ]

struct Q4_0Block {
  uint16_t scale;  ///< f16
  uint8_t nibbles[16];
};
static_assert(sizeof(Q4_0Block) == 18);

struct Q4_1Block {
  uint16_t scale;  ///< f16
  uint16_t min;    ///< f16
  uint8_t nibbles[16];
};
static_assert(sizeof(Q4_1Block) == 20);

struct Q5_0Block {
  uint16_t scale;        ///< f16
  uint8_t high_bits[4];  ///< bit j % 8 of byte j / 8: bit 4 of value j
  uint8_t nibbles[16];
};
static_assert(sizeof(Q5_0Block) == 22);

struct Q5_1Block {
  uint16_t scale;        ///< f16
  uint16_t min;          ///< f16
  uint8_t high_bits[4];  ///< as in Q5_0
  uint8_t nibbles[16];
};
static_assert(sizeof(Q5_1Block) == 24);

struct Q8_0Block {
  uint16_t scale;  ///< f16
  int8_t codes[32];
};
static_assert(sizeof(Q8_0Block) == 34);

/// 16 blocks of 16 values.
struct Q2_KBlock {
  uint8_t scales[16];  ///< low nibble: scale of block j, high nibble: min of block j
  uint8_t codes[64];   ///< 128 values in 32 bytes: bits 2k, 2k+1 of byte l hold value 32k + l
  uint16_t scale;      ///< f16, times the blocks' scales
  uint16_t min;        ///< f16, times the blocks' mins
};
static_assert(sizeof(Q2_KBlock) == 84);

/// 16 blocks of 16 values.
struct Q3_KBlock {
  uint8_t high_bits[32];  ///< bit k of byte l: bit 2 of value 32k + l
  uint8_t codes[64];      ///< as in Q2_K
  uint8_t scales[12];     ///< 16 scales of 6 bits: unpack_q3_scales()
  uint16_t scale;         ///< f16
};
static_assert(sizeof(Q3_KBlock) == 110);

/// 8 blocks of 32 values. Each 64 values use 32 bytes of nibbles: the first 32 below, the next 32 above.
struct Q4_KBlock {
  uint16_t scale;      ///< f16, times the blocks' scales
  uint16_t min;        ///< f16, times the blocks' mins
  uint8_t scales[12];  ///< 8 scales and 8 mins of 6 bits: super_block.hpp
  uint8_t nibbles[128];
};
static_assert(sizeof(Q4_KBlock) == 144);

/// Q4_K with a fifth bit per value.
struct Q5_KBlock {
  uint16_t scale;         ///< f16
  uint16_t min;           ///< f16
  uint8_t scales[12];     ///< as in Q4_K
  uint8_t high_bits[32];  ///< bit k of byte l: bit 4 of value 32k + l
  uint8_t nibbles[128];   ///< as in Q4_K
};
static_assert(sizeof(Q5_KBlock) == 176);

/// 16 blocks of 16 values. Each 128 values, seen as four runs of 32, use 64 bytes of nibbles and 32 bytes
/// of pairs:
///
///   low[l]      = run 0 below, run 2 above        (4 low bits of value l of the run)
///   low[l + 32] = run 1 below, run 3 above
///   high[l]     = run 0 in bits 0..1, run 1 in 2..3, run 2 in 4..5, run 3 in 6..7   (2 high bits)
struct Q6_KBlock {
  uint8_t low[128];
  uint8_t high[64];
  int8_t scales[16];
  uint16_t scale;  ///< f16, times the blocks' scales
};
static_assert(sizeof(Q6_KBlock) == 210);

struct IQ4_NLBlock {
  uint16_t scale;  ///< f16
  uint8_t nibbles[16];
};
static_assert(sizeof(IQ4_NLBlock) == 18);

/// 8 blocks of 32 values; the 16 bytes of nibbles of a block are laid out as in a simple block.
struct IQ4_XSBlock {
  uint16_t scale;         ///< f16
  uint16_t scales_high;   ///< bits 2j, 2j+1: bits 4..5 of the scale of block j
  uint8_t scales_low[4];  ///< nibble j: bits 0..3 of the scale of block j
  uint8_t nibbles[128];
};
static_assert(sizeof(IQ4_XSBlock) == 136);

struct Q8_1Block {
  uint16_t scale;  ///< f16
  uint16_t sum;    ///< f16: scale * (sum of the codes)
  int8_t codes[32];
};
static_assert(sizeof(Q8_1Block) == 36);

struct MXFP4Block {
  uint8_t exponent;     ///< E8M0: the scale is 2^(exponent - 127)
  uint8_t nibbles[16];  ///< as in Q4_0
};
static_assert(sizeof(MXFP4Block) == 17);

/// 4 blocks of 16 values; byte j of the 8 of a block holds value j below and value j + 8 above.
struct NVFP4Block {
  uint8_t scales[4];  ///< E4M3 without sign
  uint8_t nibbles[32];
};
static_assert(sizeof(NVFP4Block) == 36);

/// 256 values of three levels, five to a byte (four in the last four): tq1_0.cpp.
struct TQ1_0Block {
  uint8_t codes[52];
  uint16_t scale;  ///< f16
};
static_assert(sizeof(TQ1_0Block) == 54);

struct TQ2_0Block {
  uint8_t codes[64];  ///< as in Q2_K
  uint16_t scale;     ///< f16
};
static_assert(sizeof(TQ2_0Block) == 66);

// Formats of codebooks (iq_grids.hpp): `points` are numbers of points, 8 values each, in IQ3 4.

struct IQ2_XXSBlock {
  uint16_t scale;      ///< f16
  uint8_t points[64];  ///< per 32 values four points and a word: 4 * 7 signs, 4 bits of scale on top
};
static_assert(sizeof(IQ2_XXSBlock) == 66);

struct IQ2_XSBlock {
  uint16_t scale;     ///< f16
  uint8_t codes[64];  ///< 32 words: 9 bits of a point, 7 signs
  uint8_t scales[8];  ///< nibble b: scale of block b of 16
};
static_assert(sizeof(IQ2_XSBlock) == 74);

struct IQ2_SBlock {
  uint16_t scale;  ///< f16
  uint8_t points[32];
  uint8_t signs[32];
  uint8_t high_bits[8];  ///< bits 2j, 2j+1 of byte i: bits 8..9 of point 4i + j
  uint8_t scales[8];     ///< as in IQ2_XS
};
static_assert(sizeof(IQ2_SBlock) == 82);

struct IQ3_XXSBlock {
  uint16_t scale;  ///< f16
  uint8_t points[64];
  uint8_t signs[32];  ///< 8 words: 4 * 7 signs, 4 bits of scale on top
};
static_assert(sizeof(IQ3_XXSBlock) == 98);

struct IQ3_SBlock {
  uint16_t scale;  ///< f16
  uint8_t points[64];
  uint8_t high_bits[8];  ///< bit j of byte i: bit 8 of point 8i + j
  uint8_t signs[32];     ///< bit j of byte i: value 8i + j
  uint8_t scales[4];     ///< nibble b: scale of block b of 32
};
static_assert(sizeof(IQ3_SBlock) == 110);

struct IQ1_SBlock {
  uint16_t scale;  ///< f16
  uint8_t points[32];
  uint8_t high_bits[16];  ///< 8 words: 4 * 3 high bits of points, 3 bits of scale, the sign of the shift
};
static_assert(sizeof(IQ1_SBlock) == 50);

struct IQ1_MBlock {
  uint8_t points[32];
  uint8_t high_bits[16];  ///< nibble l: 3 high bits of point l, and the sign of its shift
  uint8_t scales[8];      ///< 4 words: 4 * 3 bits of scales, and a nibble of the f16 scale on top
};
static_assert(sizeof(IQ1_MBlock) == 56);

/// The 16 levels of IQ4_NL and IQ4_XS. Source: kvalues_iq4nl in ggml-common.h.
inline constexpr int8_t kIQ4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

}  // namespace assay
