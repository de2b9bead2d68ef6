"""Bytes in, bytes out: framing, the fast path, read-only connections, and whatever may arrive."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from purevirt.daemons.xenstored import Server
from purevirt.wire.xenstore import HEADER, MAX_PAYLOAD, Op
from tests.daemons.xenstored.talk import Talk, packets, request, sound

OK = b"OK\0"


def answers(server: Server, data: bytes, cuts: list[int]) -> bytes:
    """What a new connection is sent for data that arrives in pieces."""
    connection = server.connect()
    reply = b""
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        reply += server.receive(connection, data[start:end])
    server.disconnect(connection)
    return reply


SESSION = b"".join(
    [
        request(Op.WRITE, b"/a/b\0value"),
        request(Op.READ, b"/a/b\0"),
        request(Op.WATCH, b"/a\0token\0"),
        request(Op.READ, b"/none\0"),
        request(Op.TRANSACTION_START, b"\0"),
        request(Op.READ, b"/a/b\0", 1),
        request(Op.RM, b"/a/b\0", 1),
        request(Op.TRANSACTION_END, b"T\0", 1),
        request(Op.RESET_WATCHES, b"\0"),
    ]
)


def test_the_same_bytes_get_the_same_answers() -> None:
    assert answers(Server(), SESSION, []) == answers(Server(), SESSION, [])


@pytest.mark.parametrize("size", [1, 2, 3, 15, 16, 17, 31])
def test_requests_may_come_in_pieces(size: int) -> None:
    whole = answers(Server(), SESSION, [])
    assert answers(Server(), SESSION, list(range(size, len(SESSION), size))) == whole


def test_a_packet_that_is_too_long_closes_the_connection(server: Server) -> None:
    connection = server.connect()
    head = HEADER.pack(Op.READ, 1, 0, MAX_PAYLOAD + 1)
    reply = server.receive(connection, request(Op.READ, b"/tool\0") + head)
    assert [packet.op for packet in packets(reply)] == [Op.READ]
    assert connection.closed
    assert server.receive(connection, request(Op.READ, b"/tool\0")) == b""
    server.disconnect(connection)


def test_the_longest_packet_is_served(server: Server) -> None:
    dom0 = Talk(server)
    assert dom0.write(b"/a", b"x" * (MAX_PAYLOAD - 3)) == OK
    assert dom0.read(b"/a") == b"x" * (MAX_PAYLOAD - 3)


@pytest.mark.parametrize(
    "payload", [b"/a", b"/a\0\0", b"\0", b"", b"/a\0x", b"a", b"a\0", b"@releaseDomain\0", b"/\0", b"/a\0"]
)
def test_the_fast_path_answers_as_the_slow_one(server: Server, payload: bytes) -> None:
    dom0 = Talk(server)
    dom0.write(b"/a", b"1")
    tx = dom0.start()
    assert dom0.ask(Op.READ, payload) == dom0.ask(Op.READ, payload, tx)


def test_a_value_written_by_the_same_batch_is_read(server: Server) -> None:
    data = request(Op.WRITE, b"/a\x001") + request(Op.READ, b"/a\0") + request(Op.WRITE, b"/a\x002")
    replies = list(packets(server.receive(server.connect(), data + request(Op.READ, b"/a\0"))))
    assert [packet.payload for packet in replies] == [OK, b"1", OK, b"2"]


# Read-only connections.


@pytest.fixture
def reader(server: Server, dom0: Talk) -> Talk:
    dom0.write(b"/a/b", b"value")
    return Talk(server, server.connect(read_only=True))


def test_a_read_only_connection_reads_and_watches(dom0: Talk, reader: Talk) -> None:
    assert reader.read(b"/a/b") == b"value"
    assert reader.list(b"/a") == [b"b"]
    assert reader.permissions(b"/a") == b"n0"
    assert reader.watch(b"/a") == OK
    reader.events()
    dom0.write(b"/a/b", b"new")
    assert reader.paths() == [b"/a/b"]
    tx = reader.start()
    assert reader.read(b"/a/b", tx) == b"new"
    assert reader.end(tx) == OK
    assert reader.ask(Op.IS_DOMAIN_INTRODUCED, b"0\0") == b"T\0"


@pytest.mark.parametrize(
    ("op", "payload"),
    [
        (Op.WRITE, b"/a\0x"),
        (Op.MKDIR, b"/c\0"),
        (Op.RM, b"/a\0"),
        (Op.SET_PERMS, b"/a\0r0\0"),
        (Op.SET_PERMS, b"@releaseDomain\0r0\0"),
        (Op.INTRODUCE, b"5\x001\x001\0"),
        (Op.RELEASE, b"5\0"),
        (Op.RESUME, b"5\0"),
        (Op.SET_TARGET, b"5\x006\0"),
        (Op.SET_QUOTA, b"nodes\x001\0"),
        (Op.SET_FEATURE, b"5\x000\0"),
        (Op.CONTROL, b"quota\0set\0nodes\x001\0"),
    ],
)
def test_a_read_only_connection_changes_nothing(server: Server, reader: Talk, op: Op, payload: bytes) -> None:
    before = dict(server.tree.nodes)
    assert reader.ask(op, payload) == "EROFS"
    tx = reader.start()
    assert reader.ask(op, payload, tx) == "EROFS"
    assert reader.end(tx) == OK
    assert server.tree.nodes == before


# Whatever may arrive.

PATHS = st.sampled_from([b"/", b"/a", b"/a/b", b"/a/b/c", b"a", b"@releaseDomain", b"/a/", b"", b"/tool"])
WORDS = st.sampled_from(
    [b"0", b"1", b"5", b"T", b"F", b"t", b"r0", b"b5", b"nodes", b"help", b"quota", b"set", b"-1"]
)
PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda path, words: b"\0".join([path, *words, b""]), PATHS, st.lists(WORDS, max_size=3)),
    st.builds(lambda path, value: path + b"\0" + value, PATHS, st.binary(max_size=8)),
)
REQUESTS = st.builds(
    request,
    st.one_of(st.integers(0, 27), st.integers(0, 2**32 - 1)),
    PAYLOADS,
    st.sampled_from([0, 0, 0, 1, 2, 99]),
)
STREAMS = st.one_of(st.lists(REQUESTS, max_size=12).map(b"".join), st.binary(max_size=80))


@given(STREAMS, st.data(), st.booleans())
@example(HEADER.pack(2, 0, 0, 0), None, False)
def test_any_bytes_are_answered_and_harm_nobody(
    data: bytes, draw: st.DataObject | None, as_guest: bool
) -> None:
    server = Server()
    dom0 = Talk(server)
    dom0.write(b"/mine", b"value")
    guest = dom0.guest(5)
    witness = Talk(server, server.connect(read_only=True))
    cuts = [] if draw is None else sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=4)))
    stranger = guest.connection if as_guest else server.connect()
    reply = b""
    for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
        reply += server.receive(stranger, data[start:end])
    asked = 0
    rest = data
    while (
        len(rest) >= 16
        and (length := HEADER.unpack_from(rest)[3]) <= MAX_PAYLOAD
        and len(rest) >= 16 + length
    ):
        asked += 1
        rest = rest[16 + length :]
    told = [packet for packet in packets(reply) if packet.op != Op.WATCH_EVENT]
    if not stranger.closed:
        assert len(told) == asked
    assert all(len(packet.payload) <= MAX_PAYLOAD for packet in told)
    assert not dom0.connection.closed
    assert witness.read(b"/mine") == b"value"
    sound(server)
    server.disconnect(stranger)
    sound(server)
