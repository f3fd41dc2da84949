#!/usr/bin/env python3
"""Holds the #include lines of src/ to the directions of dependency drawn in docs/architecture.md.

A file of one room may include headers of its own room and of the rooms listed for it, directly. Exits 1 and
names file, line and arrow when one points another way. --self-test plants a wrong arrow and must find it.
"""
import pathlib
import re
import sys
import tempfile

BELOW = {"base": [], "tensor": ["base"]}
BELOW["formats"] = BELOW["io"] = ["base", "tensor"]
BELOW["kernels"] = ["base", "tensor", "formats"]
BELOW["text"] = ["base", "tensor", "io"]
BELOW["models"] = ["base", "tensor", "formats", "io"]
BELOW["convert"] = ["base", "tensor", "formats", "io", "kernels", "text", "models"]
BELOW["engine"] = ["base", "tensor", "formats", "io", "kernels", "text", "models"]
BELOW["eval"] = BELOW["engine"] + ["engine"]
BELOW["report"] = BELOW["eval"] + ["eval"]
BELOW["api"] = BELOW["convert"] + ["convert", "engine"]
BELOW["cli"] = BELOW["report"] + ["report", "convert"]

INCLUDE = re.compile(r'^\s*#\s*include\s+"([a-z_]+)/')


def wrong_arrows(source):
    """Yields one line of text for each include that the table does not allow."""
    for path in sorted(source.rglob("*")):
        if path.suffix not in {".cpp", ".hpp", ".inl"}:
            continue
        room = path.relative_to(source).parts[0]
        if room not in BELOW:
            yield f"{path}: a room that {pathlib.Path(__file__).name} does not know"
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if match and match[1] in BELOW and match[1] != room and match[1] not in BELOW[room]:
                yield f"{path}:{number}: {room} must not include {match[1]}"


def self_test():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "io").mkdir()
        (root / "io/good.cpp").write_text('#include "base/file.hpp"\n#include "io/gguf.hpp"\n')
        assert not list(wrong_arrows(root))
        (root / "io/bad.cpp").write_text('#include "engine/decoder.hpp"\n')
        assert len(list(wrong_arrows(root))) == 1


def main():
    if "--self-test" in sys.argv:
        self_test()
        return 0
    faults = list(wrong_arrows(pathlib.Path(__file__).resolve().parent.parent / "src"))
    print("\n".join(faults) if faults else "every #include points the right way")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
