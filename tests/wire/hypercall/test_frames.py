"""Hypercalls over a stream, both ends."""

from __future__ import annotations

import contextlib
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import LocalProtocolError, RemoteProtocolError
from purevirt.wire.hypercall.frames import (
    HELLO_SIZE,
    MAX_FRAME,
    MAX_MEMORY,
    AnswerDecoder,
    CallDecoder,
    decode_hello,
    encode_answer,
    encode_call,
    encode_hello,
)
from purevirt.wire.hypercall.values import Answer, Extent, Hypercall

words = st.integers(0, (1 << 64) - 1)
calls = st.builds(
    Hypercall,
    st.integers(0, (1 << 32) - 1),
    st.lists(words, max_size=5).map(tuple),
    st.lists(st.builds(Extent, words, st.binary(max_size=60)), max_size=4).map(tuple),
)
answers = st.builds(
    Answer, st.integers(-(1 << 63), (1 << 63) - 1), st.lists(st.binary(max_size=60), max_size=4).map(tuple)
)


def drain(decoder: Any) -> list[Any]:
    found = []
    while (frame := decoder.next()) is not None:
        found.append(frame)
    return found


def feed_in_steps(decoder: Any, stream: bytes, step: int) -> list[Any]:
    found = []
    for start in range(0, len(stream), step):
        decoder.feed(stream[start : start + step])
        found += drain(decoder)
    return found


def test_a_call_as_bytes() -> None:
    frame = encode_call(7, Hypercall(35, (0x1000,), (Extent(0x1000, b"\1\2\0\0"),)))
    assert frame == bytes.fromhex(
        "26000000 07000000"  # length, id
        "23000000 0100 0100"  # op, arguments, extents
        "0010000000000000"  # the argument
        "0010000000000000 04000000 02000000"  # address, size, sent
        "0102"  # the zeros at its end do not travel
    )


def test_an_answer_as_bytes() -> None:
    frame = encode_answer(7, Answer(-13, (b"\0\0", b"a")))
    assert frame == bytes.fromhex(
        "25000000 07000000"
        "f3ffffffffffffff 02000000 00000000"  # value, extents
        "02000000 00000000  01000000 01000000"  # size, sent, of each
        "61"
    )


@given(st.lists(st.tuples(st.integers(0, (1 << 32) - 1), calls), max_size=4), st.integers(1, 300))
def test_calls_survive_however_they_are_split(sent: list[tuple[int, Hypercall]], step: int) -> None:
    stream = b"".join(encode_call(number, call) for number, call in sent)
    decoder = CallDecoder()
    assert feed_in_steps(decoder, stream, step) == sent
    assert decoder.pending == 0


@given(st.lists(st.tuples(st.integers(0, (1 << 32) - 1), answers), max_size=4), st.integers(1, 300))
def test_answers_survive_however_they_are_split(sent: list[tuple[int, Answer]], step: int) -> None:
    stream = b"".join(encode_answer(number, answer) for number, answer in sent)
    assert feed_in_steps(AnswerDecoder(), stream, step) == sent


small = st.integers(0, 40)
near_misses = st.builds(
    lambda length, rest: struct.pack("<II", length, 1) + rest,
    small,
    st.lists(st.one_of(small.map(lambda n: bytes([n])), st.binary(min_size=1, max_size=4)), max_size=30).map(
        b"".join
    ),
)


@given(
    st.sampled_from([CallDecoder, AnswerDecoder]),
    st.one_of(st.binary(max_size=200), near_misses),
    st.integers(1, 64),
)
def test_any_bytes_are_frames_or_the_one_error_for_good(kind: Any, stream: bytes, step: int) -> None:
    decoder = kind()
    broken = False
    try:
        feed_in_steps(decoder, stream, step)
    except RemoteProtocolError:
        broken = True
    if broken:
        decoder.feed(encode_answer(1, Answer(0)))
        assert decoder.pending == 0
        with pytest.raises(RemoteProtocolError):
            decoder.next()


@pytest.mark.parametrize("kind", [CallDecoder, AnswerDecoder])
@pytest.mark.parametrize("length", [0, 3, MAX_FRAME + 1, 0xFFFFFFFF])
def test_a_hostile_length_allocates_nothing(kind: Any, length: int) -> None:
    decoder = kind()
    decoder.feed(struct.pack("<II", length, 0))
    with pytest.raises(RemoteProtocolError, match="claims"):
        decoder.next()


def test_what_came_before_a_broken_frame_is_delivered() -> None:
    decoder = AnswerDecoder()
    decoder.feed(encode_answer(1, Answer(5)) + b"\0\0\0\0\0\0\0\0")
    assert decoder.next() == (1, Answer(5, ()))
    with pytest.raises(RemoteProtocolError):
        decoder.next()


@pytest.mark.parametrize(
    "body",
    [
        struct.pack("<IHH", 1, 6, 0) + bytes(48),
        struct.pack("<IHH", 1, 0, 17) + bytes(17 * 16),
        struct.pack("<IHHQII", 1, 0, 1, 0, MAX_MEMORY + 1, 0),
        struct.pack("<IHHQII", 1, 0, 1, 0, 1, 2) + b"ab",
        struct.pack("<IHHQII", 1, 0, 1, 0, 2, 2) + b"abc",
        struct.pack("<IHH", 1, 2, 0) + bytes(8),
        b"",
    ],
    ids=["arguments", "extents", "memory", "longer than it is", "left over", "cut", "empty"],
)
def test_calls_that_break_the_rules(body: bytes) -> None:
    decoder = CallDecoder()
    decoder.feed(struct.pack("<II", len(body) + 4, 1) + body)
    with pytest.raises(RemoteProtocolError):
        decoder.next()


@pytest.mark.parametrize(
    "call",
    [
        Hypercall(1, (0,) * 6),
        Hypercall(1, (-1,)),
        Hypercall(1, (1 << 64,)),
        Hypercall(1 << 32, ()),
        Hypercall(1, (), (Extent(0, b""),) * 17),
        Hypercall(1, (), (Extent(0, bytes(MAX_MEMORY + 1)),)),
    ],
)
def test_a_call_that_cannot_be_said_is_not_sent(call: Hypercall) -> None:
    with pytest.raises(LocalProtocolError):
        encode_call(1, call)


@pytest.mark.parametrize("arch", ["x86_64", "arm64"])
def test_the_greeting_names_the_architecture(arch: str) -> None:
    assert len(encode_hello(arch)) == HELLO_SIZE
    assert decode_hello(encode_hello(arch)) == arch


@given(st.one_of(st.binary(max_size=20), st.binary(max_size=8).map(lambda rest: b"PVHCALL1" + rest)))
def test_any_greeting_is_an_architecture_or_the_one_error(data: bytes) -> None:
    with contextlib.suppress(RemoteProtocolError):
        assert decode_hello(data) in ("x86_64", "arm64")
