"""What lstmbench is told about this backend before it is loaded."""

from lstmbench import BackendInfo, hookimpl


@hookimpl
def lstmbench_backends() -> list[BackendInfo]:
    return [
        BackendInfo(
            name="numba",
            factory="lstmbench_numba.backend:NumbaBackend",
            requires=("numba",),
            extra="numba",
            summary="kernels of explicit SIMD vectors, compiled by Numba, parallel in the batch",
        )
    ]
