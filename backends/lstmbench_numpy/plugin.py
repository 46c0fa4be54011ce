"""What lstmbench is told about this backend before it is loaded."""

from lstmbench import BackendInfo, hookimpl


@hookimpl
def lstmbench_backends() -> list[BackendInfo]:
    return [
        BackendInfo(
            name="numpy",
            factory="lstmbench_numpy.backend:NumpyBackend",
            requires=("numpy", "threadpoolctl"),
            summary="hand-written backpropagation through time, in place",
        )
    ]
