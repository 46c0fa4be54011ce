"""What lstmbench is told about this backend before it is loaded."""

from lstmbench import BackendInfo, hookimpl


@hookimpl
def lstmbench_backends() -> list[BackendInfo]:
    return [
        BackendInfo(
            name="flax",
            factory="lstmbench_flax.backend:FlaxBackend",
            requires=("jax", "flax", "optax"),
            summary="flax.nnx: OptimizedLSTMCell in RNN, optax, jitted functions",
            interface=1,
        )
    ]
