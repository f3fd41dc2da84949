#!/usr/bin/env python3
"""Writes tests/golden/tokenizers: small tokenizers and what the `tokenizers` package makes of difficult text.

    python tools/make_tokenizer_goldens.py [--only NAME,NAME] [--data FOLDER]

Each case is a folder with cases.json and, except for the bundled model's own, the tokenizer.json it speaks of:
{"tokenizer": path from the repository root, "tokenizers": version, "cases": [...], "decode": [...], "pairs": [...], "chat": [...]}.
With --data, a folder that holds tokenizers/bert-base-uncased and tokenizers/all-MiniLM-L6-v2, their pairs are
written too; those tokenizers are not stored here.

* cases:  text -> ids with the post-processor's special tokens, ids without; and both ways to decode the former.
* decode: id lists that end in the middle of a character or mix special tokens into text -> both decodings.
* pairs:  one text or two (a text of [part, n] is the part n times over), a longest length (null: what the
          tokenizer's file says) and a strategy (null: likewise) -> ids and segments, or an error.
* chat:   messages -> the rendered template and its ids (the bundled model only; rendered by transformers).
"""

import argparse
import functools
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

# What BERT's clean-up and WordPiece decide one by one: accents whole and in parts, the dotted I, sharp s, CJK of
# extensions B and E (0x2B820 to 0x2B91F are not CJK to the library), joined emoji, Arabic marks, invisible
# characters, the 100-character rule from both sides, a script without a piece, special tokens in the text.
HARD_TEXTS = [
    "", " ", "caf\u00e9", "cafe\u0301", "\u0130stanbul I\u0307", "Stra\u00dfe STRASSE \u1e9e",
    "x\U00020000y\U0002a6dfz", "x\U0002b820y\U0002b920z\U0002ceafw", "\u4f60\u597d\u4e16\u754c \uf900\u3400",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 ok \u2764\ufe0f", "\u0645\u064e\u0631\u0652\u062d\u064e\u0628\u064b\u0627",
    "tab\tnbsp\u00a0thin\u2009line\u2028end\r\n", "zero\u200bwidth soft\u00adhyphen \ufeff", ["w", 100], ["w", 101],
    ["\u00e9", 101], "\U00012000\U00012001 \u16a0\u16a2", "don't", "rock'n'roll -- it's $5.99!", "[MASK] of [SEP] it",
    "<mask> of </s> it", "[mask] [CLS]", "null\u0000byte \ufffd", "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35", ["x", 100000],
    "UPPER lower MiXeD", "\u1e9b\u0323 \ufb01n", "\uac00\ub098\ub2e4",
]
SHORT, LONG = "Is it owned?", "The borrow checker rejects a program when two references could change the same value."
LONGER = " ".join([LONG, "Lifetimes name how long a reference is valid.", LONG])
PAIRS = [
    (SHORT, LONG), (LONG, SHORT), (LONG, LONGER), (LONGER, LONG), (SHORT, SHORT), ("", LONG), (LONG, ""), ("", ""),
    ("caf\u00e9 [SEP] don't", "\U00020000 </s> \u0130"),
]
# The library also keeps what it cuts off, every piece of one text with every piece of the other.
LONG_PAIRS = [(["x", 100000], "after it"), ("before it", ["x", 100000]), (["ab ", 300], ["cd ", 200])]
LENGTHS = [3, 4, 5, 6, 8, 9, 16, 17, 33]
STRATEGIES = ["longest_first", "only_first", "only_second"]


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


def spell(text):
    return text if text is None or isinstance(text, str) else text[0] * text[1]


def pair_case(tokenizer, first, second, length=None, strategy=None):
    """Cut to `length`, from the side that the tokenizer's file says."""
    state = tokenizer.truncation or {}
    if length is not None:
        tokenizer.enable_truncation(
            length, strategy=strategy or state.get("strategy", "longest_first"),
            direction=state.get("direction", "right")
        )
    case = {"first": first, "second": second, "max_length": length, "strategy": strategy}
    try:
        encoding = tokenizer.encode(spell(first), spell(second))
        case |= {"ids": encoding.ids, "types": encoding.type_ids}
    except Exception as error:  # the library raises nothing narrower
        case["error"] = str(error)
    if length is not None:
        tokenizer.enable_truncation(**state) if state else tokenizer.no_truncation()
    return case


def pair_cases(tokenizer):
    """The library wraps around where special tokens alone are too many, so lengths begin above that."""
    tokenizer.no_padding()
    for text in HARD_TEXTS:
        yield pair_case(tokenizer, text, None, 160)
        yield pair_case(tokenizer, text, "and so on", 160)
    for first, second in PAIRS:
        for length in LENGTHS:
            if length >= tokenizer.num_special_tokens_to_add(True):
                for strategy in STRATEGIES:
                    yield pair_case(tokenizer, first, second, length, strategy)
        if tokenizer.truncation:
            yield pair_case(tokenizer, first, second)
            yield pair_case(tokenizer, first, None)
    for first, second in LONG_PAIRS:
        yield pair_case(tokenizer, first, second, 160)
    for strategy in STRATEGIES:
        yield pair_case(tokenizer, LONG, None, 8, strategy)
    tokenizer.encode_special_tokens = True
    for text in ("[MASK] of [SEP] it", "<mask> of </s> it"):
        yield pair_case(tokenizer, text, text, 160) | {"parse_special": False}
    tokenizer.encode_special_tokens = False


def chat_cases(folder):
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    for messages in CONVERSATIONS:
        for prompt in (False, True):
            text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            yield {"messages": messages, "add_generation_prompt": prompt, "text": text, "ids": ids}


def write_document(name, document):
    folder = OUTPUT / name
    folder.mkdir(parents=True, exist_ok=True)
    body = ",\n".join(
        f"{json.dumps(key)}: "
        + ("[\n" + ",\n".join(json.dumps(v) for v in value) + "\n]" if isinstance(value, list) else json.dumps(value))
        for key, value in document.items()
    )
    (folder / "cases.json").write_text("{\n" + body + "\n}\n", encoding="utf-8")
    print(f"{name}: " + ", ".join(f"{len(v)} {k}" for k, v in document.items() if isinstance(v, list)))


def write_case(name, tokenizer, path, chat=(), pairs=()):
    document = {"tokenizer": str(path.relative_to(ROOT)), "tokenizers": tokenizers.__version__}
    if pairs:
        document["pairs"] = list(pairs)
        tokenizer.no_truncation()
    document |= {"cases": list(encode_cases(tokenizer)), "decode": list(decode_cases(tokenizer)), "chat": list(chat)}
    write_document(name, document)


def write_pairs_of_data(data):
    """Tokenizers of published models, which stay outside of the repository."""
    for name in ("bert-base-uncased", "all-MiniLM-L6-v2"):
        path = pathlib.Path("tokenizers") / name / "tokenizer.json"
        tokenizer = tokenizers.Tokenizer.from_file(str(data / path))
        write_document(f"pairs-{name}", {
            "data": str(path.parent), "tokenizers": tokenizers.__version__, "pairs": list(pair_cases(tokenizer))
        })


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=lambda text: text.split(","), help="names to write, instead of all")
    parser.add_argument("--data", type=pathlib.Path)
    arguments = parser.parse_args()

    def wanted(name):
        return not arguments.only or name in arguments.only

    lines = (MODEL / "heldout.txt").read_text(encoding="utf-8").splitlines(keepends=True)
    small = {
        "gpt2-style": tiny_tokenizers.gpt2_style,
        "llama3-style": tiny_tokenizers.llama3_style,
        "llama2-prepend": tiny_tokenizers.llama2_style,
        "llama2-normalized-special": functools.partial(tiny_tokenizers.llama2_style, normalized_special=True),
        "llama2-metaspace": functools.partial(tiny_tokenizers.llama2_style, metaspace=True),
        "bert-style": tiny_tokenizers.bert_style,
        "roberta-style": tiny_tokenizers.roberta_style,
        "xlmr-style": tiny_tokenizers.xlmr_style,
    }
    for name, make in small.items():
        if not wanted(name):
            continue
        path = OUTPUT / name / "tokenizer.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        make(lines, VOCAB_SIZE).save(str(path), pretty=False)
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        pairs = pair_cases(tokenizer) if name in ("bert-style", "roberta-style", "xlmr-style") else ()
        write_case(name, tokenizer, path, pairs=pairs)
    if wanted("rust-prose-14M"):
        path = MODEL / "tokenizer.json"
        write_case("rust-prose-14M", tokenizers.Tokenizer.from_file(str(path)), path, chat_cases(MODEL))
    if arguments.data:
        write_pairs_of_data(arguments.data)


if __name__ == "__main__":
    main()
