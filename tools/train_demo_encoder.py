#!/usr/bin/env python3
"""Trains the bundled encoder: a small DistilBERT that says which book a paragraph comes from.

    python tools/train_demo_encoder.py --rust-html "$(rustc --print sysroot)/share/doc/rust/html" \\
        --plays tinyshakespeare.txt --output models/rust-books-3M

The labels are real: thirteen books of the Rust documentation and the plays of Shakespeare (demo_corpus.py says where
the texts come from). First the encoder learns to fill in masked words of all training pages, then the head and all
layers learn the labels. Of every book some whole pages are held out: nothing of them is seen in training.

Recompute the accuracy that the model card states, from the saved files alone, with transformers:

    python tools/train_demo_encoder.py --evaluate models/rust-books-3M

Needs torch, transformers, tokenizers, safetensors, numpy. All random choices are seeded; the bits depend on the
machine.
"""

import argparse
import json
import pathlib
import random

import numpy
import safetensors.torch
import tokenizers
import torch
import transformers
from torch.nn import functional

import demo_corpus

LENGTH = 128  # tokens of a training window
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CONFIG = {
    "architectures": ["DistilBertForSequenceClassification"],
    "activation": "gelu",
    "attention_dropout": 0.1,
    "dim": 256,
    "dropout": 0.1,
    "hidden_dim": 512,
    "initializer_range": 0.02,
    "max_position_embeddings": 256,
    "model_type": "distilbert",
    "n_heads": 4,
    "n_layers": 4,
    "pad_token_id": 0,
    "problem_type": "single_label_classification",
    "qa_dropout": 0.1,
    "seq_classif_dropout": 0.2,
    "sinusoidal_pos_embds": False,
    "tie_weights_": True,
    "torch_dtype": "float32",
    "vocab_size": 4096,
}
FEWEST_WORDS, MOST_PER_LABEL, HELD_OUT_PER_LABEL = 8, 6000, 120


def train_tokenizer(texts):
    """Lower-cased WordPiece with BERT's normalizer, splitter and template."""
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    trainer = tokenizers.trainers.WordPieceTrainer(
        vocab_size=CONFIG["vocab_size"], special_tokens=SPECIAL, show_progress=False, limit_alphabet=200)
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.decoder = tokenizers.decoders.WordPiece()
    return tokenizer


def paragraphs(documents):
    """(text, book) of every paragraph of prose or speech; headings and code are left out."""
    for document in documents:
        book = document.name.split("/")[0]
        for block in document.blocks:
            if not block.startswith(("#", "```")) and len(block.split()) >= FEWEST_WORDS:
                yield block, book


def split_pages(documents, fewest, seed):
    """Of every book, pages in a seeded order are held out until they have `fewest` paragraphs, or a fifth of the
    book's. Returns (training, held out)."""
    training, held_out, missing = [], [], {}
    for document in documents:
        book, count = document.name.split("/")[0], len(list(paragraphs([document])))
        missing[book] = missing.get(book, 0) + count
    missing = {book: min(fewest, count // 5) for book, count in missing.items()}
    shuffled = list(documents)
    random.Random(seed).shuffle(shuffled)
    for document in shuffled:
        book, count = document.name.split("/")[0], len(list(paragraphs([document])))
        taken = 0 < missing[book] and 0 < count <= 2 * missing[book]
        missing[book] -= count if taken else 0
        (held_out if taken else training).append(document)
    return training, held_out


def labelled(documents, labels, most, seed):
    """At most `most` paragraphs of each label, in a seeded order."""
    rows = list(paragraphs(documents))
    random.Random(seed).shuffle(rows)
    taken = {label: 0 for label in labels}
    kept = []
    for text, label in rows:
        if taken.get(label, most) < most:
            taken[label] += 1
            kept.append((text, labels.index(label)))
    return kept


def padded(rows, device):
    """ids and mask of token lists, cut to LENGTH."""
    width = min(LENGTH, max(len(row) for row in rows))
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    for i, row in enumerate(rows):
        row = row if len(row) <= width else row[: width - 1] + [3]
        ids[i, : len(row)] = torch.tensor(row)
    return ids.to(device), (ids != 0).long().to(device)


def masked_batches(tokenizer, documents, batch_size, seed, device):
    """Endless windows of running text with 20 % of the tokens to guess, as BERT masks them (80/10/10)."""
    stream = []
    for encoded in tokenizer.encode_batch([d.text() for d in documents], add_special_tokens=False):
        stream += encoded.ids + [3]
    stream = torch.tensor(stream, device=device)
    print(f"{len(stream)} tokens of running text", flush=True)
    generator = torch.Generator(device=device).manual_seed(seed)
    inner = LENGTH - 2
    while True:
        starts = torch.randint(len(stream) - inner, (batch_size,), generator=generator, device=device)
        ids = torch.full((batch_size, LENGTH), 2, device=device)
        ids[:, 1:-1] = stream[starts[:, None] + torch.arange(inner, device=device)]
        ids[:, -1] = 3
        chance = torch.rand(ids.shape, generator=generator, device=device)
        wanted = (chance < 0.2) & (ids >= len(SPECIAL))
        targets = torch.where(wanted, ids, -100)
        other = torch.randint(len(SPECIAL), CONFIG["vocab_size"], ids.shape, generator=generator, device=device)
        shown = torch.where(wanted & (chance < 0.16), 4, ids)
        yield torch.where(wanted & (chance >= 0.18), other, shown), targets


def optimizer_for(model, rate):
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.05}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))


def run_steps(model, loss_of, batches, steps, rate, name, device):
    """AdamW with a linear warm-up over 5 % and a linear way down; products in bfloat16."""
    optimizer = optimizer_for(model, rate)
    for step, batch in zip(range(steps), batches):
        for group in optimizer.param_groups:
            group["lr"] = rate * min(1.0, (step + 1) / (0.05 * steps)) * (1 - step / steps)
        with torch.autocast(device, torch.bfloat16):
            loss = loss_of(*batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if step % 50 == 0:
            print(f"{name} step {step} loss {loss.item():.4f}", flush=True)


def label_batches(tokenizer, rows, batch_size, seed, device):
    """Endless epochs; a batch holds texts of similar length, so that little of it is padding."""
    generator = random.Random(seed)
    ids = [e.ids for e in tokenizer.encode_batch([text for text, _ in rows])]
    while True:
        order = sorted(range(len(rows)), key=lambda i: (min(len(ids[i]), LENGTH) // 8, generator.random()))
        firsts = list(range(0, len(order) - batch_size + 1, batch_size))
        generator.shuffle(firsts)
        for first in firsts:
            chosen = order[first : first + batch_size]
            tokens, mask = padded([ids[i] for i in chosen], device)
            yield tokens, mask, torch.tensor([rows[i][1] for i in chosen], device=device)


def write_files(folder, tokenizer, labels, held_out):
    config = {**CONFIG, "id2label": {str(i): x for i, x in enumerate(labels)},
              "label2id": {x: i for i, x in enumerate(labels)}}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    special = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL))
    settings = {**special, "do_lower_case": True, "model_max_length": 256, "tokenizer_class": "DistilBertTokenizer"}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")
    lines = [json.dumps({"text": text, "label": labels[label]}, ensure_ascii=False) for text, label in held_out]
    (folder / "heldout.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def train(options):
    torch.manual_seed(options.seed)
    folder = pathlib.Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    pages = sum(demo_corpus.load_corpus(options.rust_html, options.plays), [])
    training, held_out = split_pages(pages, HELD_OUT_PER_LABEL, options.seed)
    labels = sorted({book for _, book in paragraphs(training)})
    tokenizer = train_tokenizer(d.text() for d in training)
    rows = labelled(training, labels, MOST_PER_LABEL, options.seed)
    test = labelled(held_out, labels, HELD_OUT_PER_LABEL, options.seed)
    write_files(folder, tokenizer, labels, test)
    print(f"{len(labels)} labels, {len(rows)} training paragraphs, {len(test)} held out", flush=True)
    config = transformers.AutoConfig.from_pretrained(folder)
    config._attn_implementation = "sdpa"

    filler = transformers.DistilBertForMaskedLM(config).to(options.device).train()

    def masked_loss(ids, targets):
        logits = filler(ids).logits
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())

    batches = masked_batches(tokenizer, training, options.batch_size, options.seed, options.device)
    run_steps(filler, torch.compile(masked_loss), batches, options.masked_steps, 1e-3, "masked", options.device)
    model = transformers.DistilBertForSequenceClassification(config).to(options.device).train()
    model.distilbert.load_state_dict(filler.distilbert.state_dict())

    def label_loss(ids, mask, targets):
        return functional.cross_entropy(model(ids, attention_mask=mask).logits.float(), targets, label_smoothing=0.05)

    batches = label_batches(tokenizer, rows, 64, options.seed, options.device)
    run_steps(model, label_loss, batches, options.label_steps, 2e-4, "labels", options.device)
    tensors = {name: p.detach().float().cpu().contiguous() for name, p in model.state_dict().items()}
    safetensors.torch.save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    print(f"{sum(t.numel() for t in tensors.values())} parameters")
    evaluate(folder)


@torch.no_grad()
def evaluate(folder):
    """Accuracy and macro F1 on heldout.jsonl, in float32, one text at a time."""
    folder = pathlib.Path(folder)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    limit = model.config.max_position_embeddings
    counts = numpy.zeros((model.config.num_labels,) * 2, dtype=int)
    tokenizer.enable_truncation(limit)
    for line in (folder / "heldout.jsonl").read_text(encoding="utf-8").split("\n")[:-1]:
        row = json.loads(line)
        logits = model(torch.tensor([tokenizer.encode(row["text"]).ids])).logits[0]
        counts[model.config.label2id[row["label"]], int(logits.argmax())] += 1
    right, n = int(counts.trace()), int(counts.sum())
    f1 = 2 * counts.diagonal() / numpy.maximum(counts.sum(0) + counts.sum(1), 1)
    print(f"heldout.jsonl: {right} of {n} right, accuracy {right / n:.4f}, macro F1 {f1.mean():.4f}")
    for i, score in enumerate(f1):
        print(f"  {model.config.id2label[i]:16s} n {counts[i].sum():4d}  F1 {score:.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rust-html", help="folder share/doc/rust/html of a Rust toolchain with rust-docs")
    parser.add_argument("--plays", help="tinyshakespeare as one text file")
    parser.add_argument("--output", help="folder to write the checkpoint to")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--masked-steps", type=int, default=1000)
    parser.add_argument("--label-steps", type=int, default=2000)
    parser.add_argument("--batch-size", type=int, default=32, help="windows per step of filling in")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--evaluate", metavar="DIR", help="only recompute the accuracy on DIR/heldout.jsonl")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.evaluate:
        evaluate(options.evaluate)
    elif options.rust_html and options.plays and options.output:
        train(options)
    else:
        parser.error("give --evaluate DIR, or --rust-html, --plays and --output")


if __name__ == "__main__":
    main()
