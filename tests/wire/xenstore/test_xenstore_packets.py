"""Packets: whole, split anywhere, and broken."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import LocalProtocolError, RemoteProtocolError
from purevirt.wire.xenstore import MAX_PAYLOAD, Decoder, Op, Packet, encode

packets = st.builds(
    Packet,
    op=st.integers(0, 0xFFFF),
    req_id=st.integers(0, 2**32 - 1),
    tx_id=st.integers(0, 2**32 - 1),
    payload=st.binary(max_size=100),
)


def test_a_packet_is_four_native_words_and_its_payload() -> None:
    assert encode(Op.READ, 7, 9, b"/a\0") == struct.pack("=IIII", 2, 7, 9, 3) + b"/a\0"


def test_the_operations_have_the_numbers_of_xs_wire_h() -> None:
    assert [op.value for op in Op] == [*range(27), 0xFFFF]
    assert (Op.CONTROL, Op.WRITE, Op.RESET_WATCHES, Op.SET_QUOTA) == (0, 11, 21, 26)


def test_a_payload_of_4096_bytes_fits_and_one_more_does_not() -> None:
    assert len(encode(Op.WRITE, 1, 0, bytes(MAX_PAYLOAD))) == 16 + MAX_PAYLOAD
    with pytest.raises(LocalProtocolError, match="at most 4096"):
        encode(Op.WRITE, 1, 0, bytes(MAX_PAYLOAD + 1))


@given(st.lists(packets, max_size=6), st.lists(st.integers(0, 700), max_size=8))
def test_packets_survive_being_split_anywhere(sent: list[Packet], cuts: list[int]) -> None:
    stream = b"".join(encode(*packet) for packet in sent)
    decoder = Decoder()
    got: list[Packet] = []
    start = 0
    for cut in [*sorted(cuts), len(stream)]:
        got += decoder.feed(stream[start:cut])
        start = max(start, min(cut, len(stream)))
    assert got == sent
    assert decoder.pending == 0
    assert decoder.broken is None


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_give_packets_or_the_one_error(data: bytes, step: int) -> None:
    whole, parts = Decoder(), Decoder()
    outcome: list[list[Packet] | str] = []
    for decoder, chunks in (
        (whole, [data]),
        (parts, [data[i : i + step] for i in range(0, len(data), step)]),
    ):
        got: list[Packet] = []
        try:
            for chunk in chunks:
                got += decoder.feed(chunk)
            decoder.feed(b"")
        except RemoteProtocolError as error:
            outcome.append(str(error))
        else:
            outcome.append(got)
    assert outcome[0] == outcome[1]


def test_a_length_beyond_the_limit_breaks_the_stream_for_good() -> None:
    decoder = Decoder()
    good = encode(Op.READ, 1, 0, b"value")
    assert decoder.feed(good + struct.pack("=IIII", 2, 2, 0, 4097)) == [Packet(Op.READ, 1, 0, b"value")]
    assert decoder.broken is not None
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match="4097 bytes"):
            decoder.feed(good)


def test_a_header_is_judged_as_soon_as_it_is_whole() -> None:
    decoder = Decoder()
    with pytest.raises(RemoteProtocolError):
        decoder.feed(b"HTTP/1.1 400 Bad")


def test_oxenstoreds_long_directories_are_taken_by_those_who_ask_for_it() -> None:
    long = struct.pack("=IIII", Op.DIRECTORY, 1, 0, 9000) + bytes(9000)
    assert len(Decoder(max_directory=10_000).feed(long)[0].payload) == 9000
    with pytest.raises(RemoteProtocolError):
        Decoder(max_directory=8999).feed(long)
    with pytest.raises(RemoteProtocolError):
        Decoder().feed(long)
    with pytest.raises(RemoteProtocolError):
        Decoder(max_directory=10_000).feed(struct.pack("=IIII", Op.READ, 1, 0, 9000))
