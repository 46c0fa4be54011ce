import pytest

from lstmbench.interface.errors import (
    LONGEST_LINE,
    LONGEST_TRACEBACK,
    headline,
    out_of_memory,
    shortened,
    told_traceback,
)


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


def test_a_megabyte_of_a_message_is_shortened_to_its_beginning_and_end() -> None:
    told = headline(ValueError("a" + "-" * 10**6 + "z\nsecond line"))
    assert len(told) <= LONGEST_LINE
    assert told.startswith("ValueError: a--") and told.endswith("--z") and "…" in told
    assert shortened("short", 5) == "short"
    try:
        raise ValueError("x" * 10**6)
    except ValueError:
        assert len(told_traceback()) <= LONGEST_TRACEBACK


def test_an_exception_that_cannot_tell_its_message_is_told_by_its_type() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert headline(Mute()) == "Mute: (its message cannot be told)"
