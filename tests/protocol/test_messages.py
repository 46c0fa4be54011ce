import io
import math
import typing
from types import UnionType
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lstmbench.host import frames
from lstmbench.interface import Options
from lstmbench.protocol import messages, observations, wire
from lstmbench.protocol.contender import Contender
from lstmbench.protocol.settings import Settings

SETTINGS = st.sampled_from(
    [Settings(), Settings(backend=("a", "b"), dtype="bfloat16", clip=0.1, seed=2**53)]
)
ARRAYS = st.sampled_from([np.zeros(()), np.arange(6.0).reshape(2, 3), np.ones((0, 2), np.uint8)])
PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(-(2**62), 2**62),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(),
    bool: st.booleans(),
    bytes: st.binary(),
    type(None): st.none(),
    np.ndarray: ARRAYS,
    Settings: SETTINGS,
    Options: st.builds(Options, dtype=st.sampled_from(["float32", "float64"])),
}


def within(kind: Any, meta: msgspec.Meta) -> st.SearchStrategy[Any]:
    """Anything of a type within its bounds."""
    if kind is int:
        return st.integers(meta.ge, meta.le)
    if kind is float:
        low = meta.gt if meta.ge is None else meta.ge
        return st.floats(low, meta.le, exclude_min=meta.gt is not None)
    return st.lists(any_of(typing.get_args(kind)[0]), min_size=meta.min_length or 0, max_size=3)


def any_of(kind: Any) -> st.SearchStrategy[Any]:
    """Anything that a field of this type may hold."""
    if kind in PLAIN:
        return PLAIN[kind]
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return within(*parts)
    if origin is typing.Literal:
        return st.sampled_from(parts)
    if origin in (typing.Union, UnionType):
        return st.one_of(*map(any_of, parts))
    if origin is list:
        return st.lists(any_of(parts[0]), max_size=3)
    if origin is tuple:
        return st.tuples(*map(any_of, parts))
    if origin is dict:
        return st.dictionaries(any_of(parts[0]), any_of(parts[1]), max_size=3)
    hints = typing.get_type_hints(kind, include_extras=True)
    return st.builds(kind, **{name: any_of(hint) for name, hint in hints.items()})


def each(union: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("kind", typing.get_args(union), ids=lambda kind: kind.__name__)


few = hypothesis_settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])


def through_a_pipe(message: Any) -> bytes:
    pipe = io.BytesIO()
    wire.send(pipe, message)
    pipe.seek(0)
    data = frames.read(pipe.read)
    assert data is not None and pipe.read() == b""
    return data


@each(messages.Request)
@few
@given(data=st.data())
def test_requests_come_through_a_pipe_as_they_were(kind: Any, data: st.DataObject) -> None:
    message = data.draw(any_of(kind))
    sent = through_a_pipe(message)
    back = wire.decode_request(sent)
    assert type(back) is kind and through_a_pipe(back) == sent


@each(messages.Reply)
@few
@given(data=st.data())
def test_replies_come_through_a_pipe_as_they_were(kind: Any, data: st.DataObject) -> None:
    message = data.draw(any_of(kind))
    sent = through_a_pipe(message)
    back = wire.decode_reply(sent)
    assert type(back) is kind and through_a_pipe(back) == sent


@each(observations.Record)
@few
@given(data=st.data())
def test_records_are_the_same_read_from_one_line_of_json(kind: Any, data: st.DataObject) -> None:
    record = data.draw(any_of(kind))
    line = msgspec.json.encode(record)
    back = msgspec.json.decode(line, type=observations.Record)
    assert type(back) is kind and back == record
    assert b"\n" not in line


def test_numbers_that_are_not_finite_come_through_a_pipe() -> None:
    sent = observations.Trained(
        contender=Contender(backend="a"),
        metrics={"a": math.nan, "b": math.inf, "c": -math.inf},
        peak_bytes=1,
        imported_bytes=1,
    )
    back = wire.decode_reply(through_a_pipe(sent))
    assert math.isnan(back.metrics["a"])
    assert (back.metrics["b"], back.metrics["c"]) == (math.inf, -math.inf)


def test_messages_follow_one_another_in_a_pipe() -> None:
    pipe = io.BytesIO()
    sent = [messages.ObserveCase(case="a" * n) for n in (0, 1, 70_000)]
    for message in sent:
        wire.send(pipe, message)
    pipe.seek(0)
    received = [frames.read(pipe.read) for _ in sent]
    assert [wire.decode_request(data or b"") for data in received] == sent
    assert frames.read(pipe.read) is None


def test_a_frame_is_a_mark_four_bytes_of_length_and_the_message() -> None:
    pipe = io.BytesIO()
    wire.send(pipe, messages.Done())
    mark, length, body = pipe.getvalue()[:4], pipe.getvalue()[4:8], pipe.getvalue()[8:]
    assert mark == frames.MARK
    assert int.from_bytes(length, "big") == len(body)
    assert msgspec.msgpack.decode(body) == {"type": "Done"}


def test_a_truncated_frame_is_the_end() -> None:
    pipe = io.BytesIO()
    wire.send(pipe, messages.ObserveCase(case="odd"))
    whole = pipe.getvalue()
    for kept in range(len(whole)):
        assert frames.read(io.BytesIO(whole[:kept]).read) is None
    assert frames.read(io.BytesIO(whole).read) == whole[8:]


@pytest.mark.parametrize("data", [b"hello, world", b"\0" * 8, b"LSTM\0\0\0\1x"])
def test_what_is_no_frame_is_known_at_once(data: bytes) -> None:
    with pytest.raises(frames.NotAFrame):
        frames.read(io.BytesIO(data).read)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x81\xa4type\xa4Nope"])
def test_what_is_no_message_is_refused(data: bytes) -> None:
    for decode in (wire.decode_request, wire.decode_reply):
        with pytest.raises(msgspec.DecodeError):
            decode(data)


def test_labels_tell_contenders_apart() -> None:
    contenders = [
        Contender(backend=backend, device=device, replica=replica, injected_slowdown=slowed)
        for backend in ("a", "b")
        for device in ("cpu", "cuda")
        for replica in (0, 1)
        for slowed in (False, True)
    ]
    assert len({one.label for one in contenders}) == len(contenders)
    assert Contender(backend="torch").label == "torch"
    assert Contender(backend="torch", device="cuda").label == "torch:cuda"
