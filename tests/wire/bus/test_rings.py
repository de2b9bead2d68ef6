"""Rings in a page: tables of bytes, any split, any indices."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.wire.bus import ByteRing, ConsoleRing, RingBroken, RingConnection, RingError, StoreRing

INDEX = st.integers(0, 2**32 - 1)


def page() -> bytearray:
    return bytearray(4096)


def words(raw: bytearray, at: int, count: int) -> tuple[int, ...]:
    return struct.unpack_from(f"<{count}I", raw, at)


def test_a_request_lies_where_the_header_says() -> None:
    raw = page()
    ring = StoreRing(memoryview(raw))
    assert ring.requests.put(b"hello") == 5
    assert raw[:6] == b"hello\0"
    assert words(raw, 2048, 4) == (0, 5, 0, 0)  # req_cons, req_prod, rsp_cons, rsp_prod
    assert ring.requests.take() == b"hello"
    assert words(raw, 2048, 4) == (5, 5, 0, 0)


def test_a_reply_lies_behind_the_requests() -> None:
    raw = page()
    ring = StoreRing(memoryview(raw))
    assert ring.replies.put(b"OK\0") == 3
    assert raw[1024:1028] == b"OK\0\0"
    assert words(raw, 2048, 4) == (0, 0, 0, 3)


def test_what_the_page_says_of_the_daemon() -> None:
    raw = page()
    ring = StoreRing(memoryview(raw))
    ring.server_features, ring.connection = 7, RingConnection.RECONNECT
    ring.error, ring.port = RingError.PROTO, 9
    assert words(raw, 2064, 4) == (7, 1, 3, 9)
    assert (ring.server_features, ring.connection, ring.error, ring.port) == (7, 1, 3, 9)


def test_the_console_has_a_longer_way_out_than_in() -> None:
    raw = page()
    ring = ConsoleRing(memoryview(raw))
    assert ring.input.put(b"i" * 2000) == 1024
    assert ring.output.put(b"o" * 3000) == 2048
    assert raw[:3072] == b"i" * 1024 + b"o" * 2048
    assert words(raw, 3072, 4) == (0, 1024, 0, 2048)  # in_cons, in_prod, out_cons, out_prod


def ring_at(index: int, used: int = 0) -> tuple[bytearray, ByteRing]:
    raw = page()
    struct.pack_into("<II", raw, 2048, index, (index + used) % 2**32)
    return raw, StoreRing(memoryview(raw)).requests


@given(INDEX, st.lists(st.binary(max_size=1500), max_size=8))
def test_what_is_put_is_taken_wherever_the_indices_are(start: int, pieces: list[bytes]) -> None:
    _, ring = ring_at(start)
    for piece in pieces:
        sent = ring.put(piece)
        assert sent == min(len(piece), 1024)
        assert ring.used == sent
        assert ring.take() == piece[:sent]
    assert ring.take() == b""


@given(INDEX, st.binary(min_size=1, max_size=5000), st.data())
def test_a_long_stream_goes_through_in_any_pieces(start: int, stream: bytes, data: st.DataObject) -> None:
    _, ring = ring_at(start)
    out, at = b"", 0
    while len(out) < len(stream):
        at += ring.put(stream[at : at + data.draw(st.integers(1, 1024))])
        if data.draw(st.booleans()) or at == len(stream):
            out += ring.take()
    assert out == stream


@given(INDEX, INDEX)
def test_indices_too_far_apart_are_refused_and_nothing_is_touched(cons: int, prod: int) -> None:
    raw = page()
    struct.pack_into("<II", raw, 2048, cons, prod)
    before = bytes(raw)
    ring = StoreRing(memoryview(raw)).requests
    if (prod - cons) % 2**32 <= 1024:
        assert len(ring.take()) == (prod - cons) % 2**32
        return
    for attempt in (ring.take, lambda: ring.put(b"x"), lambda: ring.used):
        with pytest.raises(RingBroken):
            attempt()
    assert raw == before


def test_a_full_ring_takes_no_more() -> None:
    raw, ring = ring_at(2**32 - 3, used=1024)
    before = bytes(raw)
    assert ring.put(b"x") == 0
    assert raw == before
    ring.reset()
    assert words(raw, 2048, 2) == (0, 0)
