#!/usr/bin/env python3
"""Writes src/formats/iq_grids.cpp, the codebooks of ggml's IQ1, IQ2 and IQ3, from those of gguf-py.

  make_iq_grids.py > src/formats/iq_grids.cpp     needs numpy and gguf

Each entry is a point of 8 (IQ1, IQ2) or 4 (IQ3) coordinates. The script stores the index of each coordinate in
its small list of levels, 2 or 3 bits, the first in the lowest bits.
"""
import numpy as np
from gguf import quants

TABLES = [
    ("kIQ2XXSGrid", quants.IQ2_XXS, (8, 25, 43), 2),
    ("kIQ2XSGrid", quants.IQ2_XS, (8, 25, 43), 2),
    ("kIQ2SGrid", quants.IQ2_S, (8, 25, 43), 2),
    ("kIQ3XXSGrid", quants.IQ3_XXS, (4, 12, 20, 28, 36, 44, 52, 62), 3),
    ("kIQ3SGrid", quants.IQ3_S, (1, 3, 5, 7, 9, 11, 13, 15), 3),
    ("kIQ1Grid", quants.IQ1_S, (-1, 0, 1), 2),
]


def pack(kind, levels, bits):
    kind.init_grid()
    points = kind.grid.reshape(kind.grid_shape).astype(int)
    for point in points:
        yield sum(levels.index(value) << bits * i for i, value in enumerate(point))


def main():
    print("// Made by tools/make_iq_grids.py from gguf-py's tables; see iq_grids.hpp.")
    print('#include "formats/iq_grids.hpp"\n\nnamespace assay {\n\n// clang-format off')
    for name, kind, levels, bits in TABLES:
        words = [f"0x{word:04x}" for word in pack(kind, levels, bits)]
        print(f"const uint16_t {name}[{len(words)}] = {{")
        for i in range(0, len(words), 13):
            print("  " + ", ".join(words[i : i + 13]) + ",")
        print("};\n")
    print("// clang-format on\n\n}  // namespace assay")


if __name__ == "__main__":
    main()
