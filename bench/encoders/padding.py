"""Batches as peers take them: rectangles of ids with an attention mask."""
import numpy as np


def padded_inputs(batch, segments):
    """{input_ids, attention_mask} and token_type_ids where the model has `segments`; int64 [texts, longest]."""
    longest = max(len(ids) for ids in batch)
    ids = np.zeros((len(batch), longest), np.int64)
    mask = np.zeros_like(ids)
    for row, text in enumerate(batch):
        ids[row, :len(text)] = text
        mask[row, :len(text)] = 1
    inputs = {"input_ids": ids, "attention_mask": mask}
    if segments:
        inputs["token_type_ids"] = np.zeros_like(ids)
    return inputs


def mean_vectors(hidden, batch):
    """Mean of each text's own rows, normalized: what sentence-transformers makes of last_hidden_state."""
    pooled = np.stack([hidden[row, :len(ids)].astype(np.float64).mean(axis=0) for row, ids in enumerate(batch)])
    return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
