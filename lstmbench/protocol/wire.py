"""How messages travel: as MessagePack in frames; NumPy arrays inside them as safetensors bytes."""

from typing import IO, Any

import msgspec
import numpy as np
import safetensors.numpy

from lstmbench.host import frames
from lstmbench.protocol.messages import Reply, Request


def _to_bytes(value: Any) -> bytes:
    if isinstance(value, np.ndarray | np.generic):
        array = np.require(value, requirements="C")
        return bytes(safetensors.numpy.save({"": array}))
    raise TypeError(f"{type(value).__name__} cannot be sent")


def _from_bytes(kind: type, data: Any) -> Any:
    if kind is not np.ndarray:
        raise TypeError(f"{kind.__name__} cannot be received")
    return safetensors.numpy.load(data)[""]


encode = msgspec.msgpack.Encoder(enc_hook=_to_bytes).encode
decode_request = msgspec.msgpack.Decoder(Request, dec_hook=_from_bytes).decode
decode_reply = msgspec.msgpack.Decoder(Reply, dec_hook=_from_bytes).decode


def send(stream: IO[bytes], message: Any) -> None:
    """Write one message and flush it."""
    frames.write(stream, encode(message))
