"""The peers behind one interface: open, prepare a batch once, run it as often as asked."""
import json
import os
import pathlib

from padding import padded_inputs

#: engine -> dtypes, in the order of the table
DTYPES = {"onnxruntime": ("f32", "int8"), "openvino": ("f32", "bf16", "int8"), "ctranslate2": ("f32", "int8"),
          "torch": ("f32", "int8")}


class OnnxRuntime:
    """All graph optimizations, one session with its own threads."""

    def __init__(self, folder, checkpoint, dtype, threads):
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(folder / f"ort-{dtype}.onnx", options,
                                                    providers=["CPUExecutionProvider"])
        self.segments = len(self.session.get_inputs()) == 3
        self.version = onnxruntime.__version__

    def prepare(self, batch):
        return padded_inputs(batch, self.segments)

    def run(self, inputs):
        return self.session.run(["last_hidden_state"], inputs)[0]

    def isa(self):
        return "not reported"


class OpenVino:
    """f32 forbids bf16; bf16 and int8 keep the plug-in's default, which on AMX is bf16 for what is not int8."""

    def __init__(self, folder, checkpoint, dtype, threads):
        import openvino

        core = openvino.Core()
        model = core.read_model(folder / ("openvino-int8.xml" if dtype == "int8" else "encoder.onnx"))
        settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
        if dtype == "f32":
            settings["INFERENCE_PRECISION_HINT"] = "f32"
        self.compiled = core.compile_model(model, "CPU", settings)
        self.request = self.compiled.create_infer_request()
        self.segments = len(model.inputs) == 3
        self.version = openvino.__version__.split("-")[0]
        precision = str(self.compiled.get_property("INFERENCE_PRECISION_HINT")).split("'")[1]
        if dtype == "bf16" and precision != "bfloat16":
            raise RuntimeError(f"OpenVINO's default on this processor is {precision}")

    def prepare(self, batch):
        return padded_inputs(batch, self.segments)

    def run(self, inputs):
        return self.request.infer(inputs, share_inputs=True, share_outputs=True)[0]

    def isa(self):
        """Kernels of the matrix products, from the compiled graph."""
        kinds = set()
        for node in self.compiled.get_runtime_model().get_ops():
            info = node.get_rt_info()
            if str(info["layerType"].value if "layerType" in info else "") in ("FullyConnected", "MatMul"):
                kinds.add(str(info["primitiveType"].value))
        return ", ".join(sorted(kinds)) or "not reported"


class CTranslate2:
    """Takes ids and lengths and removes padding itself."""

    def __init__(self, folder, checkpoint, dtype, threads):
        import ctranslate2

        kind = {"f32": "float32", "int8": "int8"}[dtype]
        self.encoder = ctranslate2.Encoder(str(folder / "ctranslate2"), compute_type=kind, inter_threads=1,
                                           intra_threads=threads)
        self.version = ctranslate2.__version__

    def prepare(self, batch):
        return batch

    def run(self, batch):
        import numpy

        return numpy.asarray(self.encoder.forward_batch(batch).last_hidden_state)

    def isa(self):
        return "in its log"  # CT2_VERBOSE=1 prints it on stderr when the library loads; worker.py reads it there


class Torch:
    """transformers' own model; int8 by PyTorch's dynamic quantization of the linear layers."""

    def __init__(self, folder, checkpoint, dtype, threads):
        import torch
        import transformers

        torch.set_num_threads(threads)
        transformers.logging.set_verbosity_error()
        self.torch = torch
        self.model = transformers.AutoModel.from_pretrained(checkpoint, dtype=torch.float32).eval()
        if dtype == "int8":
            self.model = torch.ao.quantization.quantize_dynamic(self.model, {torch.nn.Linear}, torch.qint8)
        config = json.loads((pathlib.Path(checkpoint) / "config.json").read_text())
        self.segments = "type_vocab_size" in config
        self.version = torch.__version__.split("+")[0]

    def prepare(self, batch):
        return {name: self.torch.from_numpy(value) for name, value in padded_inputs(batch, self.segments).items()}

    def run(self, inputs):
        with self.torch.inference_mode():
            return self.model(**inputs).last_hidden_state.numpy()

    def isa(self):
        return self.torch.backends.cpu.get_cpu_capability()


ENGINES = {"onnxruntime": OnnxRuntime, "openvino": OpenVino, "ctranslate2": CTranslate2, "torch": Torch}


def open_engine(name, folder, checkpoint, dtype, threads):
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return ENGINES[name](pathlib.Path(folder), checkpoint, dtype, threads)
