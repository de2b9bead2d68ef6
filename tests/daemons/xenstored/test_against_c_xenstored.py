"""Ours beside the real one: Xen's own clients on our daemon, and the same requests put to C xenstored and to us.

The second kind sends seeded random requests of three clients (two of domain 0, one guest), in and out of
transactions, to Debian's C xenstored (4.17) and to a `Server` in memory: every reply, every error and every watch
event must be the same. What differs by intention, and is left out:

- the order of children (theirs: of creation) and the numbers of generations;
- special paths: 4.17 knows less of them than the daemons since 4.20, which we follow;
- UNWATCH of what is no path: ENOENT in 4.17, EINVAL since;
- a guest that may read only the parent of what a transaction removes: ours tells it, theirs only if the removal
  was outside a transaction;
- EIO, with which it answers a removal in a transaction that is lost already (ours says OK; the commit fails).
"""

from __future__ import annotations

import random
import socket
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from purevirt.daemons.xenstored import Connection, Server, Shell
from purevirt.wire.xenstore import HEADER, Op, Packet
from tests import peers
from tests.daemons.xenstored.talk import packets, request, sound

pytestmark = pytest.mark.peers

DEADLINE = 10.0


# Xen's clients on our daemon.


@contextmanager
def serving(path: Path) -> Iterator[str]:
    """Our daemon on a thread, until the block ends."""
    ours, theirs = socket.socketpair()
    ended = threading.Event()

    def serve(shell: Shell) -> None:
        while not ended.is_set():
            shell.run_once(None)

    with ours, theirs, Shell(Server()) as shell:
        shell.listen(path)
        thread = threading.Thread(target=serve, args=(shell,))
        thread.start()
        try:
            yield str(path)
        finally:
            ended.set()
            with socket.socket(socket.AF_UNIX) as knock:
                knock.connect(str(path))
            thread.join(DEADLINE)
        sound(shell.server)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[str]:
    peers.need()
    with serving(tmp_path / "socket") as path:
        yield path


def test_the_real_clients(path: str) -> None:
    peers.tool("xenstore-write", path, "/a/b", "first", "/a/c", "second")
    assert peers.tool("xenstore-list", path, "/a").stdout.split() == ["b", "c"]
    assert peers.tool("xenstore-read", path, "/a/c").stdout == "second\n"
    assert peers.tool("xenstore-ls", path, "-f", "/a").stdout == '/a/b = "first"\n/a/c = "second"\n'
    peers.tool("xenstore-chmod", path, "/a/b", "r0", "w5")
    assert "(r0,w5)" in peers.tool("xenstore-ls", path, "-p", "/a").stdout
    peers.tool("xenstore-rm", path, "/a/b")
    assert peers.tool("xenstore-exists", path, "/a/b", check=False).returncode == 1
    assert peers.tool("xenstore-exists", path, "/a/c").returncode == 0


def test_the_real_client_lists_more_than_a_packet_holds(path: str) -> None:
    names = [f"child-{number:05}" for number in range(1000)]
    for start in range(0, 1000, 250):
        pairs = [word for name in names[start : start + 250] for word in (f"/long/{name}", "x")]
        peers.tool("xenstore-write", path, *pairs)
    assert peers.tool("xenstore-list", path, "/long").stdout.split() == names


def test_the_real_watch(path: str) -> None:
    with peers.start_tool("xenstore-watch", path, "-n", "3", "/w") as watch:
        assert watch.stdout is not None
        assert watch.stdout.readline() == "/w\n"
        peers.tool("xenstore-write", path, "/w/x", "1")
        assert watch.stdout.readline() == "/w/x\n"
        peers.tool("xenstore-rm", path, "/w")
        assert watch.stdout.readline() == "/w\n"
        assert watch.wait(DEADLINE) == 0


def test_xens_own_test_program(path: str) -> None:
    assert "ta rmw" in peers.test_xenstore(path, iterations=20)


# The same requests to both.

PATHS = [
    b"/a", b"/a/b", b"/a/b/c", b"/a/d", b"/e", b"/", b"rel", b"rel/x", b"/local/domain/5/data",
    b"/local/domain/5/data/x", b"/tool", b"/a/b/c/d/e/f",
]  # fmt: skip
MALFORMED = [b"/x y", b"/a//b", b"/a/", b""]
VALUES = [b"", b"1", b"two", b"x" * 100]
PERMISSIONS = [b"r0\0", b"n5\0", b"b5\0", b"n0\0r5\0", b"n0\0b5\0", b"w0\0", b"z0\0", b"", b"r5\0n0\0"]
OPS = [
    Op.READ, Op.DIRECTORY, Op.DIRECTORY_PART, Op.GET_PERMS, Op.WRITE, Op.MKDIR, Op.RM, Op.SET_PERMS,
    Op.WATCH, Op.UNWATCH, Op.TRANSACTION_START, Op.TRANSACTION_END,
]  # fmt: skip
SYNC = Op.GET_DOMAIN_PATH


class Side(Protocol):
    """A client of one of the two daemons."""

    def exchange(self, data: bytes) -> Iterator[Packet]:
        """Send one request; what comes, the reply last or not."""


class Theirs:
    def __init__(self, path: str) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(DEADLINE)
        self.sock.connect(path)
        self.stream = self.sock.makefile("rb")

    def exchange(self, data: bytes) -> Iterator[Packet]:
        self.sock.sendall(data)
        while True:
            op, req_id, tx_id, length = HEADER.unpack(self.stream.read(16))
            yield Packet(op, req_id, tx_id, self.stream.read(length))

    def close(self) -> None:
        self.stream.close()
        self.sock.close()


class TheirGuest:
    def __init__(self, guest: peers.Guest) -> None:
        self.guest = guest

    def exchange(self, data: bytes) -> Iterator[Packet]:
        self.guest.send(data)
        while True:
            yield Packet(*self.guest.packet())


class Ours:
    def __init__(self, server: Server, connection: Connection) -> None:
        self.server = server
        self.connection = connection
        self.come: deque[Packet] = deque()

    def exchange(self, data: bytes) -> Iterator[Packet]:
        self.come.extend(packets(self.server.receive(self.connection, data)))
        while self.come:
            yield self.come.popleft()


def ask(side: Side, op: int, payload: bytes, tx_id: int = 0) -> tuple[int, bytes, list[bytes]]:
    """The reply's type and payload, and the events seen by the time one more request was answered."""
    events = []
    reply = (0, b"")
    for data in (request(op, payload, tx_id), request(SYNC, b"1\0", req_id=8)):
        for packet in side.exchange(data):
            if packet.op == Op.WATCH_EVENT:
                events.append(packet.payload)
            else:
                if packet.req_id == 7:
                    reply = (packet.op, packet.payload)
                break
    return (*reply, events)


def normal(op: Op, reply: int, payload: bytes) -> tuple[int, bytes]:
    """A reply without what may differ."""
    if reply == Op.ERROR:
        return reply, payload
    if op == Op.DIRECTORY:
        return reply, b"\0".join(sorted(payload.split(b"\0")))
    if op in (Op.DIRECTORY_PART, Op.TRANSACTION_START):
        return reply, b""
    return reply, payload


def make_payload(rng: random.Random, op: Op, path: bytes) -> bytes:
    match op:
        case Op.WRITE:
            return path + b"\0" + rng.choice(VALUES)
        case Op.SET_PERMS:
            return path + b"\0" + rng.choice(PERMISSIONS)
        case Op.TRANSACTION_START:
            return b"\0"
        case Op.TRANSACTION_END:
            return rng.choice([b"T\0", b"T\0", b"T\0", b"F\0"])
        case Op.DIRECTORY_PART:
            return path + b"\0" + rng.choice([b"0\0", b"1\0", b"500\0"])
        case Op.WATCH | Op.UNWATCH:
            return path + b"\0" + rng.choice([b"t1\0", b"t2\0"])
        case _:
            return path + b"\0"


def compare(rng: random.Random, theirs: list[Side], ours: list[Side], steps: int) -> None:
    """Put `steps` random requests to both sides."""
    transactions: list[list[tuple[int, int]]] = [[], [], []]
    history: list[object] = []
    for _ in range(steps):
        who = rng.choice([0, 1, 2, 2])
        op = rng.choice(OPS)
        path = rng.choice(PATHS * 3 + MALFORMED)
        if op == Op.UNWATCH and path in MALFORMED:
            continue
        if op == Op.TRANSACTION_START and len(transactions[who]) > 2:
            continue
        mine = transactions[who]
        tx = rng.choice(mine) if mine and rng.random() < 0.7 else (0, 0)
        payload = make_payload(rng, op, path)
        there = ask(theirs[who], op, payload, tx[0])
        here = ask(ours[who], op, payload, tx[1])
        history.append((who, op.name, tx, payload, there, here))
        if op == Op.TRANSACTION_START and there[0] == here[0] == op:
            mine.append((int(there[1][:-1]), int(here[1][:-1])))
        elif op == Op.TRANSACTION_END and tx in mine and payload[1:] == b"\0":
            mine.remove(tx)
        events = [[sorted(there[2])], [sorted(here[2])]]
        for other in range(3):
            if other != who:
                for side, clients in enumerate((theirs, ours)):
                    events[side].append(sorted(ask(clients[other], SYNC, b"1\0")[2]))
        if there[:2] == (Op.ERROR, b"EIO\0"):
            mine.remove(tx)  # from here on it sees something else; leave it open
            continue
        shown = "\n".join(map(str, history[-12:]))
        assert normal(op, *there[:2]) == normal(op, *here[:2]), shown
        assert events[0] == events[1], shown


@pytest.mark.parametrize("seed", range(12))
def test_the_same_requests_get_the_same_answers(seed: int) -> None:
    peers.need()
    server = Server()
    server.introduce(5, 5, 1005)
    ours: list[Side] = [Ours(server, server.connect()), Ours(server, server.connect())]
    ours.append(Ours(server, server.domain_connection(5)))
    with peers.xenstored() as peer, peer.guest(5) as guest:
        sockets = [Theirs(peer.socket), Theirs(peer.socket)]
        theirs: list[Side] = [*sockets, TheirGuest(guest)]
        try:
            for side in (theirs[0], ours[0]):
                for at, permissions in ((b"/local/domain/5/data", b"n5\0"), (b"/e", b"r0\0b5\0")):
                    ask(side, Op.WRITE, at + b"\0")
                    ask(side, Op.SET_PERMS, at + b"\0" + permissions)
            compare(random.Random(seed), theirs, ours, steps=120)
        finally:
            for each in sockets:
                each.close()
    sound(server)
