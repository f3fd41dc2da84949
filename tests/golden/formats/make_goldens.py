#!/usr/bin/env python3
"""Packs a few rows with the formats' own reference implementations.

  make_goldens.py --ggml libggml-base.so    needs numpy and gguf (gguf-py checks ggml's decoding)
  make_goldens.py --decode                  needs numpy and gguf
  make_goldens.py --mlx                     needs numpy and mlx

Writes beside itself:
  source.f32       ROWS rows of COLS float32, written by either call
  importance.f32   COLS float32
  ggml.txt, mlx.txt   one line per case: name rows offset bytes... sha256-of-decoded-float32
  ggml.bin, mlx.bin   the packed bytes the lines point into

Lines of ggml.txt: FORMAT plain|importance OFFSET BYTES SHA256
Lines of decode.txt: FORMAT OFFSET BYTES SHA256, of random blocks
Lines of mlx.txt:  BITS GROUP DTYPE OFFSET CODE_BYTES SCALE_BYTES BIAS_BYTES SHA256
MLX packs MLX_ROWS rows, rounded to DTYPE first. All rows of a case are contiguous: codes, scales, biases.
"""
import argparse
import ctypes
import hashlib
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
ROWS, COLS, MLX_ROWS = 12, 512, 4


def make_source():
    rng = np.random.default_rng(20240229)
    rows = rng.standard_normal((ROWS, COLS)) * 0.02
    rows[1] *= np.exp(rng.standard_normal(COLS))  # heavy tails
    rows[2] = np.round(rows[2] * 100) / 64  # many equal values, many ties
    rows[3, ::61] += 1.5  # outliers
    rows[4] = np.abs(rows[4]) + 0.01  # all positive
    rows[5] = -np.abs(rows[5]) - 0.01  # all negative
    rows[6, :256] = 0  # zeros beside numbers
    rows[7] = np.repeat(rng.standard_normal(COLS // 32), 32)  # constant blocks
    rows[8] *= np.repeat(10.0 ** rng.uniform(-4, 2, COLS // 32), 32)  # blocks of very different size
    rows[9] *= 300  # large
    rows[10] = np.linspace(-1, 1, COLS)
    rows[11, 17] = 8.0  # one spike
    importance = np.exp(rng.standard_normal(COLS) * 1.5)
    return rows.astype(np.float32), importance.astype(np.float32)


def digest(values):
    return hashlib.sha256(np.ascontiguousarray(values, dtype=np.float32).tobytes()).hexdigest()


class Writer:
    def __init__(self, stem):
        self.stem, self.data, self.lines = stem, bytearray(), []

    def add(self, words, parts, decoded):
        offset = len(self.data)
        for part in parts:
            self.data += part
        sizes = [str(len(part)) for part in parts]
        self.lines.append(" ".join([*map(str, words), str(offset), *sizes, digest(decoded)]))

    def write(self):
        (HERE / f"{self.stem}.bin").write_bytes(self.data)
        (HERE / f"{self.stem}.txt").write_text("\n".join(self.lines) + "\n")


def pack_ggml(library, source, importance):
    from gguf import GGMLQuantizationType, quants

    ggml = ctypes.CDLL(library)
    ggml.ggml_row_size.restype = ctypes.c_size_t
    ggml.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    writer = Writer("ggml")

    def pack(name, weights):
        kind = GGMLQuantizationType[name]
        quantize = getattr(ggml, f"quantize_{name.lower().replace('_k', '_K')}")
        quantize.restype = ctypes.c_size_t
        row_bytes = ggml.ggml_row_size(kind.value, COLS)
        out = np.zeros((ROWS, row_bytes), dtype=np.uint8)
        quantize(
            source.ctypes.data_as(ctypes.c_void_p),
            out.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(ROWS),
            ctypes.c_int64(COLS),
            None if weights is None else weights.ctypes.data_as(ctypes.c_void_p),
        )
        decoded = np.empty((ROWS, COLS), dtype=np.float32)
        getattr(ggml, f"dequantize_row_{name.lower().replace('_k', '_K')}")(
            out.ctypes.data_as(ctypes.c_void_p),
            decoded.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(ROWS * COLS),
        )
        by_gguf = quants.dequantize(out, kind)
        assert np.array_equal(decoded, by_gguf), f"gguf-py decodes {name} differently"
        writer.add([name, "plain" if weights is None else "importance"], [out.tobytes()], decoded)

    for name in ["Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "Q2_K", "Q3_K", "IQ4_NL", "IQ4_XS"]:
        pack(name, None)
    for name in ["Q4_K", "Q5_K", "Q6_K", "Q2_K", "Q3_K", "IQ4_NL", "IQ4_XS"]:
        pack(name, importance)
    for name in ["MXFP4", "NVFP4", "TQ1_0", "TQ2_0"]:
        pack(name, None)
    writer.write()


# Where the f16 scales of a block lie, so that random bytes can be kept finite there: bit 14 is cleared.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q8_1": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "TQ1_0": [52], "TQ2_0": [64], "MXFP4": [], "NVFP4": [],
    "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0],
    "IQ1_S": [0], "IQ1_M": [54], "IQ4_NL": [0], "IQ4_XS": [0],
}  # fmt: skip


def decode_random():
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

    rng = np.random.default_rng(20250606)
    writer = Writer("decode")
    for name, scales in SCALES.items():
        kind = GGMLQuantizationType[name]
        length, size = GGML_QUANT_SIZES[kind]
        if name == "Q8_1":
            size = 36  # gguf-py has 40: the block when its numbers were f32
        # IQ1 has 2048 points, 32 in a block: enough blocks that most of them occur.
        n_blocks = 40 if length == 256 else 20
        blocks = rng.integers(0, 256, (n_blocks, size), dtype=np.uint8)
        for at in scales:
            blocks[:, at + 1] &= 0xBF
        if name == "Q8_1":  # which gguf-py leaves out: scale * code
            scale = blocks[:, :2].copy().view(np.float16).astype(np.float32)
            decoded = blocks[:, 4:].view(np.int8).astype(np.float32) * scale
        else:
            decoded = quants.dequantize(blocks, kind)
        writer.add([name], [blocks.tobytes()], decoded)
    writer.write()


def pack_mlx(source):
    import mlx.core as mx

    mx.set_default_device(mx.cpu)
    writer = Writer("mlx")
    rows = source[:MLX_ROWS]
    for dtype, name in [(mx.float32, "F32"), (mx.float16, "F16"), (mx.bfloat16, "BF16")]:
        weights = mx.array(rows).astype(dtype)
        for bits in [2, 3, 4, 5, 6, 8]:
            for group in [32, 64, 128]:
                codes, scales, biases = mx.quantize(weights, group_size=group, bits=bits)
                decoded = mx.dequantize(
                    codes, scales.astype(mx.float32), biases.astype(mx.float32), group_size=group, bits=bits
                )
                parts = [np.array(codes).tobytes()]
                for numbers in (scales, biases):
                    raw = numbers if dtype == mx.float32 else numbers.view(mx.uint16)
                    parts.append(np.array(raw).tobytes())
                writer.add([bits, group, name], parts, np.array(decoded))
    writer.write()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ggml", help="path of libggml-base.so")
    parser.add_argument("--decode", action="store_true", help="random blocks as gguf-py decodes them")
    parser.add_argument("--mlx", action="store_true")
    options = parser.parse_args()
    source, importance = make_source()
    (HERE / "source.f32").write_bytes(source.tobytes())
    (HERE / "importance.f32").write_bytes(importance.tobytes())
    if options.ggml:
        pack_ggml(options.ggml, source, importance)
    if options.decode:
        decode_random()
    if options.mlx:
        pack_mlx(source)


if __name__ == "__main__":
    main()
