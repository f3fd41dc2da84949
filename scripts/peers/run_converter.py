"""Runs llama.cpp's convert_hf_to_gguf.py: run_converter.py CONVERTER PRE_TOKENIZER ARGUMENTS...

The converter recognises a pre-tokenizer by a hash over the ids of one test text, which depends on the whole
vocabulary, and refuses all it does not list. Our own tokenizers use listed pre-tokenizers with vocabularies of
their own, so the answer is given to it.
"""

import runpy
import sys
from pathlib import Path

converter, name = Path(sys.argv[1]), sys.argv[2]
sys.path[:0] = [str(converter.parent), str(converter.parent / "gguf-py")]
from conversion import base  # noqa: E402 - found through the path just added

base.TextModel.get_vocab_base_pre = lambda self, tokenizer: name
sys.argv = [str(converter), *sys.argv[3:]]
runpy.run_path(str(converter), run_name="__main__")
