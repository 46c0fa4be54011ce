"""ONNX Runtime behind lstmbench's interface: inference on the CPU."""

from typing import Any

import numpy as np
import onnx
import onnxruntime

from lstmbench import Backend, ModelSpec, Parameters, State
from lstmbench_onnxruntime import graphs


class OnnxRuntimeBackend(Backend):
    """Two sessions, one a graph; the parameters are constants of both, so `load` builds them."""

    def describe(self) -> dict[str, str]:
        return {
            "onnxruntime": onnxruntime.__version__,
            "onnx": onnx.__version__,
            "path": "CPUExecutionProvider: operator LSTM; greedy decoding in a Loop",
        }

    def load(self, parameters: Parameters) -> None:
        self._parameters = {name: np.array(a, np.float32) for name, a in parameters.items()}
        model = ModelSpec.of(parameters)
        self._layers, self._hidden = model.layers, model.hidden
        self._forward = self._session(graphs.forward(self._parameters))
        self._generate = self._session(graphs.generate(self._parameters))

    def _session(self, model: onnx.ModelProto) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.options.threads
        options.inter_op_num_threads = 1
        # Threads that spin while another backend has its turn would slow it.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.add_session_config_entry("session.inter_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def parameters(self) -> dict[str, np.ndarray]:
        return {name: array.copy() for name, array in self._parameters.items()}

    def stage(self, tokens: np.ndarray) -> Any:
        return tokens.astype(np.int64)  # what ONNX takes as indices

    def forward(self, inputs: Any, state: State | None = None) -> tuple[Any, State]:
        zeros = np.zeros((self._layers, len(inputs), self._hidden), np.float32)
        hidden, cell = state or (zeros, zeros)
        feeds = {"tokens": inputs, "hidden": hidden, "cell": cell}
        logits, hidden, cell = self._forward.run(None, feeds)
        return logits, (hidden, cell)

    def generate(self, prompts: Any, steps: int) -> Any:
        further = np.array(steps - 1)
        return self._generate.run(None, {"tokens": prompts, "further": further})[0]
