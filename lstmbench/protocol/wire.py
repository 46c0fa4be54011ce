"""How messages travel: a length (4 bytes, big-endian) and that many bytes of MessagePack.

NumPy arrays inside a message travel as safetensors bytes.
"""

import struct
from collections.abc import Callable
from typing import IO, Any

import msgspec
import numpy as np
import safetensors.numpy

from lstmbench.protocol.messages import Reply, Request

_LENGTH = struct.Struct(">I")


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, np.ndarray | np.generic):
        array = np.require(value, requirements="C")
        return bytes(safetensors.numpy.save({"": array}))
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _from_bytes(kind: type, data: Any) -> Any:
    if kind is not np.ndarray:
        raise TypeError(f"{kind.__name__} cannot be received")
    return safetensors.numpy.load(data)[""]


_encode = msgspec.msgpack.Encoder(enc_hook=_to_bytes).encode
decode_request = msgspec.msgpack.Decoder(Request, dec_hook=_from_bytes).decode
decode_reply = msgspec.msgpack.Decoder(Reply, dec_hook=_from_bytes).decode


def send(stream: IO[bytes], message: Any) -> None:
    """Write one message and flush it."""
    data = _encode(message)
    stream.write(_LENGTH.pack(len(data)) + data)
    stream.flush()


def receive(read: Callable[[int], bytes]) -> bytes | None:
    """Return one message's bytes, or None at the end of the stream.

    `read(n)` returns n bytes, fewer at the end.
    """
    head = read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    data = read(length)
    return data if len(data) == length else None
