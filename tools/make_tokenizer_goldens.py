#!/usr/bin/env python3
"""Writes tests/golden/tokenizers: small tokenizers and what the `tokenizers` package makes of difficult text.

    python tools/make_tokenizer_goldens.py

Each case is a folder with cases.json and, except for the bundled model's own, the tokenizer.json it speaks of:
{"tokenizer": path from the repository root, "tokenizers": version, "cases": [...], "decode": [...], "chat": [...]}.

* cases:  text -> ids with the post-processor's special tokens, ids without; and both ways to decode the former.
* decode: id lists that end in the middle of a character or mix special tokens into text -> both decodings.
* chat:   messages -> the rendered template and its ids (the bundled model only; rendered by transformers).
"""

import json
import pathlib

import tokenizers
import transformers

import tiny_tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "tests" / "golden" / "tokenizers"
MODEL = ROOT / "models" / "rust-prose-14M"
VOCAB_SIZE = 640

TEXTS = [
    "", " ", "  ", "\n", "\n\n\n", "\t", " \n ", "a", " a", "a ", "  a  ", "Hello, world!", " Hello",
    "Hello  world", "Ownership is a set of rules that govern how a Rust program manages memory.",
    "let mut v: Vec<u32> = vec![1, 22, 333, 4444];\n    v.push(55_555);\n",
    "fn main() {\n\tprintln!(\"{:?}\", (0..10).map(|x| x * x).collect::<Vec<_>>());\n}\n",
    "trailing spaces   \nand tabs\t\t\n\n  indented", "a" * 70, " " * 40, "=" * 33, "\r\n\r\nmixed\r\nline ends\r",
    "0 1 12 123 1234 12345 123456 1234567", "3.14159, -2.5e-10 and 1,000,000", "x1y22z333",
    "\u0661\u0662\u0663\u0664 \u2167 \u00bd",
    "I'm sure they're fine; you'll see, we've won, he'd go, it's Tom's, don't", "I'M THEY'RE YOU'LL DON'T IT'S",
    "'s's 'tis rock'n'roll", "na\u00efve caf\u00e9 \u00c5ngstr\u00f6m stra\u00dfe",
    "cafe\u0301 A\u030angstro\u0308m n\u0303o", "\u1e9b\u0323 \u212b \ufb01n \uff21\uff22\uff23",
    "\u65e5\u672c\u8a9e\u306e\u30c6\u30ad\u30b9\u30c8\u3001\u6f22\u5b57\u3068\u304b\u306a\u3002",
    "\u4f60\u597d\uff0c\u4e16\u754c\uff01123", "\ud55c\uad6d\uc5b4 \ubb38\uc7a5", "\u1112\u1161\u11ab",
    "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u03b1\u03b2\u03b3 "
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u0928\u092e\u0938\u094d\u0924\u0947",
    "\U0001f600\U0001f44d\U0001f3fd \U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 "
    "\U0001f1ec\U0001f1e7 \u2764\ufe0f",
    "\U00010348\U0001d4d0\U0002070e", "a\u00a0b\u2003c\u200bd\ufeffe\u3000f",
    "\u201cquoted\u201d \u2014 dashes \u2013 and \u2026 dots", "z\u0337\u0322\u0321a\u0335l\u0336g\u0338o\u0337",
    "null\u0000byte \u0001\u001f\u007f", "\u2581\u2581 metaspace \u2581mark", "<0x41> is not a byte piece",
    "\ufffd replacement \uffff", "<|im_start|>user\nHi there<|im_end|>\n<|im_start|>assistant\n",
    "text<|endoftext|>more text", " <|endoftext|> ",
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>",
    "<s>one</s> two <s> three</s>", "<s>", "</s>", "<unk>", "< s > <|im_start |> <|im_end", "<|im_end|><|im_end|>",
    "\u0120\u010a escaped letters",
]
SPLIT_TEXTS = ["\U0001f600!", "\u65e5\u672c", "caf\u00e9", "\U0001f469\u200d\U0001f469"]
CONVERSATIONS = [
    [{"role": "user", "content": "What is ownership?"}],
    [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": "  Hi \n"}],
    [
        {"role": "user", "content": "One"},
        {"role": "assistant", "content": "Two\n\nlines"},
        {"role": "user", "content": "\u65e5\u672c <|im_end|> {{ x }}"},
    ],
]


def decodings(tokenizer, ids):
    """Both ways to decode. Special ids are filtered here, which is what skip_special_tokens promises:
    tokenizers 0.23 does not skip those marked `normalized`, and spells them in their normalized form, so that
    "decoded" is left out where one of them is among the ids.
    """
    added = tokenizer.get_added_tokens_decoder()
    special = {i for i, token in added.items() if token.special}
    result = {"decoded_without_special": tokenizer.decode([i for i in ids if i not in special])}
    if not any(i in added and added[i].normalized for i in ids):
        result["decoded"] = tokenizer.decode(ids, skip_special_tokens=False)
        assert tokenizer.decode(ids, skip_special_tokens=True) == result["decoded_without_special"]
    return result


def encode_cases(tokenizer):
    for text in TEXTS:
        ids = tokenizer.encode(text).ids
        without = tokenizer.encode(text, add_special_tokens=False).ids
        yield {"text": text, "ids": ids, "ids_without_special": without, **decodings(tokenizer, ids)}


def decode_cases(tokenizer):
    """Every prefix of a few texts of multi-byte characters, and special tokens at the start, middle and end."""
    special = [i for i, token in sorted(tokenizer.get_added_tokens_decoder().items()) if token.special]
    word = tokenizer.encode("word and", add_special_tokens=False).ids
    lists = [special + word, word + special + word, word + special[-1:] * 2]
    for text in SPLIT_TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        lists += [ids[:n] for n in range(1, len(ids))] + [ids[1:], ids[1:] + word]
    for ids in lists:
        yield {"ids": ids, **decodings(tokenizer, ids)}


def chat_cases(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for messages in CONVERSATIONS:
        for prompt in (False, True):
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            yield {"messages": messages, "add_generation_prompt": prompt, "text": text, "ids": ids}


def write_case(name, tokenizer, path, chat=()):
    document = {
        "tokenizer": str(path.relative_to(ROOT)),
        "tokenizers": tokenizers.__version__,
        "cases": list(encode_cases(tokenizer)),
        "decode": list(decode_cases(tokenizer)),
        "chat": list(chat),
    }
    folder = OUTPUT / name
    folder.mkdir(parents=True, exist_ok=True)
    body = ",\n".join(
        f"{json.dumps(key)}: "
        + ("[\n" + ",\n".join(json.dumps(v) for v in value) + "\n]" if isinstance(value, list) else json.dumps(value))
        for key, value in document.items()
    )
    (folder / "cases.json").write_text("{\n" + body + "\n}\n", encoding="utf-8")
    print(f"{name}: {len(document['cases'])} texts, {len(document['decode'])} id lists, "
          f"vocab {tokenizer.get_vocab_size()}")


def main():
    lines = (MODEL / "heldout.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    small = {
        "gpt2-style": tiny_tokenizers.gpt2_style(lines, VOCAB_SIZE),
        "llama3-style": tiny_tokenizers.llama3_style(lines, VOCAB_SIZE),
        "llama2-prepend": tiny_tokenizers.llama2_style(lines, VOCAB_SIZE),
        "llama2-normalized-special": tiny_tokenizers.llama2_style(lines, VOCAB_SIZE, normalized_special=True),
        "llama2-metaspace": tiny_tokenizers.llama2_style(lines, VOCAB_SIZE, metaspace=True),
    }
    for name, tokenizer in small.items():
        path = OUTPUT / name / "tokenizer.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(path), pretty=False)
        write_case(name, tokenizers.Tokenizer.from_file(str(path)), path)
    path = MODEL / "tokenizer.json"
    write_case("rust-prose-14M", tokenizers.Tokenizer.from_file(str(path)), path, chat_cases(MODEL))


if __name__ == "__main__":
    main()
