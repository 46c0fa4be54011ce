"""What lstmbench is told about this backend before it is loaded."""

from lstmbench import BackendInfo, hookimpl


@hookimpl
def lstmbench_backends() -> list[BackendInfo]:
    return [
        BackendInfo(
            name="jax",
            factory="lstmbench_jax.backend:JaxBackend",
            requires=("jax",),
            extra="jax",
            summary="XLA: lax.scan, hand-written backward pass, whole steps compiled ahead of time",
            devices=("cpu", "cuda"),
            dtypes=("float32", "float64", "bfloat16"),
        )
    ]
