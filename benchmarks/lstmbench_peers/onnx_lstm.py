"""ONNX Runtime, over a graph of ONNX's own LSTM operators."""

from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, numpy_helper, parser

from lstmbench import Backend, ModelSpec, Options, Parameters, State

ORDER = [0, 3, 1, 2]  # of our gates i, f, g, o in ONNX's i, o, f, c


def graph(parameters: Parameters) -> ModelProto:
    """Return the graph from digits (B, T) and (h, c), each (L, B, H), to logits and state after."""
    model = ModelSpec.of(parameters)
    vocabulary, hidden, layers = model.vocabulary, model.hidden, range(model.layers)
    output = parameters["linear.weight"]
    kind = {"float32": "float", "float64": "double"}[str(output.dtype)]
    state = f"{kind}[{len(layers)}, B, {hidden}]"

    def each(name: str) -> str:
        return ", ".join(f"{name}{n}" for n in layers)

    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["": 17]>
        lstm (int64[B, T] digits, {state} h, {state} c)
        => ({kind}[B, T, {vocabulary}] logits, {state} h_after, {state} c_after) {{
            steps = Transpose <perm = [1, 0]> (digits)
            x0 = Gather (one_hot, steps)
            {each("h_in")} = Split <axis = 0> (h)
            {each("c_in")} = Split <axis = 0> (c)
        """
        + "".join(
            f"""
            y{n}, h_out{n}, c_out{n} = LSTM <hidden_size = {hidden}> (
                x{n}, weight_ih{n}, weight_hh{n}, bias{n}, , h_in{n}, c_in{n})
            x{n + 1} = Squeeze (y{n}, direction)
            """
            for n in layers
        )
        + f"""
            h_after = Concat <axis = 0> ({each("h_out")})
            c_after = Concat <axis = 0> ({each("c_out")})
            product = MatMul (x{len(layers)}, weight)
            logits_by_step = Add (product, bias)
            logits = Transpose <perm = [1, 0, 2]> (logits_by_step)
        }}"""
    )
    constants = {
        "one_hot": np.eye(vocabulary, dtype=output.dtype),
        "direction": np.array([1]),
        "weight": output.T,
        "bias": parameters["linear.bias"],
    }
    for n in layers:
        for part in ("weight_ih", "weight_hh", "bias"):
            array = parameters[f"lstm.{n}.{part}"]
            gates = array.reshape(4, hidden, -1)[ORDER].reshape(1, *array.shape)
            constants[f"{part}{n}"] = gates
        bias = constants[f"bias{n}"]
        constants[f"bias{n}"] = np.concatenate([bias, np.zeros_like(bias)], axis=1)
    for name, array in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
    return model


class OnnxLstm(Backend):
    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.session_options = onnxruntime.SessionOptions()
        self.session_options.intra_op_num_threads = options.threads

    def load(self, parameters: Parameters) -> None:
        self.loaded = {name: array.copy() for name, array in parameters.items()}
        model = graph(parameters).SerializeToString()
        self.session = onnxruntime.InferenceSession(model, self.session_options)

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: array.copy() for name, array in self.loaded.items()}

    def stage(self, tokens: np.ndarray) -> np.ndarray:
        return tokens.astype(np.int64)

    def forward(self, inputs: np.ndarray, state: State | None = None) -> tuple[Any, State]:
        layers, _, hidden = self.session.get_inputs()[1].shape
        zero = np.zeros((layers, len(inputs), hidden), self.options.dtype)
        h, c = state or (zero, zero)
        logits, h, c = self.session.run(None, {"digits": inputs, "h": h, "c": c})
        return logits, (h, c)

    def generate(self, prompts: np.ndarray, steps: int) -> np.ndarray:
        logits, state = self.forward(prompts)
        digits = [logits[:, -1:].argmax(-1)]
        while len(digits) < steps:
            logits, state = self.forward(digits[-1], state)
            digits.append(logits.argmax(-1))
        return np.concatenate(digits, axis=1)
