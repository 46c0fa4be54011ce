"""What lstmbench is told about this backend before it is loaded."""

from lstmbench import BackendInfo, hookimpl


@hookimpl
def lstmbench_backends() -> list[BackendInfo]:
    return [
        BackendInfo(
            name="onnxruntime",
            factory="lstmbench_onnxruntime.backend:OnnxRuntimeBackend",
            requires=("onnx", "onnxruntime"),
            summary="inference: the ONNX operator LSTM; greedy decoding inside the graph",
            dtypes=("float32",),  # the operator has no kernel for float64
            interface=1,
        )
    ]
