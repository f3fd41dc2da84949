"""An encoder as an ONNX graph, node for node as PyTorch's exporter writes BERT, so that the patterns which ONNX
Runtime's and OpenVINO's optimizers look for are there. Needs no PyTorch."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


class Graph:
    """Collects nodes and initializers; every method returns the name of its result."""

    def __init__(self):
        self.nodes, self.initializers, self.known = [], [], {}

    def constant(self, value, name=None):
        value = np.asarray(value)
        key = (value.tobytes(), value.shape, str(value.dtype)) if value.size < 16 else None
        if key in self.known:
            return self.known[key]
        name = name or f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(value, name))
        if key:
            self.known[key] = name
        return name

    def node(self, op, *inputs, **attributes):
        out = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [out], name=out, **attributes))
        return out

    def linear(self, x, weight, bias, name):
        """x Wᵀ + b as MatMul and Add, the pattern of a 3-dimensional input."""
        product = self.node("MatMul", x, self.constant(np.ascontiguousarray(weight.T), name + ".weight"))
        return self.node("Add", self.constant(bias, name + ".bias"), product)

    def norm(self, x, pair, eps, name):
        return self.node("LayerNormalization", x, self.constant(pair[0], name + ".weight"),
                         self.constant(pair[1], name + ".bias"), axis=-1, epsilon=eps)

    def gelu(self, x):
        half = self.node("Div", x, self.constant(np.float32(np.sqrt(2.0))))
        one = self.node("Add", self.node("Erf", half), self.constant(np.float32(1.0)))
        return self.node("Mul", self.node("Mul", x, one), self.constant(np.float32(0.5)))


def add_embeddings(graph, encoder):
    """Word + type + position rows, normalized: [batch, tokens, hidden]."""
    x = graph.node("Gather", graph.constant(encoder.word, "word_embeddings.weight"), "input_ids")
    if encoder.token_type is not None:
        types = graph.constant(encoder.token_type, "token_type_embeddings.weight")
        x = graph.node("Add", x, graph.node("Gather", types, "token_type_ids"))
    shape = graph.node("Shape", "input_ids")
    length = graph.node("Gather", shape, graph.constant(np.int64(1)), axis=0)
    end = graph.node("Unsqueeze", length, graph.constant(np.array([0], np.int64)))
    numbers = graph.constant(np.arange(len(encoder.position), dtype=np.int64)[None], "position_ids")
    positions = graph.node("Slice", numbers, graph.constant(np.array([0], np.int64)), end,
                           graph.constant(np.array([1], np.int64)), graph.constant(np.array([1], np.int64)))
    rows = graph.node("Gather", graph.constant(encoder.position, "position_embeddings.weight"), positions)
    return graph.norm(graph.node("Add", x, rows), encoder.norm, encoder.norm_eps, "embeddings.LayerNorm")


def add_mask(graph):
    """0 where there is a token, very negative where there is padding: [batch, 1, 1, tokens]."""
    mask = graph.node("Unsqueeze", "attention_mask", graph.constant(np.array([1], np.int64)))
    mask = graph.node("Unsqueeze", mask, graph.constant(np.array([2], np.int64)))
    mask = graph.node("Cast", mask, to=TensorProto.FLOAT)
    mask = graph.node("Sub", graph.constant(np.float32(1.0)), mask)
    return graph.node("Mul", mask, graph.constant(np.float32(-10000.0)))


def add_attention(graph, x, mask, layer, n_heads, hidden, name):
    head_dim = hidden // n_heads
    split = graph.constant(np.array([0, 0, n_heads, head_dim], np.int64))

    def heads(which, order):
        projected = graph.linear(x, *layer[which], f"{name}.{which}")
        return graph.node("Transpose", graph.node("Reshape", projected, split), perm=order)

    query, key, value = heads("q", [0, 2, 1, 3]), heads("k", [0, 2, 3, 1]), heads("v", [0, 2, 1, 3])
    scores = graph.node("Div", graph.node("MatMul", query, key), graph.constant(np.float32(np.sqrt(head_dim))))
    weights = graph.node("Softmax", graph.node("Add", scores, mask), axis=-1)
    mixed = graph.node("Transpose", graph.node("MatMul", weights, value), perm=[0, 2, 1, 3])
    joined = graph.node("Reshape", mixed, graph.constant(np.array([0, 0, hidden], np.int64)))
    return graph.linear(joined, *layer["out"], f"{name}.out")


def add_layer(graph, x, mask, layer, encoder, name):
    attended = add_attention(graph, x, mask, layer, encoder.n_heads, encoder.hidden_dim, name)
    x = graph.norm(graph.node("Add", attended, x), layer["attention_norm"], encoder.norm_eps,
                   name + ".attention_norm")
    up = graph.gelu(graph.linear(x, *layer["up"], name + ".up"))
    down = graph.linear(up, *layer["down"], name + ".down")
    return graph.norm(graph.node("Add", down, x), layer["output_norm"], encoder.norm_eps, name + ".output_norm")


def write_onnx(encoder, path):
    """input_ids, attention_mask (and token_type_ids where there are segments) [batch, tokens] to
    last_hidden_state [batch, tokens, hidden]."""
    graph = Graph()
    x, mask = add_embeddings(graph, encoder), add_mask(graph)
    for i, layer in enumerate(encoder.layers):
        x = add_layer(graph, x, mask, layer, encoder, f"layer.{i}")
    graph.nodes.append(helper.make_node("Identity", [x], ["last_hidden_state"]))
    names = ["input_ids", "attention_mask"] + (["token_type_ids"] if encoder.token_type is not None else [])
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in names]
    output = helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT,
                                           ["batch", "tokens", encoder.hidden_dim])
    model = helper.make_model(
        helper.make_graph(graph.nodes, "encoder", inputs, [output], graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
