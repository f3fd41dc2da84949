#!/usr/bin/env python3
"""Writes tests/models/encoders: tiny random encoders and what transformers computes with them in float32.

    python tools/make_tiny_encoders.py                 # rewrites every case
    python tools/make_tiny_encoders.py bert-sequence   # only the named ones

Each case is a folder with config.json, weights, a tokenizer and golden.json: {"texts": one object per text,
"transformers"}. A text has "text", for pairs "pair", "input_ids" and "type_ids" as its tokenizer gives them, and
without any padding "logits" of the head (a row, or a row per token), or for a model without one "last_hidden_state" (a
row per token) and "pooler_output" where the file has a pooler; "embedding" where sentence-transformers files say how to
pool. Nine significant digits. The script checks that eager and sdpa attention agree, that a padded batch gives the same
numbers, and that switching off the window of a case that has one moves them.
"""

import json
import pathlib
import sys

import numpy
import safetensors.torch
import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

import tiny_tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "tests" / "models" / "encoders"
TRAINING_TEXT = ROOT / "models" / "rust-prose-14M" / "heldout.txt"
TEXTS = [
    ("The owner is gone.", None),
    ("a", None),
    ("It moves.", "A value is dropped."),
    ("", None),
    ("Threads share memory; channels do not.", None),
]
LONG = ("one two three four five six seven eight " * 3).strip()

WIDTHS = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
          "max_position_embeddings": 64}
BERT = {**WIDTHS, "model_type": "bert", "vocab_size": 160, "type_vocab_size": 2, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12, "pad_token_id": 0, "position_embedding_type": "absolute"}
DISTILBERT = {"model_type": "distilbert", "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 64,
              "vocab_size": 160, "max_position_embeddings": 64, "activation": "gelu", "sinusoidal_pos_embds": False,
              "pad_token_id": 0}
ROBERTA = {**WIDTHS, "model_type": "roberta", "vocab_size": 280, "type_vocab_size": 1, "hidden_act": "gelu",
           "layer_norm_eps": 1e-5, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2,
           "max_position_embeddings": 66}
MPNET = {**WIDTHS, "model_type": "mpnet", "vocab_size": 160, "hidden_act": "gelu", "layer_norm_eps": 1e-5,
         "relative_attention_num_buckets": 32, "pad_token_id": 1, "max_position_embeddings": 66}
ONE_LAYER = {"num_hidden_layers": 1}
MODERNBERT = {**WIDTHS, "model_type": "modernbert", "vocab_size": 280, "num_hidden_layers": 4,
              "intermediate_size": 32, "hidden_activation": "gelu", "norm_eps": 1e-5, "norm_bias": False,
              "attention_bias": False, "mlp_bias": False, "local_attention": 16, "classifier_activation": "gelu",
              "classifier_bias": False, "max_position_embeddings": 128, "pad_token_id": 1, "bos_token_id": 0,
              "eos_token_id": 2, "cls_token_id": 0, "sep_token_id": 2}


def labels(*names):
    return {"id2label": {str(i): name for i, name in enumerate(names)},
            "label2id": {name: i for i, name in enumerate(names)}}


class Case:
    """`plain`: config keys that switch off what the case is there for. `store`: the form of the weights."""

    def __init__(self, kind, tokenizer, *configs, dtype=torch.float32, plain=None, store="safetensors", prefix=True,
                 sentence=False, texts=None):
        self.config = {"architectures": [kind]} | {k: v for config in configs for k, v in config.items()}
        self.kind, self.tokenizer, self.dtype, self.plain = kind, tokenizer, dtype, plain
        self.store, self.prefix, self.sentence, self.texts = store, prefix, sentence, texts or TEXTS



CASES = {
    "bert-model": Case("BertModel", "bert", BERT),
    "bert-sequence": Case("BertForSequenceClassification", "bert", BERT,
                          ONE_LAYER, {"hidden_size": 64, "intermediate_size": 128, "hidden_act": "gelu_new"},
                          labels("contradiction", "entailment", "neutral"), dtype=torch.float16),
    "bert-reranker": Case("BertForSequenceClassification", "bert", BERT, ONE_LAYER, labels("LABEL_0"),
                          dtype=torch.float16),
    "bert-multilabel": Case("BertForSequenceClassification", "bert", BERT, ONE_LAYER,
                            {"problem_type": "multi_label_classification"}, labels("toxic", "obscene", "threat"),
                            dtype=torch.float16),
    "bert-token": Case("BertForTokenClassification", "bert", BERT, ONE_LAYER,
                       labels("O", "B-PER", "I-PER", "B-LOC", "I-LOC"), dtype=torch.float16),
    "bert-question": Case("BertForQuestionAnswering", "bert", BERT, ONE_LAYER),
    "bert-old-names": Case("BertForMaskedLM", "bert", BERT, ONE_LAYER, store="old names"),
    "bert-sentence": Case("BertModel", "bert", BERT, ONE_LAYER, sentence=True, prefix=False),
    "distilbert-sequence": Case("DistilBertForSequenceClassification", "bert", DISTILBERT,
                                labels(*[f"class {i}" for i in range(11)]), dtype=torch.float16),
    "distilbert-token": Case("DistilBertForTokenClassification", "bert", DISTILBERT, {"n_layers": 1},
                             labels("O", "B-X", "I-X")),
    "distilbert-npz": Case("DistilBertForSequenceClassification", "bert", DISTILBERT, {"n_layers": 1},
                           labels("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), store="npz"),
    "distilbert-npz-fake": Case("DistilBertForSequenceClassification", "bert", DISTILBERT, {"n_layers": 1},
                                labels("ENTAILMENT", "NEUTRAL", "CONTRADICTION"), store="fake npz"),
    "roberta-sequence": Case("RobertaForSequenceClassification", "roberta", ROBERTA, labels("no", "yes"),
                             dtype=torch.float16),
    "xlm-roberta-model": Case("XLMRobertaModel", "xlm-roberta", ROBERTA, ONE_LAYER,
                              {"model_type": "xlm-roberta", "vocab_size": 120}, dtype=torch.float16),
    "modernbert-sequence": Case("ModernBertForSequenceClassification", "roberta", MODERNBERT,
                                {"classifier_pooling": "mean", "global_attn_every_n_layers": 3,
                                 "global_rope_theta": 160000.0, "local_rope_theta": 100.0},
                                labels("no", "maybe", "yes"), dtype=torch.bfloat16, plain={"local_attention": 512},
                                texts=TEXTS + [(LONG, None)]),
    "modernbert-token": Case("ModernBertForTokenClassification", "roberta", MODERNBERT,
                             {"num_hidden_layers": 2, "layer_types": ["sliding_attention", "full_attention"],
                              "rope_parameters": {
                                  "full_attention": {"rope_type": "default", "rope_theta": 5000.0},
                                  "sliding_attention": {"rope_type": "default", "rope_theta": 50.0}},
                              "norm_bias": True, "attention_bias": True, "mlp_bias": True, "classifier_bias": True},
                             labels("O", "B-X", "I-X"), dtype=torch.float16, plain={"local_attention": 512},
                             texts=TEXTS[:3] + [(LONG, None)]),
    "mpnet-model": Case("MPNetModel", "mpnet", MPNET, dtype=torch.float16),
    "mpnet-sequence": Case("MPNetForSequenceClassification", "mpnet", MPNET, ONE_LAYER, labels("no", "yes")),
}


def template(tokenizer, first, last, pair):
    return processors.TemplateProcessing(
        single=f"{first} $A {last}", pair=pair,
        special_tokens=[(text, tokenizer.token_to_id(text)) for text in (first, last)])


def roberta_style(lines, vocab_size):
    """Byte-level BPE with RoBERTa's special tokens and its two separators between a pair."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = processors.RobertaProcessing(
        ("</s>", 2), ("<s>", 0), trim_offsets=True, add_prefix_space=False)
    return tokenizer


def xlm_roberta_style(lines, vocab_size):
    """Unigram pieces with a Metaspace, special tokens as in XLM-R."""
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=vocab_size, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"], unk_token="<unk>",
        show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = template(tokenizer, "<s>", "</s>", "<s> $A </s> </s> $B </s>")
    return tokenizer


def wordpiece_style(lines, vocab_size, special, pair):
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token=special["unk"]))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size, special_tokens=list(special["order"]), limit_alphabet=60, show_progress=False)
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.post_processor = template(tokenizer, special["cls"], special["sep"], pair)
    return tokenizer


BERT_SPECIAL = {"unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "order": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]}
MPNET_SPECIAL = {"unk": "[UNK]", "cls": "<s>", "sep": "</s>", "order": ["<s>", "<pad>", "</s>", "[UNK]", "<mask>"]}


def make_tokenizer(kind, vocab_size):
    lines = TRAINING_TEXT.read_text(encoding="utf-8").splitlines(keepends=True)[:400]
    if kind == "bert":
        tokenizer = wordpiece_style(lines, vocab_size, BERT_SPECIAL, "[CLS] $A [SEP] $B:1 [SEP]:1")
    elif kind == "mpnet":
        tokenizer = wordpiece_style(lines, vocab_size, MPNET_SPECIAL, "<s> $A </s> </s> $B </s>")
    elif kind == "roberta":
        tokenizer = roberta_style(lines, vocab_size)
    else:
        tokenizer = xlm_roberta_style(lines, vocab_size)
    assert tokenizer.get_vocab_size() <= vocab_size, tokenizer.get_vocab_size()
    return tokenizer


def random_tensor(name, shape, generator):
    """Gains that keep activations near one and outputs far from flat, as in make_tiny_models.py."""
    noise = torch.randn(shape, generator=generator)
    if name.lower().endswith("norm.weight"):
        return 1 + 0.2 * noise
    if name.endswith("bias"):
        return 0.3 * noise
    return 2.0 / shape[-1] ** 0.5 * noise


def quantize_per_tensor(tensor):
    scale = tensor.abs().max() / 127
    return torch.clamp(torch.round(tensor / scale), -127, 127).to(torch.int8), scale


def is_quantized(name, tensor):
    return tensor.dim() == 2 and "embeddings" not in name


def old_names(tensors):
    named = {name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
             for name, tensor in tensors.items()}
    return named | {"bert.embeddings.position_ids": torch.arange(64).unsqueeze(0)}


def store_npz(path, tensors, fake):
    """The two layouts of weights.npz: int8 with one scale a tensor, and floats that carry scales for show."""
    arrays = {}
    for name, tensor in tensors.items():
        arrays[name] = tensor.numpy()
        if not is_quantized(name, tensor):
            continue
        codes, scale = quantize_per_tensor(tensor)
        if fake:
            arrays[name] = (codes.float() * scale).numpy()
            arrays[name + ".scale"] = numpy.float32(scale)
            arrays[name + ".zero_point"] = numpy.float32(0)
        else:
            arrays[name] = codes.numpy()
            arrays[name + ".__scale__"] = numpy.float32(scale)
    (numpy.savez if fake else numpy.savez_compressed)(path, **arrays)


def make_weights(case, config, seed):
    """The tensors by name, and a model that holds exactly what the file will."""
    model = getattr(transformers, case.kind)(config).float().eval()
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            tensor = random_tensor(name, parameter.shape, generator).to(case.dtype)
            held = tensor.float()
            if "npz" in case.store and is_quantized(name, tensor):
                codes, scale = quantize_per_tensor(tensor)
                held = codes.float() * scale
            parameter.copy_(held)
            tensors[name] = tensor
    return tensors, model


def store_weights(folder, case, tensors):
    if "npz" in case.store:
        store_npz(folder / "weights.npz", tensors, fake=case.store == "fake npz")
        return
    stored = old_names(tensors) if case.store == "old names" else tensors
    safetensors.torch.save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})


@torch.no_grad()
def run(model, encodings, typed):
    """Outputs of one padded batch, cut to each text's tokens."""
    longest = max(len(e.ids) for e in encodings)
    pad = model.config.pad_token_id
    ids = torch.tensor([e.ids + [pad] * (longest - len(e.ids)) for e in encodings])
    mask = torch.tensor([[1] * len(e.ids) + [0] * (longest - len(e.ids)) for e in encodings])
    inputs = {"input_ids": ids, "attention_mask": mask}
    if typed:
        inputs["token_type_ids"] = torch.tensor([e.type_ids + [0] * (longest - len(e.ids)) for e in encodings])
    base = model.base_model(**inputs)
    head = None if base is None or model is model.base_model else model(**inputs)
    results = []
    for i, encoding in enumerate(encodings):
        count = len(encoding.ids)
        result = {"last_hidden_state": base.last_hidden_state[i, :count]}
        if getattr(base, "pooler_output", None) is not None:
            result["pooler_output"] = base.pooler_output[i]
        if head is not None and "start_logits" in head:
            result["logits"] = torch.stack([head.start_logits[i, :count], head.end_logits[i, :count]], dim=-1)
        elif head is not None and "MaskedLM" not in type(model).__name__:
            result["logits"] = head.logits[i, :count] if head.logits.dim() == 3 else head.logits[i]
        results.append(result)
    return results


def distance(first, second):
    return max((a[key] - b[key]).abs().max().item() for a, b in zip(first, second) for key in a)


def write_sentence_files(folder, seed):
    """cls and mean side by side, a Dense with tanh, Normalize; returns what they compute."""
    prefix = "sentence_transformers.models."
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"), ("Normalize", "3_Normalize")]
    write_json(folder / "modules.json", [{"idx": i, "name": str(i), "path": path, "type": prefix + kind}
                                         for i, (kind, path) in enumerate(modules)])
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json",
               {"prompts": {"query": "search: ", "document": ""}, "default_prompt_name": None,
                "similarity_fn_name": "cosine"})
    for name in ("1_Pooling", "2_Dense"):
        (folder / name).mkdir(exist_ok=True)
    write_json(folder / "1_Pooling" / "config.json",
               {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True,
                "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False,
                "pooling_mode_weightedmean_tokens": False, "pooling_mode_lasttoken": False, "include_prompt": True})
    write_json(folder / "2_Dense" / "config.json",
               {"in_features": 64, "out_features": 24, "bias": True,
                "activation_function": "torch.nn.modules.activation.Tanh"})
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn((24, 64), generator=generator) / 8
    bias = torch.randn((24,), generator=generator) * 0.3
    safetensors.torch.save_file({"linear.weight": weight, "linear.bias": bias}, folder / "2_Dense/model.safetensors")

    def embed(hidden):
        pooled = torch.cat([hidden[0], hidden.mean(dim=0)])
        vector = torch.tanh(weight @ pooled + bias)
        return vector / vector.norm()

    return embed


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1) + "\n")


def digits(tensor):
    if tensor.dim() == 1:
        return [float(f"{value:.9g}") for value in tensor.tolist()]
    return [digits(row) for row in tensor]


def check_case(name, case, model, encodings, typed, results):
    """Padding, the attention's implementation and a feature switched off: two that must not matter, one that must."""
    alone = [run(model, [encoding], typed)[0] for encoding in encodings]
    padded = distance(results, alone)
    assert padded < 1e-4, f"{name}: padding moves results by {padded}"
    model.set_attn_implementation("sdpa")
    other = distance(results, run(model, encodings, typed))
    assert other < 1e-4, f"{name}: eager and sdpa differ by {other}"
    if not case.plain:
        return
    changed = getattr(transformers, case.kind)(
        type(model.config)(**{**case.config, **case.plain}, attn_implementation="eager")).float().eval()
    changed.load_state_dict(model.state_dict())
    moved = distance(results, run(changed, encodings, typed))
    assert moved > 0.1, f"{name}: the feature moves results by only {moved}"


def write_case(name, case):
    folder = OUTPUT / name
    folder.mkdir(parents=True, exist_ok=True)
    seed = 2000 + list(CASES).index(name)
    write_json(folder / "config.json", dict(sorted(case.config.items())))
    tokenizer = make_tokenizer(case.tokenizer, case.config["vocab_size"])
    tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
    config = transformers.AutoConfig.from_pretrained(folder, attn_implementation="eager")
    tensors, model = make_weights(case, config, seed)
    store_weights(folder, case, tensors)
    embed = write_sentence_files(folder, seed) if case.sentence else None
    encodings = [tokenizer.encode(text) if pair is None else tokenizer.encode(text, pair)
                 for text, pair in case.texts]
    typed = config.model_type == "bert"
    results = [run(model, [encoding], typed)[0] for encoding in encodings]
    golden = []
    for (text, pair), encoding, result in zip(case.texts, encodings, results):
        entry = {"text": text} | ({} if pair is None else {"pair": pair})
        entry |= {"input_ids": encoding.ids, "type_ids": encoding.type_ids}
        kept = ["logits"] if "logits" in result else result.keys()
        entry |= {key: digits(result[key]) for key in kept}
        if embed:
            entry["embedding"] = digits(embed(result["last_hidden_state"]))
        golden.append(entry)
    text = json.dumps({"texts": golden, "transformers": transformers.__version__}, separators=(",", ":"))
    (folder / "golden.json").write_text(text + "\n")
    check_case(name, case, model, encodings, typed, results)
    size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
    print(f"{name:22} {size:8} bytes, {max(len(e.ids) for e in encodings)} tokens at most")


def main():
    transformers.logging.set_verbosity_error()
    wanted = sys.argv[1:] or list(CASES)
    for name in wanted:
        if name not in CASES:
            raise SystemExit(f"unknown case {name}; known: {' '.join(CASES)}")
        write_case(name, CASES[name])


if __name__ == "__main__":
    main()
