"""The shell on real sockets: clients, events between them, limits, and its place in an event loop."""

from __future__ import annotations

import _socket
import asyncio
import os
import resource
import socket
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from purevirt.channels import unix
from purevirt.daemons.xenstored import Server, Shell
from purevirt.daemons.xenstored.connection import MAX_PENDING_EVENTS
from purevirt.daemons.xenstored.shell import CHUNK, HIGH_WATER
from purevirt.errors import ConnectError
from purevirt.wire.xenstore import HEADER, Op
from tests.daemons.xenstored.talk import packets, request

OK = b"OK\0"


class Host:
    """A shell that is run by hand, and clients of it in the same thread."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "socket"
        self.server = Server()
        self.shell = Shell(self.server)
        self.shell.listen(self.path)
        self.sockets: list[_socket.socket] = []

    def client(self, path: Path | None = None) -> _socket.socket:
        sock = unix.connect(path or self.path, timeout=5, what="the Xen Store")
        sock.settimeout(5)
        self.sockets.append(sock)
        self.settle()
        return sock

    def settle(self) -> None:
        """Serve until nobody has anything left to say."""
        while self.shell.run_once():
            pass

    def ask(self, sock: _socket.socket, op: int, payload: bytes) -> bytes:
        """All that the client has got after one request."""
        sock.sendall(request(op, payload))
        self.settle()
        return sock.recv(1 << 16)

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()
        self.shell.close()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    host.close()


def payloads(data: bytes) -> list[bytes]:
    return [packet.payload for packet in packets(data)]


def test_a_client_is_served(host: Host) -> None:
    client = host.client()
    assert payloads(host.ask(client, Op.WRITE, b"/a\x001")) == [OK]
    assert payloads(host.ask(client, Op.READ, b"/a\0")) == [b"1"]
    assert host.shell.client_count == 1


def test_nothing_to_do_is_said_at_once(host: Host) -> None:
    assert host.shell.run_once() is False
    assert host.shell.run_once(timeout=0) is False


def test_events_reach_other_clients(host: Host) -> None:
    watcher, writer = host.client(), host.client()
    assert payloads(host.ask(watcher, Op.WATCH, b"/a\0t\0")) == [OK, b"/a\0t\0"]
    host.ask(writer, Op.WRITE, b"/a/b\0")
    assert payloads(watcher.recv(4096)) == [b"/a/b\0t\0"]


def test_events_caused_from_outside_are_delivered(host: Host) -> None:
    watcher = host.client()
    host.ask(watcher, Op.WATCH, b"@introduceDomain\0t\0")
    host.server.introduce(5, 1, 1)
    host.shell.deliver()
    assert payloads(watcher.recv(4096)) == [b"@introduceDomain\0t\0"]


def test_a_read_only_socket(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "socket_ro"
    host.shell.listen(path, mode=0o666, read_only=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666
    assert stat.S_IMODE(host.path.stat().st_mode) == 0o600
    reader = host.client(path)
    assert payloads(host.ask(reader, Op.WRITE, b"/a\0")) == [b"EROFS\0"]
    assert payloads(host.ask(reader, Op.READ, b"/tool\0")) == [b""]


def test_a_client_that_leaves_is_forgotten(host: Host) -> None:
    client = host.client()
    host.ask(client, Op.WATCH, b"/a\0t\0")
    host.ask(client, Op.TRANSACTION_START, b"\0")
    client.close()
    host.settle()
    assert host.shell.client_count == 0
    assert (host.server.watches.count, host.server.tree.readers) == (0, 0)


def test_what_was_sent_before_leaving_is_done(host: Host) -> None:
    client = host.client()
    client.sendall(b"".join(request(Op.WRITE, b"/a/%d\0" % number) for number in range(2000)))
    client.close()
    host.settle()
    assert len(host.server.tree.nodes[b"/a"].children or ()) == 2000
    assert host.shell.client_count == 0


def test_a_client_may_close_its_sending_half_and_read_on(host: Host) -> None:
    host.server.receive(host.server.connect(), request(Op.WRITE, b"/a\0" + b"x" * 4000))
    client = host.client()
    count = 200
    client.sendall(request(Op.READ, b"/a\0") * count)
    client.shutdown(socket.SHUT_WR)
    got = b""
    for _ in range(10 * count):
        host.shell.run_once()
        piece = there(client)
        if piece == b"":
            break
        got += piece or b""
    assert payloads(got) == [b"x" * 4000] * count
    assert host.shell.client_count == 0


def test_a_broken_packet_closes_its_client_alone(host: Host) -> None:
    good, bad = host.client(), host.client()
    bad.sendall(request(Op.READ, b"/tool\0") + HEADER.pack(Op.READ, 0, 0, 5000))
    host.settle()
    assert payloads(bad.recv(4096)) == [b""]
    assert bad.recv(4096) == b""
    assert payloads(host.ask(good, Op.READ, b"/tool\0")) == [b""]


def fill(sock: _socket.socket, data: bytes) -> int:
    """Send as much as goes without waiting; how much went."""
    sock.setblocking(False)
    sent = 0
    try:
        while sent < len(data):
            sent += sock.send(data[sent:])
    except BlockingIOError:
        pass
    sock.settimeout(5)
    return sent


def there(sock: _socket.socket) -> bytes | None:
    """What can be read without waiting; None if that is nothing yet."""
    sock.setblocking(False)
    try:
        return sock.recv(1 << 16)
    except BlockingIOError:
        return None
    finally:
        sock.settimeout(5)


def test_a_client_that_does_not_read_is_not_served_without_end(host: Host) -> None:
    host.server.receive(host.server.connect(), request(Op.WRITE, b"/a\0" + b"x" * 4000))
    client = host.client()
    one = request(Op.READ, b"/a\0")
    asked = 0
    for _ in range(1000):
        went = fill(client, one * 1000)
        host.settle()
        asked += went
        if not went:
            break
    else:
        pytest.fail("the daemon never stopped reading")
    held = next(iter(host.shell._clients.values()))
    assert HIGH_WATER <= len(held.unsent) < HIGH_WATER + 4016 * (CHUNK // len(one) + 1)
    # It is no wait for ever: who reads again is served to the end.
    got = 0
    while got < asked // len(one) * 4016:
        got += len(client.recv(1 << 16))
        host.settle()
    assert got == asked // len(one) * 4016


def test_a_client_that_floods_does_not_keep_others_waiting(host: Host) -> None:
    flooder, other = host.client(), host.client()
    fill(flooder, request(Op.DIRECTORY, b"/\0") * 100_000)
    other.sendall(request(Op.READ, b"/tool\0"))
    host.shell.run_once()
    assert payloads(there(other) or b"") == [b""]


def test_events_for_a_client_that_does_not_read_end_with_its_closing(host: Host) -> None:
    watcher, writer = host.client(), host.client()
    host.ask(watcher, Op.WATCH, b"/a\0t\0")
    name = b"/a/" + b"x" * 2000
    for number in range(2 * MAX_PENDING_EVENTS // 2000):
        assert payloads(host.ask(writer, Op.MKDIR, b"%b%d\0" % (name, number))) == [OK]
        if host.shell.client_count == 1:
            break
    else:
        pytest.fail("the watcher was never closed")
    assert host.server.watches.count == 0
    while watcher.recv(1 << 16):
        pass


def test_events_wait_while_a_client_is_slow_and_come_in_the_end(host: Host) -> None:
    host.server.receive(host.server.connect(), request(Op.WRITE, b"/big\0" + b"x" * 4000))
    slow, writer = host.client(), host.client()
    host.ask(slow, Op.WATCH, b"/a\0t\0")
    count = fill(slow, request(Op.READ, b"/big\0") * 500) // len(request(Op.READ, b"/big\0"))
    host.settle()
    for _ in range(3):
        host.ask(writer, Op.WRITE, b"/a/b\0")
    got = b""
    while got.count(b"/a/b\0t\0") == 0:
        got += slow.recv(1 << 16)
        host.settle()
    told = list(packets(got))
    assert [packet.op for packet in told] == [Op.READ] * count + [Op.WATCH_EVENT]


def test_a_fault_of_the_daemon_costs_one_client(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    good, bad = host.client(), host.client()
    receive = host.server.receive

    def faulty(connection: object, data: bytes) -> bytes:
        if b"/fault" in data:
            raise ZeroDivisionError
        return receive(connection, data)  # type: ignore[arg-type]

    monkeypatch.setattr(host.server, "receive", faulty)
    bad.sendall(request(Op.READ, b"/fault\0"))
    host.settle()
    assert bad.recv(4096) == b""
    assert payloads(host.ask(good, Op.READ, b"/tool\0")) == [b""]


def test_without_descriptors_new_clients_wait(host: Host) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    first = host.client()
    second = unix.connect(host.path, timeout=5, what="the Xen Store")
    host.sockets.append(second)
    highest = max(map(int, os.listdir("/proc/self/fd")))
    spare = [os.dup(0) for _ in range(highest + 1 - len(os.listdir("/proc/self/fd")))]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max([highest, *spare]) + 1, hard))
    try:
        while True:
            try:
                spare.append(os.dup(0))
            except OSError:
                break
        host.settle()
        assert host.shell.client_count == 1
        assert host.shell.run_once() is False
        first.close()
        host.settle()
        assert host.shell.client_count == 1
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in spare:
            os.close(descriptor)
    second.settimeout(5)
    assert payloads(host.ask(second, Op.READ, b"/tool\0")) == [b""]


# The socket file.


def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with Shell(Server()) as shell:
        shell.listen(path)
        unix.connect(path, timeout=5, what="the Xen Store").close()
        shell.run_once()


def test_a_socket_in_use_is_left_alone(host: Host) -> None:
    with (
        Shell(Server()) as second,
        pytest.raises(ConnectError, match=r"another daemon listens on .* already"),
    ):
        second.listen(host.path)
    assert payloads(host.ask(host.client(), Op.READ, b"/tool\0")) == [b""]


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("precious")
    with (
        Shell(Server()) as shell,
        pytest.raises(ConnectError, match=r"cannot listen on .*: Address already in use"),
    ):
        shell.listen(path)
    assert path.read_text() == "precious"


def test_a_directory_that_is_missing_is_an_error(tmp_path: Path) -> None:
    with Shell(Server()) as shell, pytest.raises(ConnectError, match=r"cannot listen on .*: No such file"):
        shell.listen(tmp_path / "missing" / "socket")


def test_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    directory = tmp_path / ("d" * 120)
    directory.mkdir()
    path = directory / "socket"
    with Shell(Server()) as shell:
        shell.listen(path)
        with closing(unix.connect(path, timeout=5, what="the Xen Store")) as sock:
            sock.settimeout(5)
            sock.sendall(request(Op.READ, b"/tool\0"))
            while shell.run_once():
                pass
            assert payloads(sock.recv(4096)) == [b""]
    assert not path.exists()


def test_close_ends_everything(tmp_path: Path) -> None:
    host = Host(tmp_path)
    client = host.client()
    host.shell.close()
    assert client.recv(1) == b""
    assert not host.path.exists()
    assert host.server.connections == {}
    host.shell.close()
    client.close()


def test_close_leaves_a_socket_that_is_another_daemons(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.path.unlink()
    with Shell(Server()) as second:
        second.listen(host.path)
        host.close()
        assert host.path.exists()


# Within an event loop.


def test_it_serves_within_asyncio(host: Host) -> None:
    async def session() -> list[bytes]:
        loop = asyncio.get_running_loop()
        loop.add_reader(host.shell.fileno(), host.shell.run_once)
        try:
            reader, writer = await asyncio.open_unix_connection(host.path)
            answers = []
            for payload in (b"/a\x001", b"/a\x002"):
                writer.write(request(Op.WRITE, payload))
                head = await reader.readexactly(16)
                answers.append(await reader.readexactly(HEADER.unpack(head)[3]))
            writer.close()
            await writer.wait_closed()
            return answers
        finally:
            loop.remove_reader(host.shell.fileno())

    assert asyncio.run(session()) == [OK, OK]
    assert host.server.tree.nodes[b"/a"].value == b"2"
