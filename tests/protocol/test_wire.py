import io

import numpy as np
import pytest

from lstmbench.host import frames
from lstmbench.parity import Arrays
from lstmbench.protocol import wire
from lstmbench.protocol.messages import Outputs


def through_a_pipe(arrays: Arrays) -> Arrays:
    """Named arrays as they come out at the other end."""
    pipe = io.BytesIO()
    wire.send(pipe, Outputs(calls=[], end=None, arrays=arrays))
    pipe.seek(0)
    data = frames.read(pipe.read)
    assert data is not None
    reply = wire.decode_reply(data)
    assert isinstance(reply, Outputs)
    return reply.arrays


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_arrays_keep_every_bit_shape_and_dtype(dtype: str) -> None:
    random = np.random.default_rng(0)
    arrays = {
        "matrix": (100 * random.random((3, 4))).astype(dtype),
        "transposed": (100 * random.random((3, 4))).astype(dtype).T,
        "strided": (100 * random.random(9)).astype(dtype)[::-2],
        "empty": np.empty((0, 3), dtype),
    }
    back = through_a_pipe(arrays)
    assert back.keys() == arrays.keys()
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        np.testing.assert_array_equal(back[name], array, strict=True)


def test_nan_and_infinity_come_through() -> None:
    odd = np.array([np.nan, np.inf, -np.inf, -0.0])
    back = through_a_pipe({"odd": odd})["odd"]
    assert back.tobytes() == odd.tobytes()


def test_a_scalar_stays_a_scalar_on_its_way() -> None:
    loss = np.array(2.5, np.float32)
    back = through_a_pipe({"loss": loss})["loss"]
    np.testing.assert_array_equal(back, loss, strict=True)


def test_what_is_no_array_cannot_be_sent() -> None:
    with pytest.raises(TypeError, match="object cannot be sent"):
        through_a_pipe({"x": object()})  # type: ignore[dict-item]
