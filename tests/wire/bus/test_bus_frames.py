"""Records of the bus: bytes, and any split."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import RemoteProtocolError
from purevirt.wire.bus import (
    BusOp,
    Notice,
    NoticeDecoder,
    Request,
    RequestDecoder,
    encode_notice,
    encode_request,
)

U32 = st.integers(0, 2**32 - 1)
REQUESTS = st.builds(Request, U32, st.sampled_from([int(op) for op in BusOp]), st.tuples(U32, U32, U32))
NOTICES = st.builds(
    Notice, U32, st.integers(-(2**31), 0), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1)
)


def test_a_request_byte_by_byte() -> None:
    assert encode_request(Request(7, BusOp.BIND_INTERDOMAIN, (5, 3, 0))) == bytes.fromhex(
        "07000000"  # id
        "01000000"  # BIND_INTERDOMAIN
        "05000000"  # domain 5
        "03000000"  # its port 3
        "00000000"
        "00000000"
    )


def test_an_answer_and_an_event_byte_by_byte() -> None:
    assert encode_notice(Notice(7, -22)) == bytes.fromhex(
        "07000000 eaffffff 0000000000000000 0000000000000000"
    )
    assert encode_notice(Notice(0, 0, 9)) == bytes.fromhex(
        "00000000 00000000 0900000000000000 0000000000000000"
    )


@given(st.lists(REQUESTS, max_size=6), st.integers(1, 60))
def test_requests_come_through_in_any_pieces(requests: list[Request], size: int) -> None:
    stream = b"".join(map(encode_request, requests))
    decoder = RequestDecoder()
    pieces = [decoder.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
    assert [request for piece in pieces for request in piece] == requests


@given(st.lists(NOTICES, max_size=6), st.integers(1, 60))
def test_notices_come_through_in_any_pieces(notices: list[Notice], size: int) -> None:
    stream = b"".join(map(encode_notice, notices))
    decoder = NoticeDecoder()
    pieces = [decoder.feed(stream[at : at + size]) for at in range(0, len(stream), size)]
    assert [notice for piece in pieces for notice in piece] == notices


@given(st.binary(max_size=100))
def test_any_bytes_are_records_or_the_one_error(data: bytes) -> None:
    for decoder in (RequestDecoder(), NoticeDecoder()):
        with contextlib.suppress(RemoteProtocolError):
            assert len(decoder.feed(data)) == len(data) // 24


@pytest.mark.parametrize(
    "raw", ["00000000 0b000000" + "00" * 16, "00000000 00000000" + "00" * 12 + "01000000"]
)
def test_a_request_that_does_not_exist_is_an_error(raw: str) -> None:
    with pytest.raises(RemoteProtocolError):
        RequestDecoder().feed(bytes.fromhex(raw))


def test_a_positive_status_is_an_error() -> None:
    with pytest.raises(RemoteProtocolError):
        NoticeDecoder().feed(bytes.fromhex("01000000 01000000" + "00" * 16))
