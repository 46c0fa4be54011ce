import pytest

from lstmbench.interface.errors import out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 8 GiB."),
        RuntimeError("CUDA error: out of memory"),
        ValueError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 99 bytes."),
        RuntimeError("RESOURCE_EXHAUSTED: Failed to allocate request for 2.0GiB"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    ],
)
def test_a_device_that_has_no_memory_left_is_told_by_all_libraries(error: Exception) -> None:
    assert out_of_memory(error)


def test_other_errors_are_other_errors() -> None:
    assert not out_of_memory(RuntimeError("CUDNN_STATUS_EXECUTION_FAILED"))
