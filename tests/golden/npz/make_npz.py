#!/usr/bin/env python3
"""Writes the archives of this folder with numpy alone: what two generations of an encoder converter left behind.

v1.npz        "8-bit" that was written back: f32 = (q - zero_point) * scale, both scalars beside it, so that
              every matrix has at most 256 distinct values and not a byte is saved.
v2.npz        true int8: codes and one f32 scale per tensor under NAME.__scale__; vectors and embeddings f32.
v2-4bit.npz   "4-bit": codes of -7 to 7, still one byte each.
v2-dead.npz   v2 whose codes are all 0 or 1: bytes saved, nothing said.
v2-faults.npz v2 with a scale of NaN, a code of -128 and a scale beside no codes.
zip64.npz     members whose sizes stand in zip64 fields although they are small.

Matrices are 24 x 32 draws of a normal distribution, seed 7. `python3 make_npz.py` reproduces the bytes.
"""
import io
import pathlib
import zipfile

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
LAYERS = [f"transformer.layer.0.attention.{part}_lin" for part in "qv"]


def weights():
    rng = np.random.default_rng(7)
    tensors = {"embeddings.word_embeddings.weight": rng.normal(0, 0.05, (40, 32))}
    for layer in LAYERS:
        tensors[f"{layer}.weight"] = rng.normal(0, 0.05, (24, 32))
        tensors[f"{layer}.bias"] = rng.normal(0, 0.01, 24)
    return {name: values.astype(np.float32) for name, values in tensors.items()}


def is_quantized(name):
    return name.endswith("_lin.weight")


def quantize_v1(values):
    low, high = values.min(), values.max()
    scale = (high - low) / np.float32(255)
    zero_point = np.float32(-128) - low / scale
    codes = np.clip(np.round(values / scale + zero_point), -128, 127)
    return ((codes - zero_point) * scale).astype(np.float32), scale, zero_point


def quantize_v2(values, top):
    scale = np.float32(np.abs(values).max() / np.float32(top))
    return np.clip(np.rint(values / scale), -top, top).astype(np.int8), scale


def v1():
    arrays = {}
    for name, values in weights().items():
        arrays[name] = values
        if is_quantized(name):
            arrays[name], arrays[f"{name}.scale"], arrays[f"{name}.zero_point"] = quantize_v1(values)
    return arrays


def v2(top=127):
    arrays = {}
    for name, values in weights().items():
        arrays[name] = values
        if is_quantized(name):
            arrays[name], arrays[f"{name}.__scale__"] = quantize_v2(values, top)
    return arrays


def dead():
    arrays = v2()
    for layer in LAYERS:
        arrays[f"{layer}.weight"] = (arrays[f"{layer}.weight"] > 0).astype(np.int8)
    return arrays


def faults():
    arrays = v2()
    arrays[f"{LAYERS[0]}.weight.__scale__"] = np.float32(np.nan)
    arrays[f"{LAYERS[1]}.weight"][0, 0] = -128
    arrays[f"{LAYERS[1]}.bias.__scale__"] = np.float32(0.5)
    return arrays


def save(name, arrays, force_zip64=False):
    with zipfile.ZipFile(HERE / name, "w", zipfile.ZIP_STORED if force_zip64 else zipfile.ZIP_DEFLATED) as archive:
        for key, values in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asanyarray(values), version=(1, 0))
            info = zipfile.ZipInfo(f"{key}.npy")  # no time stamp, so that the bytes repeat
            info.compress_type = archive.compression
            with archive.open(info, "w", force_zip64=force_zip64) as member:
                member.write(buffer.getvalue())


save("v1.npz", v1())
save("v2.npz", v2())
save("v2-4bit.npz", v2(7))
save("v2-dead.npz", dead())
save("v2-faults.npz", faults())
save("zip64.npz", {"scale": np.float32(0.125), "codes": np.arange(-6, 6, dtype=np.int8).reshape(3, 4)}, True)
