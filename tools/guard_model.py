"""A compact Llama decoder for training behind one long fixed prompt; names as in transformers' LlamaForCausalLM."""

import math

import torch
from torch import nn
from torch.nn import functional

from demo_model import Mlp, RMSNorm, rotary_tables, rotate


class Attention(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, self.head_dim, self.n_heads = config["hidden_size"], config["head_dim"], config["num_attention_heads"]
        self.q_proj = nn.Linear(hidden, self.n_heads * self.head_dim, bias=False)
        self.k_proj = nn.Linear(hidden, self.n_heads * self.head_dim, bias=False)
        self.v_proj = nn.Linear(hidden, self.n_heads * self.head_dim, bias=False)
        self.o_proj = nn.Linear(self.n_heads * self.head_dim, hidden, bias=False)

    def forward(self, x, shape, tables):
        """x: (prefix + batch * length) x hidden, the prefix first; every row of the batch attends to the one prefix."""
        prefix, batch, length = shape
        cos, sin, mask = tables
        q, k, v = (p(x).view(x.shape[0], self.n_heads, self.head_dim) for p in (self.q_proj, self.k_proj, self.v_proj))
        q = rotate(q * (1.0 / math.sqrt(self.head_dim)), cos, sin)
        k = rotate(k, cos, sin)

        # split, not slices: the gradient of a slice is a tensor of zeros as large as the whole.
        pairs = [t.split((prefix, batch * length)) for t in (q, k, v)]
        q0, k0, v0 = (head.transpose(0, 1) for head, _ in pairs)  # heads x prefix x head_dim
        q1, k1, v1 = (rows.view(batch, length, self.n_heads, self.head_dim).transpose(1, 2) for _, rows in pairs)
        scores = torch.bmm(q0, k0.transpose(1, 2)) + mask[:prefix, :prefix]
        mixed0 = torch.bmm(functional.softmax(scores, -1), v0).transpose(0, 1).reshape(prefix, -1)

        to_prefix = torch.matmul(q1, k0.transpose(1, 2))
        to_row = torch.matmul(q1, k1.transpose(2, 3)) + mask[:length, :length]
        weights = functional.softmax(torch.cat((to_prefix, to_row), -1), -1).split((prefix, length), -1)
        mixed1 = torch.matmul(weights[0], v0) + torch.matmul(weights[1], v1)
        mixed1 = mixed1.transpose(1, 2).reshape(batch * length, -1)
        return self.o_proj(torch.cat((mixed0, mixed1)))


class Layer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.input_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.mlp = Mlp(config)

    def forward(self, x, shape, tables):
        x = x + self.self_attn(self.input_layernorm(x), shape, tables)
        return x + self.mlp(self.post_attention_layernorm(x))


class Backbone(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList(Layer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])


class GuardDecoder(nn.Module):
    """Tied embeddings. The prefix is computed once for a whole batch, which more than halves the work of a step."""

    def __init__(self, config):
        super().__init__()
        self.model = Backbone(config)
        length = config["max_position_embeddings"]
        cos, sin = rotary_tables(length, config["head_dim"], config["rope_theta"])
        mask = torch.full((length, length), float("-inf")).triu(1)
        for name, table in (("cos", cos), ("sin", sin), ("mask", mask)):
            self.register_buffer(name, table.bfloat16(), persistent=False)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                std = config["initializer_range"]
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    std /= math.sqrt(2 * config["num_hidden_layers"])
                nn.init.normal_(parameter, std=std)

    def loss(self, prefix, ids, kept, targets):
        """Mean cross-entropy in nats of `targets` behind `prefix`; logits exist only where a target does.

        prefix: token ids, P; ids: batch x length, padded at the end; kept: places in the flattened ids whose next
        token is learned; targets: those tokens.
        """
        shape = (prefix.shape[0], *ids.shape)
        places = torch.arange(shape[0] + shape[2])
        places = torch.cat((places[: shape[0]], places[shape[0] :].repeat(shape[1])))
        tables = (self.cos[places].unsqueeze(1), self.sin[places].unsqueeze(1), self.mask)
        x = self.model.embed_tokens(torch.cat((prefix, ids.flatten())))
        for layer in self.model.layers:
            x = layer(x, shape, tables)
        x = self.model.norm(x[prefix.shape[0] :][kept])
        return functional.cross_entropy(functional.linear(x, self.model.embed_tokens.weight).float(), targets)
