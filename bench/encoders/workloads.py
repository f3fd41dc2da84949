"""Texts as token ids, in batches: the same ones for every engine.

A workload is a JSON Lines file: each line is one batch, a list of lists of token ids.
"""
import csv
import dataclasses
import json
import pathlib
import random

MAX_TOKENS = 128
BATCH = 32


@dataclasses.dataclass(frozen=True)
class Workload:
    name: str
    description: str
    path: pathlib.Path

    def batches(self):
        return [json.loads(line) for line in self.path.read_text().split("\n") if line]


def stsb_sentences(data, split):
    path = data / f"text/stsb/stsb-en-{split}.csv"
    with open(path, newline="", encoding="utf-8") as file:
        return [sentence for row in csv.reader(file) for sentence in row[:2]]


def wiki_paragraphs(data):
    lines = (data / "text/wikitext-2/wiki.test.raw").read_text(encoding="utf-8").split("\n")
    return [line.strip() for line in lines if len(line) > 120 and not line.strip().startswith("=")]


def squad_questions(data):
    """Ids without [CLS] and [SEP], as this file of golden tokens holds them."""
    return json.loads((data / "golden-tok/swift-transformers/tokenized_questions.json").read_text())


class RealTexts:
    """Sentences of STS-B, questions of SQuAD and paragraphs of wikitext-2, from `data`."""

    described = "half STS-B sentences, a quarter SQuAD questions, a quarter wikitext-2 paragraphs cut at 128"

    def __init__(self, tokenizer, data):
        self.tokenizer, self.data = tokenizer, data
        self.paragraphs = self._ids(wiki_paragraphs(data))

    def _ids(self, texts):
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts, add_special_tokens=False)]

    def exactly(self, length, count):
        """So many beginnings of paragraphs, of `length` ids each."""
        return [ids[:length] for ids in self.paragraphs if len(ids) >= length][:count]

    def mix(self, count, rng):
        sentences = rng.sample(self._ids(stsb_sentences(self.data, "test")), count // 2)
        questions = rng.sample(squad_questions(self.data), count // 4)
        return sentences + questions + rng.sample(self.paragraphs, count - len(sentences) - len(questions))

    def calibration(self, count, rng):
        """Texts that no workload holds."""
        return rng.sample(self._ids(stsb_sentences(self.data, "train")), count)


class RepositoryTexts:
    """Where the real ones are absent: pieces of the repository's own documents, of log-normal length."""

    described = "pieces of this repository's documents, lengths log-normal (median 20, sigma 0.8) within 5-128"

    def __init__(self, tokenizer, root):
        documents = [root / "README.md", *sorted((root / "docs").glob("*.md"))]
        text = "\n".join(path.read_text(encoding="utf-8") for path in documents)
        self.stream = tokenizer.encode(text, add_special_tokens=False).ids

    def _piece(self, length, rng):
        start = rng.randrange(len(self.stream) - length)
        return self.stream[start:start + length]

    def exactly(self, length, count):
        rng = random.Random(length)
        return [self._piece(length, rng) for _ in range(count)]

    def mix(self, count, rng):
        import math

        lengths = [int(rng.lognormvariate(math.log(20), 0.8)) for _ in range(count)]
        return [self._piece(min(max(length, 5), MAX_TOKENS) - 2, rng) for length in lengths]

    def calibration(self, count, rng):
        return self.mix(count, rng)


def open_texts(tokenizer, data, root):
    needed = ["text/stsb/stsb-en-test.csv", "text/wikitext-2/wiki.test.raw",
              "golden-tok/swift-transformers/tokenized_questions.json"]
    if data is not None and all((data / path).exists() for path in needed):
        return RealTexts(tokenizer, data)
    return RepositoryTexts(tokenizer, root)


def in_batches(texts, size):
    return [texts[i:i + size] for i in range(0, len(texts), size)]


def write_batches(path, batches):
    path.write_text("".join(json.dumps(batch) + "\n" for batch in batches))


def make_workloads(texts, tokenizer, folder):
    """Writes the three workloads and the calibration texts; the mix is sorted by length before it is cut, so
    that an engine which pads loses as little as it can."""
    cls_id, sep_id = tokenizer.token_to_id("[CLS]"), tokenizer.token_to_id("[SEP]")

    def with_special(items):
        return [[cls_id, *ids[:MAX_TOKENS - 2], sep_id] for ids in items]

    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(20)
    mix = sorted(with_special(texts.mix(512, rng)), key=len)
    lengths = [len(ids) for ids in mix]
    mean = sum(lengths) / len(lengths)
    made = [
        ("1x16", "64 batches of 1 text of 16 tokens", in_batches(with_special(texts.exactly(14, 64)), 1)),
        ("32x128", "1 batch of 32 texts of 128 tokens", in_batches(with_special(texts.exactly(126, 32)), BATCH)),
        ("mix", f"512 texts ({texts.described}), {lengths[0]}-{lengths[-1]} tokens, mean {mean:.1f}, median "
         f"{lengths[len(lengths) // 2]}, sorted by length, batches of {BATCH}", in_batches(mix, BATCH)),
    ]
    write_batches(folder / "calibration.jsonl", in_batches(with_special(texts.calibration(300, rng)), 1))
    for name, _, batches in made:
        write_batches(folder / f"{name}.jsonl", batches)
    return [Workload(name, description, folder / f"{name}.jsonl") for name, description, _ in made]
