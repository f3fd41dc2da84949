"""What each peer runs, made by the peer's own tools from one checkpoint.

  FOLDER/encoder.onnx         f32 graph, as exported
  FOLDER/ort-f32.onnx         fused by onnxruntime.transformers.optimizer
  FOLDER/ort-int8.onnx        the fused graph through quantize_dynamic (QInt8, per channel)
  FOLDER/openvino-int8.xml    encoder.onnx through nncf.quantize (model_type TRANSFORMER)
  FOLDER/ctranslate2          f32; int8 is chosen when it is loaded, the conversion is the same
"""
import json
import pathlib
import tempfile

import numpy as np

from onnx_graph import write_onnx
from padding import padded_inputs


def once(path, make):
    """Runs make(path) unless an earlier run left the file; what is interrupted leaves no file of that name."""
    if path.exists():
        return
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        make(pathlib.Path(folder) / path.name)
        for made in pathlib.Path(folder).iterdir():
            made.rename(path.parent / made.name)


def fuse_for_ort(source, target, encoder):
    from onnxruntime.transformers import optimizer

    model = optimizer.optimize_model(str(source), model_type="bert", num_heads=encoder.n_heads,
                                     hidden_size=encoder.hidden_dim, opt_level=0)
    fused = model.get_fused_operator_statistics()
    if fused["Attention"] != len(encoder.layers):
        raise RuntimeError(f"ONNX Runtime's optimizer fused {fused['Attention']} attentions of {len(encoder.layers)}")
    model.save_model_to_file(str(target))


def quantize_for_ort(source, target):
    """Signed weights per channel: what ONNX Runtime's documents advise where the processor has VNNI or AMX;
    without them its products may saturate unless weights keep to 7 bits."""
    from onnx import TensorProto
    from onnxruntime.quantization import QuantType, quantize_dynamic

    # fused operators have no shape inference of their own: without the default their results have no type
    quantize_dynamic(source, target, weight_type=QuantType.QInt8, per_channel=True,
                     reduce_range=not has_int8_products(), extra_options={"DefaultTensorType": TensorProto.FLOAT})


def has_int8_products():
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            words = next(line for line in file if line.startswith(("flags", "Features"))).split()
    except (OSError, StopIteration):
        return False
    return not {"avx512_vnni", "avx_vnni", "amx_int8", "asimddp"}.isdisjoint(words)


def quantize_for_openvino(source, target, encoder, calibration):
    import nncf
    import openvino

    core = openvino.Core()
    model = core.read_model(source)
    segments = encoder.token_type is not None
    batches = [json.loads(line) for line in calibration.read_text().split("\n") if line]
    dataset = nncf.Dataset(batches, lambda batch: padded_inputs(batch, segments))
    quantized = nncf.quantize(model, dataset, model_type=nncf.ModelType.TRANSFORMER, subset_size=len(batches))
    openvino.save_model(quantized, target, compress_to_fp16=False)


def fill(spec, weight, bias):
    spec.weight, spec.bias = weight, bias


def fill_norm(spec, pair):
    spec.gamma, spec.beta = pair


def ctranslate2_spec(encoder):
    """As CTranslate2's own loaders for DistilBertModel and BertModel fill it; the row of token type 0, which
    every token gets, is added to the positions."""
    from ctranslate2.specs import common_spec, transformer_spec

    spec = transformer_spec.TransformerEncoderModelSpec(transformer_spec.TransformerEncoderSpec(
        len(encoder.layers), encoder.n_heads, pre_norm=False, activation=common_spec.Activation.GELU,
        layernorm_embedding=True))
    spec.encoder.scale_embeddings = False
    spec.encoder.embeddings[0].weight = encoder.word
    segment = encoder.token_type[0] if encoder.token_type is not None else np.float32(0)
    spec.encoder.position_encodings.encodings = encoder.position + segment
    fill_norm(spec.encoder.layernorm_embedding, encoder.norm)
    for layer_spec, layer in zip(spec.encoder.layer, encoder.layers):
        fill(layer_spec.self_attention.linear[0], *(np.concatenate(parts) for parts in
                                                    zip(layer["q"], layer["k"], layer["v"])))
        fill(layer_spec.self_attention.linear[1], *layer["out"])
        fill_norm(layer_spec.self_attention.layer_norm, layer["attention_norm"])
        fill(layer_spec.ffn.linear_0, *layer["up"])
        fill(layer_spec.ffn.linear_1, *layer["down"])
        fill_norm(layer_spec.ffn.layer_norm, layer["output_norm"])
    return spec


def convert_to_ctranslate2(target, encoder):
    spec = ctranslate2_spec(encoder)
    spec.config.unk_token = "<0>"
    spec.config.layer_norm_epsilon = encoder.norm_eps
    spec.register_vocabulary([f"<{i}>" for i in range(len(encoder.word))])  # ids are given: no words needed
    spec.validate()
    spec.optimize()
    target.mkdir()
    spec.save(str(target))


def convert_all(encoder, folder, calibration):
    """Everything of the list above that is not there yet. Returns {file: why it could not be made}."""
    folder.mkdir(parents=True, exist_ok=True)
    graph, fused = folder / "encoder.onnx", folder / "ort-f32.onnx"
    steps = [(graph, lambda path: write_onnx(encoder, path)),
             (fused, lambda path: fuse_for_ort(graph, path, encoder)),
             (folder / "ort-int8.onnx", lambda path: quantize_for_ort(fused, path)),
             (folder / "openvino-int8.xml",
              lambda path: quantize_for_openvino(graph, path, encoder, calibration)),
             (folder / "ctranslate2", lambda path: convert_to_ctranslate2(path, encoder))]
    failures = {}
    for path, make in steps:
        try:
            once(path, make)
        except Exception as error:  # a peer that cannot be made is a line of the report, not the end of the run
            failures[path.name] = f"{type(error).__name__}: {error}"
    return failures
