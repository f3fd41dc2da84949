#!/usr/bin/env python3
"""Writes the golden files beside this script with the containers' own writers.

    pip install gguf numpy safetensors && python3 tests/golden/io/make_golden.py

The C++ tests write the same content (or read it back) and compare every byte. All numbers are small formulas,
so that both sides can state them. Made with gguf 0.19.0, numpy 2.4.6, safetensors 0.8.0.
"""
import io
import pathlib
import zipfile

import gguf
import numpy as np
import safetensors.numpy

HERE = pathlib.Path(__file__).parent


def write_gguf():
    """Every metadata type, every array type, and tensors whose sizes need padding."""
    writer = gguf.GGUFWriter(HERE / "every_type.gguf", "assay-golden")
    writer.add_uint8("a.u8", 200)
    writer.add_int8("a.i8", -100)
    writer.add_uint16("a.u16", 60000)
    writer.add_int16("a.i16", -30000)
    writer.add_uint32("a.u32", 4000000000)
    writer.add_int32("a.i32", -2000000000)
    writer.add_float32("a.f32", 1.5e-5)
    writer.add_bool("a.bool", True)
    writer.add_string("a.string", "grüße\n")
    writer.add_uint64("a.u64", 2**64 - 1)
    writer.add_int64("a.i64", -(2**63))
    writer.add_float64("a.f64", 0.1)
    element = gguf.GGUFValueType
    for name, values, kind in [
        ("u8", [0, 255], element.UINT8),
        ("i8", [-128, 127], element.INT8),
        ("u16", [0, 65535], element.UINT16),
        ("i16", [-32768, 32767], element.INT16),
        ("u32", [0, 2**32 - 1], element.UINT32),
        ("i32", [-(2**31), 2**31 - 1], element.INT32),
        ("f32", [0.25, -0.0], element.FLOAT32),
        ("bool", [True, False], element.BOOL),
        ("string", ["", "x", "▁y"], element.STRING),
        ("u64", [2**64 - 1], element.UINT64),
        ("i64", [-(2**63)], element.INT64),
        ("f64", [0.1, 1e300], element.FLOAT64),
    ]:
        writer.add_key_value(f"array.{name}", values, element.ARRAY, sub_type=kind)
    writer.add_tensor("plain", np.arange(15, dtype=np.float32).reshape(5, 3))
    writer.add_tensor("half", (np.arange(8, dtype=np.float32) / 4).astype(np.float16))
    blocks = (np.arange(2 * 68) % 251).astype(np.uint8).reshape(2, 68)
    writer.add_tensor("blocks", blocks, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


ARRAYS = {
    "scale": np.float32(0.125),
    "layer.weight": np.arange(-6, 6, dtype=np.int8).reshape(3, 4),
    "bytes": np.arange(5, dtype=np.uint8),
    "flags": np.array([True, False, True]),
    "half": (np.arange(6, dtype=np.float32) / 2).astype(np.float16).reshape(2, 3),
    "long": np.array([-(2**63), 2**63 - 1], dtype=np.int64),
    "columns": np.asfortranarray(np.arange(24, dtype=np.float32).reshape(2, 3, 4)),
    "empty": np.zeros((0, 7), dtype=np.float32),
}


def write_npz():
    np.savez(HERE / "stored.npz", **ARRAYS)
    np.savez_compressed(HERE / "deflated.npz", **ARRAYS)
    # Header formats 2 and 3, which numpy itself chooses only for long or non-Latin headers.
    with zipfile.ZipFile(HERE / "versions.npz", "w") as archive:
        for major in (1, 2, 3):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.arange(major, dtype=np.float32), version=(major, 0))
            archive.writestr(zipfile.ZipInfo(f"v{major}.npy"), buffer.getvalue())


def write_safetensors():
    tensors = {
        "matrix": np.arange(6, dtype=np.float32).reshape(2, 3),
        "scalar": np.array(7, dtype=np.int64),
        "bytes": np.arange(3, dtype=np.uint8),
    }
    safetensors.numpy.save_file(tensors, HERE / "small.safetensors", metadata={"format": "pt"})


write_gguf()
write_npz()
write_safetensors()
