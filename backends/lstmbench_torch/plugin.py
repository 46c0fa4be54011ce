"""What lstmbench is told about this backend before it is loaded."""

from lstmbench import BackendInfo, hookimpl


@hookimpl
def lstmbench_backends() -> list[BackendInfo]:
    return [
        BackendInfo(
            name="torch",
            factory="lstmbench_torch.backend:TorchBackend",
            requires=("torch",),
            extra="torch",
            summary="nn.LSTM: oneDNN or native kernels on the CPU, cuDNN on CUDA",
            devices=("cpu", "cuda"),
            dtypes=("float32", "float64", "bfloat16"),
        )
    ]
