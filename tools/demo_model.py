"""A compact Qwen3 decoder for training; parameter names are those of transformers' Qwen3ForCausalLM."""

import math

import torch
from torch import nn
from torch.nn import functional


class RMSNorm(nn.Module):
    def __init__(self, size, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x):
        return functional.rms_norm(x, self.weight.shape, self.weight, self.eps)


def rotary_tables(length, head_dim, theta):
    """cos and sin, each length x head_dim, halves repeated (the layout of rotate_half)."""
    frequencies = theta ** (-torch.arange(0, head_dim, 2).float() / head_dim)
    angles = torch.outer(torch.arange(length).float(), frequencies)
    return angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)


def rotate(x, cos, sin):
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, self.head_dim = config["hidden_size"], config["head_dim"]
        self.n_heads, self.n_kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.q_proj = nn.Linear(hidden, self.n_heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(hidden, self.n_kv_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(hidden, self.n_kv_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.n_heads * self.head_dim, hidden, bias=False)
        self.q_norm = RMSNorm(self.head_dim, config["rms_norm_eps"])
        self.k_norm = RMSNorm(self.head_dim, config["rms_norm_eps"])

    def forward(self, x, cos, sin, mask):
        batch, length, _ = x.shape
        group = self.n_heads // self.n_kv_heads
        split = (batch, length, -1, self.head_dim)
        q = rotate(self.q_norm(self.q_proj(x).view(split)).transpose(1, 2), cos, sin)
        k = rotate(self.k_norm(self.k_proj(x).view(split)).transpose(1, 2), cos, sin)
        v = self.v_proj(x).view(split).transpose(1, 2)
        # The queries that share a KV head become rows of one matrix, so that K and V are never copied. Plain
        # matrix products reach AMX in bf16; torch's fused CPU attention was slower here.
        q = (q * (1.0 / math.sqrt(self.head_dim))).reshape(batch * self.n_kv_heads, group * length, self.head_dim)
        k = k.reshape(batch * self.n_kv_heads, length, self.head_dim)
        v = v.reshape(batch * self.n_kv_heads, length, self.head_dim)
        scores = torch.bmm(q, k.transpose(1, 2)).view(-1, group, length, length) + mask
        weights = functional.softmax(scores, dim=-1).view(-1, group * length, length)
        mixed = torch.bmm(weights, v).view(batch, self.n_heads, length, self.head_dim)
        return self.o_proj(mixed.transpose(1, 2).reshape(batch, length, -1))


class Mlp(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, inner = config["hidden_size"], config["intermediate_size"]
        self.gate_proj = nn.Linear(hidden, inner, bias=False)
        self.up_proj = nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(functional.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.input_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.mlp = Mlp(config)

    def forward(self, x, cos, sin, mask):
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Backbone(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])


class Decoder(nn.Module):
    """Tied embeddings: the output rows are the embedding rows, as `tie_word_embeddings` says."""

    def __init__(self, config, context_length):
        super().__init__()
        self.model = Backbone(config)
        cos, sin = rotary_tables(context_length, config["head_dim"], config["rope_theta"])
        mask = torch.full((context_length, context_length), float("-inf")).triu(1)
        for name, table in (("cos", cos), ("sin", sin), ("mask", mask)):
            self.register_buffer(name, table.bfloat16(), persistent=False)
        self.initialize(config)

    def initialize(self, config):
        """Normal with std 0.02; the two projections that write to the residual stream are scaled by depth."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                std = config["initializer_range"]
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    std /= math.sqrt(2 * config["num_hidden_layers"])
                nn.init.normal_(parameter, std=std)

    def forward(self, ids):
        """ids: batch x length -> final hidden states, batch x length x hidden."""
        length = ids.shape[1]
        cos, sin, mask = self.cos[:length], self.sin[:length], self.mask[:length, :length]
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, cos, sin, mask)
        return self.model.norm(x)

    def loss(self, ids, targets):
        """Mean cross-entropy of `targets`, in nats."""
        logits = functional.linear(self(ids), self.model.embed_tokens.weight)
        return functional.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())
