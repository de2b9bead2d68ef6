"""What the tests of xenstored share: a client that speaks to a `Server` in memory, one request at a time."""

from __future__ import annotations

from collections.abc import Iterator

from purevirt.daemons.xenstored import Connection, Server
from purevirt.daemons.xenstored.upkeep import check
from purevirt.wire.xenstore import HEADER, Op, Packet

__all__ = ["Talk", "packets", "request", "sound"]


def request(op: int, payload: bytes, tx_id: int = 0, req_id: int = 7) -> bytes:
    """The bytes of one request."""
    return HEADER.pack(op, req_id, tx_id, len(payload)) + payload


def packets(data: bytes) -> Iterator[Packet]:
    """The whole packets that the bytes are."""
    while data:
        op, req_id, tx_id, length = HEADER.unpack_from(data)
        assert len(data) >= 16 + length, "a packet is cut off"
        yield Packet(op, req_id, tx_id, data[16 : 16 + length])
        data = data[16 + length :]


def sound(server: Server) -> None:
    """The server finds nothing wrong with its own store."""
    assert check(server) == []


class Talk:
    """A client. `ask` returns the reply's payload, or the name of the error as text; events are put by."""

    def __init__(self, server: Server, connection: Connection | None = None) -> None:
        self.server = server
        self.connection = connection or server.connect()
        self._events: list[tuple[bytes, bytes]] = []

    def ask(self, op: int, payload: bytes, tx_id: int = 0) -> bytes | str:
        answer: bytes | str | None = None
        for packet in packets(self.server.receive(self.connection, request(op, payload, tx_id))):
            if packet.op == Op.WATCH_EVENT:
                self._note(packet)
                continue
            assert answer is None, "two replies to one request"
            assert packet.req_id == 7
            assert packet.tx_id == tx_id
            if packet.op == Op.ERROR:
                assert packet.payload.endswith(b"\0")
                answer = packet.payload[:-1].decode()
            else:
                assert packet.op == op
                answer = packet.payload
        assert answer is not None, "no reply"
        return answer

    def events(self) -> list[tuple[bytes, bytes]]:
        """(path, token) of each event since the last call."""
        for packet in packets(self.connection.take()):
            self._note(packet)
        events = self._events
        self._events = []
        return events

    def paths(self) -> list[bytes]:
        """The paths of `events`."""
        return [path for path, _token in self.events()]

    def _note(self, packet: Packet) -> None:
        assert packet[:3] == (Op.WATCH_EVENT, 0, 0)
        path, token, rest = packet.payload.split(b"\0")
        assert rest == b""
        self._events.append((path, token))

    def read(self, path: bytes, tx_id: int = 0) -> bytes | str:
        return self.ask(Op.READ, path + b"\0", tx_id)

    def write(self, path: bytes, value: bytes = b"", tx_id: int = 0) -> bytes | str:
        return self.ask(Op.WRITE, path + b"\0" + value, tx_id)

    def mkdir(self, path: bytes, tx_id: int = 0) -> bytes | str:
        return self.ask(Op.MKDIR, path + b"\0", tx_id)

    def rm(self, path: bytes, tx_id: int = 0) -> bytes | str:
        return self.ask(Op.RM, path + b"\0", tx_id)

    def list(self, path: bytes, tx_id: int = 0) -> list[bytes] | str:
        answer = self.ask(Op.DIRECTORY, path + b"\0", tx_id)
        return answer if isinstance(answer, str) else answer.split(b"\0")[:-1]

    def permissions(self, path: bytes, tx_id: int = 0) -> bytes | str:
        answer = self.ask(Op.GET_PERMS, path + b"\0", tx_id)
        return answer if isinstance(answer, str) else b" ".join(answer.split(b"\0")[:-1])

    def allow(self, path: bytes, permissions: bytes, tx_id: int = 0) -> bytes | str:
        """SET_PERMS; the permissions are separated by blanks."""
        return self.ask(Op.SET_PERMS, path + b"\0" + permissions.replace(b" ", b"\0") + b"\0", tx_id)

    def watch(self, path: bytes, token: bytes = b"t", depth: bytes | None = None) -> bytes | str:
        return self.ask(Op.WATCH, path + b"\0" + token + b"\0" + (b"" if depth is None else depth + b"\0"))

    def unwatch(self, path: bytes, token: bytes = b"t") -> bytes | str:
        return self.ask(Op.UNWATCH, path + b"\0" + token + b"\0")

    def start(self) -> int:
        """TRANSACTION_START, which must not fail: the id."""
        answer = self.ask(Op.TRANSACTION_START, b"\0")
        assert isinstance(answer, bytes)
        return int(answer[:-1])

    def end(self, tx_id: int, *, commit: bool = True) -> bytes | str:
        return self.ask(Op.TRANSACTION_END, b"T\0" if commit else b"F\0", tx_id)

    def guest(self, domid: int) -> Talk:
        """A domain, introduced through this client."""
        assert self.ask(Op.INTRODUCE, b"%d\x0099\x003\0" % domid) == b"OK\0"
        return Talk(self.server, self.server.domain_connection(domid))
