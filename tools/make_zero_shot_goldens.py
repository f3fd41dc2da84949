#!/usr/bin/env python3
"""Writes tests/golden/zero_shot.json: what transformers' zero-shot pipeline makes of a tiny model of entailment.

    python tools/make_zero_shot_goldens.py
"""

import json
import pathlib

import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
MODEL = ROOT / "tests" / "models" / "encoders" / "bert-sequence"
TEXTS = [
    "The owner is gone.",
    "A reference must not outlive the value that it borrows, and the compiler checks that it does not: every "
    "program in which two references could change the same value is rejected before it runs.",
]
LABELS = ["memory", "a long walk", "cooking"]
TEMPLATES = ["This example is {}.", "{}, they said"]
# Column orders of the head, so that each rule for finding the columns is used.
HEADS = [
    ["contradiction", "entailment", "neutral"],
    ["ENTAILMENT", "NEUTRAL", "CONTRADICTION"],
    ["neutral", "contradiction", "Entails"],
    ["LABEL_0", "LABEL_1", "LABEL_2"],
]


def main():
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(MODEL / "tokenizer.json"), model_max_length=64, unk_token="[UNK]", pad_token="[PAD]",
        cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]",
        model_input_names=["input_ids", "token_type_ids", "attention_mask"]
    )
    model = transformers.AutoModelForSequenceClassification.from_pretrained(MODEL, dtype=torch.float32).eval()
    cases = []
    for head in HEADS:
        model.config.id2label = dict(enumerate(head))
        model.config.label2id = {name: i for i, name in enumerate(head)}
        classify = transformers.pipeline("zero-shot-classification", model=model, tokenizer=tokenizer, device="cpu")
        for template in TEMPLATES:
            for labels in (LABELS, LABELS[:1]):
                for multi in (False, True):
                    for text in TEXTS:
                        result = classify(text, labels, hypothesis_template=template, multi_label=multi)
                        scores = dict(zip(result["labels"], result["scores"]))
                        cases.append({
                            "head": head, "template": template, "labels": labels, "multi_label": multi, "text": text,
                            "scores": [scores[label] for label in labels],
                        })
    document = {"model": str(MODEL.relative_to(ROOT)), "transformers": transformers.__version__}
    body = ",\n".join(json.dumps(case) for case in cases)
    path = ROOT / "tests" / "golden" / "zero_shot.json"
    path.write_text(json.dumps(document)[:-1] + ', "cases": [\n' + body + "\n]}\n", encoding="utf-8")
    print(f"{len(cases)} cases")


if __name__ == "__main__":
    main()
