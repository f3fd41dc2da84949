#!/usr/bin/env python3
"""Trains the bundled demo model (a small Qwen3 decoder) on CPU, or recomputes its held-out perplexity.

Train (about an hour on two cores with AMX; see demo_corpus.py for where the two inputs come from):

    python tools/train_demo_model.py --rust-html "$(rustc --print sysroot)/share/doc/rust/html" \\
        --plays tinyshakespeare.txt --output models/rust-prose-14M --minutes 60

Recompute the perplexity that the model card states, from the saved files alone, with transformers:

    python tools/train_demo_model.py --evaluate models/rust-prose-14M

Needs torch, transformers, tokenizers, safetensors, numpy. All random choices are seeded. With --minutes the
number of steps depends on the machine; --steps repeats a run of known length.
"""

import argparse
import json
import math
import os
import pathlib
import random
import signal
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads leave the core to others

import numpy
import safetensors.torch
import torch

import demo_chat
import demo_corpus
import demo_tokenizer
from demo_model import Decoder

CONTEXT = 512
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "bos_token_id": None,
    "eos_token_id": None,  # filled in from the tokenizer
    "head_dim": 64,
    "hidden_act": "silu",
    "hidden_size": 512,
    "initializer_range": 0.02,
    "intermediate_size": 1024,
    "max_position_embeddings": CONTEXT,
    "max_window_layers": 5,
    "model_type": "qwen3",
    "num_attention_heads": 8,
    "num_hidden_layers": 5,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-06,
    "rope_scaling": None,
    "rope_theta": 10000.0,
    "sliding_window": None,
    "tie_word_embeddings": True,
    "torch_dtype": "bfloat16",
    "use_cache": True,
    "use_sliding_window": False,
    "vocab_size": 4096,
}
CHAT_SHARE = 0.15
PEAK_RATE, FINAL_RATE_SHARE, WARM_UP_SHARE = 2e-3, 0.04, 0.03
CLIP_NORM = 1.0
CHECKPOINT_SECONDS = 300


def encode_training_items(tokenizer, documents):
    """Token arrays, one per document or chat; each ends with <|endoftext|>. Chats are at most CHAT_SHARE."""
    end = tokenizer.token_to_id(demo_tokenizer.END_OF_TEXT)
    encoded = tokenizer.encode_batch([d.text() for d in documents], add_special_tokens=False)
    items = [numpy.array(e.ids + [end], dtype=numpy.int64) for e in encoded]
    room = CHAT_SHARE / (1 - CHAT_SHARE) * sum(map(len, items))
    for messages in demo_chat.build_chats(documents):
        text = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in messages)
        ids = numpy.array(tokenizer.encode(text, add_special_tokens=False).ids + [end], dtype=numpy.int64)
        room -= len(ids)
        if room < 0:
            break
        items.append(ids)
    return items


def endless_batches(items, batch_size, seed):
    """Every epoch: items in a new order, laid end to end, cut into windows of CONTEXT + 1 tokens."""
    generator = numpy.random.default_rng(seed)
    while True:
        stream = numpy.concatenate([items[i] for i in generator.permutation(len(items))])
        stream = stream[generator.integers(CONTEXT) :]
        n_windows = (len(stream) - 1) // CONTEXT
        starts = generator.permutation(n_windows) * CONTEXT
        for first in range(0, n_windows - batch_size + 1, batch_size):
            rows = [stream[s : s + CONTEXT + 1] for s in starts[first : first + batch_size]]
            yield torch.from_numpy(numpy.stack(rows))


def held_out_windows(tokenizer, documents):
    end = tokenizer.token_to_id(demo_tokenizer.END_OF_TEXT)
    encoded = tokenizer.encode_batch([d.text() for d in documents], add_special_tokens=False)
    stream = torch.tensor([i for e in encoded for i in e.ids + [end]])
    n_windows = (len(stream) - 1) // CONTEXT
    return torch.stack([stream[i * CONTEXT : (i + 1) * CONTEXT + 1] for i in range(n_windows)])


@torch.no_grad()
def perplexity(loss_function, windows, batch_size):
    usable = len(windows) // batch_size * batch_size
    losses = [loss_function(w[:, :-1], w[:, 1:]).item() for w in windows[:usable].split(batch_size)]
    return math.exp(sum(losses) / len(losses))


def rate_at(progress):
    """Linear warm-up, then a cosine to FINAL_RATE_SHARE of the peak; progress runs from 0 to 1."""
    if progress < WARM_UP_SHARE:
        return PEAK_RATE * (progress / WARM_UP_SHARE + 0.01)
    done = min(1.0, (progress - WARM_UP_SHARE) / (1 - WARM_UP_SHARE))
    return PEAK_RATE * (FINAL_RATE_SHARE + (1 - FINAL_RATE_SHARE) * 0.5 * (1 + math.cos(math.pi * done)))


class MasterWeights:
    """AdamW on float32 copies of the model's bfloat16 parameters; matrices decay, norms do not."""

    def __init__(self, model):
        self.parameters = list(model.parameters())
        self.masters = [p.detach().float().clone() for p in self.parameters]
        matrices = [m for m in self.masters if m.ndim == 2]
        vectors = [m for m in self.masters if m.ndim == 1]
        groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=PEAK_RATE, betas=(0.9, 0.98), eps=1e-9, fused=True)

    @torch.no_grad()
    def step(self, rate):
        for master, parameter in zip(self.masters, self.parameters):
            master.grad = parameter.grad.float()
            parameter.grad = None
        torch.nn.utils.clip_grad_norm_(self.masters, CLIP_NORM)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        for master, parameter in zip(self.masters, self.parameters):
            parameter.copy_(master)


def write_held_out_text(documents, path, chars_per_source=16000, chars_per_document=4000):
    """Whole blocks from the held-out documents, Rust first, until each source has its share."""
    parts = []
    for source in ("rust", "plays"):
        size = 0
        for document in (d for d in documents if d.source == source):
            kept = demo_corpus.Document(source, document.name, [])
            while len(kept.blocks) < len(document.blocks) and len(kept.text()) < chars_per_document:
                kept.blocks.append(document.blocks[len(kept.blocks)])
            parts.append(kept.text())
            size += len(parts[-1])
            if size >= chars_per_source:
                break
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def write_checkpoint(model, folder):
    """model.safetensors in bfloat16 under the final name only when it is complete."""
    tensors = {name: p.detach().clone().contiguous() for name, p in model.named_parameters()}
    safetensors.torch.save_file(tensors, folder / "model.safetensors.part", metadata={"format": "pt"})
    os.replace(folder / "model.safetensors.part", folder / "model.safetensors")


def write_configs(tokenizer, folder):
    eos = [tokenizer.token_to_id(t) for t in (demo_tokenizer.IM_END, demo_tokenizer.END_OF_TEXT)]
    (folder / "config.json").write_text(json.dumps({**CONFIG, "eos_token_id": eos[0]}, indent=2) + "\n")
    generation = {"do_sample": False, "eos_token_id": eos, "pad_token_id": eos[1]}
    (folder / "generation_config.json").write_text(json.dumps(generation, indent=2) + "\n")
    demo_tokenizer.save_tokenizer(tokenizer, folder, CONTEXT)


def train(options):
    folder = pathlib.Path(options.output)
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    random.seed(options.seed)
    training, held_out = demo_corpus.load_corpus(options.rust_html, options.plays)
    tokenizer = demo_tokenizer.train_tokenizer((d.text() for d in training), CONFIG["vocab_size"])
    write_configs(tokenizer, folder)
    write_held_out_text(held_out, folder / "heldout.txt")
    items = encode_training_items(tokenizer, training)
    windows = held_out_windows(tokenizer, held_out)
    print(f"{len(training)} documents, {sum(map(len, items))} training tokens; held out: {len(held_out)} documents, "
          f"{windows.shape[0] * CONTEXT} tokens", flush=True)

    model = Decoder(CONFIG, CONTEXT).bfloat16()
    if options.start_from:
        start = safetensors.torch.load_file(pathlib.Path(options.start_from) / "model.safetensors")
        model.load_state_dict(start)
    weights = MasterWeights(model)
    print(f"{sum(p.numel() for p in model.parameters())} parameters", flush=True)
    loss_function = torch.compile(model.loss)
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    signal.signal(signal.SIGINT, lambda *_: stopped.append(True))
    sample = windows[:: max(1, len(windows) // (4 * options.batch_size))]
    begun = saved = time.monotonic()
    mean_loss, progress, step = None, 0.0, 0
    for batch in endless_batches(items, options.batch_size, options.seed):
        elapsed = time.monotonic() - begun
        progress = step / options.steps if options.steps else elapsed / (60 * options.minutes)
        if progress >= 1 or stopped:
            break
        loss = loss_function(batch[:, :-1], batch[:, 1:])
        loss.backward()
        weights.step(rate_at(progress))
        step += 1
        mean_loss = loss.item() if mean_loss is None else 0.98 * mean_loss + 0.02 * loss.item()
        if step % 20 == 0:
            tokens = step * options.batch_size * CONTEXT
            print(f"step {step} progress {progress:.3f} tokens {tokens} loss {mean_loss:.4f} "
                  f"{tokens / (time.monotonic() - begun):.0f} tokens/s", flush=True)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            saved = time.monotonic()
            write_checkpoint(model, folder)
            print(f"held-out perplexity (sample) {perplexity(model.loss, sample, options.batch_size):.3f}", flush=True)
    write_checkpoint(model, folder)
    print(f"finished: {step} steps, {step * options.batch_size * CONTEXT} tokens", flush=True)
    print(f"held-out perplexity, all {len(windows)} windows: {perplexity(model.loss, windows, options.batch_size):.3f}")
    evaluate(folder)


@torch.no_grad()
def evaluate(folder):
    """Perplexity of heldout.txt in windows of CONTEXT tokens; each window starts without context."""
    import transformers

    folder = pathlib.Path(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    ids = tokenizer((folder / "heldout.txt").read_text(encoding="utf-8"), add_special_tokens=False)["input_ids"]
    total, predicted = 0.0, 0
    for first in range(0, len(ids), CONTEXT):
        window = torch.tensor([ids[first : first + CONTEXT]])
        if window.shape[1] < 2:
            break
        logits = model(window).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits, window[0, 1:], reduction="sum").item()
        predicted += window.shape[1] - 1
    print(f"heldout.txt: {len(ids)} tokens, {predicted} predicted, mean loss {total / predicted:.4f} nats, "
          f"perplexity {math.exp(total / predicted):.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rust-html", help="folder share/doc/rust/html of a Rust toolchain with rust-docs")
    parser.add_argument("--plays", help="tinyshakespeare as one text file")
    parser.add_argument("--output", help="folder to write the checkpoint to")
    parser.add_argument("--minutes", type=float, default=60, help="length of the schedule in wall time")
    parser.add_argument("--steps", type=int, help="length of the schedule in steps, instead of --minutes")
    parser.add_argument("--batch-size", type=int, default=8, help="windows per step")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--start-from", metavar="DIR", help="begin with the weights of DIR instead of random ones")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--evaluate", metavar="DIR", help="only recompute the perplexity of DIR/heldout.txt")
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
