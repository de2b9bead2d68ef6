"""The server on Unix sockets: as thin as it can be, since a round trip is little more than its system calls.

**Three system calls per request**: epoll_wait, recv, send. No asyncio and no selector between. After an
answer nobody tries recv again: on one core the client cannot have asked anything yet.

**Alone or within a loop.** The epoll is itself a file descriptor that becomes readable when any socket has
something to do. So one and the same shell runs alone (`serve_forever`) and inside an event loop:

    loop.add_reader(shell.fileno(), shell.run_once)

**Nobody starves.** In each turn each client is read once, CHUNK bytes, which bounds what it can ask in one
turn.

**Nobody fills the memory.** A client that does not take its replies is not read beyond HIGH_WATER unsent
bytes; its watch events stay in its connection, where they are bounded (see `connection`). A client that has
closed, or only its sending half, still has served what it sent before.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import socket

from purevirt.channels import unix
from purevirt.daemons.xenstored.connection import Connection
from purevirt.daemons.xenstored.rings import Rings
from purevirt.daemons.xenstored.server import Server
from purevirt.errors import ConnectError

__all__ = ["CHUNK", "HIGH_WATER", "Shell"]

CHUNK = 16 * 1024
HIGH_WATER = 256 * 1024
_ACCEPTS = 16  # new clients per turn
_TURN = 64  # sockets per turn
_BACKLOG = 128

_IN = select.EPOLLIN
_OUT = select.EPOLLOUT
_GONE = select.EPOLLHUP | select.EPOLLERR

_log = logging.getLogger(__name__)


class _Listener:
    __slots__ = ("inode", "path", "read_only", "sock")

    def __init__(self, sock: socket.socket, path: bytes, read_only: bool) -> None:
        self.sock = sock
        self.path = path
        self.read_only = read_only
        self.inode = os.stat(path).st_ino


class _Client:
    """A client's socket. `ended`: it goes once all is sent. `broken`: nothing can be sent."""

    __slots__ = ("broken", "connection", "ended", "fd", "mask", "recv", "send", "sock", "unsent")

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.recv = sock.recv
        self.send = sock.send
        self.connection = connection
        self.unsent = bytearray()
        self.mask = _IN
        self.ended = False
        self.broken = False


class Shell:
    """A server's sockets, and with `rings` its guests. Not for several threads, like the server itself; `close` when
    done."""

    def __init__(self, server: Server, rings: Rings | None = None) -> None:
        self.server = server
        self.rings = rings
        self._bus = -1  # the descriptor of the rings' bus, which connection that is, what it is watched for
        self._bus_number = 0
        self._bus_mask = 0
        self._epoll = select.epoll()
        self._clients: dict[int, _Client] = {}
        self._by_connection: dict[Connection, _Client] = {}
        self._listeners: dict[int, _Listener] = {}
        self._deaf = False  # out of file descriptors: no new clients until one goes

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def listen(
        self, path: str | bytes | os.PathLike[str], *, mode: int = 0o600, read_only: bool = False
    ) -> None:
        """Listen on a socket file with this mode. A stale one is replaced; ConnectError if one is in use."""
        raw = os.fsencode(path)
        unix.remove_stale(raw, what="the Xen Store", channel="store")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            with unix.BindAddress(raw) as address:
                sock.bind(address)
            os.chmod(raw, mode)  # before `listen`: until then nobody can connect
            sock.listen(_BACKLOG)
            listener = _Listener(sock, raw, read_only)
        except OSError as error:
            sock.close()
            raise ConnectError(
                f"cannot listen on {os.fsdecode(raw)}: {error.strerror}",
                operation="listen",
                channel="store",
                path=os.fsdecode(raw),
                errno=error.errno,
            ) from error
        self._listeners[sock.fileno()] = listener
        self._epoll.register(sock.fileno(), _IN)

    def fileno(self) -> int:
        """A descriptor that is readable when `run_once` has something to do."""
        return self._epoll.fileno()

    @property
    def client_count(self) -> int:
        """How many clients are connected."""
        return len(self._clients)

    def serve_forever(self) -> None:
        """Serve until an exception ends it, from a signal handler for instance."""
        while True:
            self.run_once(None)

    def run_once(self, timeout: float | None = 0) -> bool:
        """Serve whoever is ready, each once. `timeout`: seconds to wait for the first; None waits for ever.

        True if there was anybody.
        """
        if self.rings is not None and self._bus < 0:
            self._settle_bus(self.rings)
        ready = self._epoll.poll(timeout, _TURN)
        for fd, events in ready:
            client = self._clients.get(fd)
            if client is None:
                listener = self._listeners.get(fd)
                if listener is not None:
                    self._accept(listener)
                elif fd == self._bus and self.rings is not None:
                    self.rings.serve()
                continue
            self._serve(client, events)
        self.deliver()
        return bool(ready)

    def deliver(self) -> None:
        """Send the events that other clients, or calls of the server's own methods, have caused.

        `run_once` ends with this; call it after a method of the server that fires watches was called from
        outside.
        """
        for connection in self.server.woken():
            client = self._by_connection.get(connection)
            if client is None:
                if self.rings is not None:
                    self.rings.deliver(connection)
            elif connection.closed:
                self._drop(client)
            elif not client.unsent:
                self._push(client, connection.take())
        if self.rings is not None:
            self._settle_bus(self.rings)

    def close(self) -> None:
        """Close all clients and listeners, and remove the socket files. May be called again."""
        for client in list(self._clients.values()):
            self._drop(client)
        for listener in self._listeners.values():
            listener.sock.close()
            try:
                if os.stat(listener.path).st_ino == listener.inode:
                    os.unlink(listener.path)
            except OSError:
                pass  # somebody else has removed or replaced it
        self._listeners.clear()
        if self.rings is not None:
            self.rings.close()
        self._epoll.close()

    def _settle_bus(self, rings: Rings) -> None:
        """Send what this turn has asked of the bus, find the bus if it was lost, and watch it for what it needs."""
        rings.flush()
        rings.connect()
        fd = -1 if rings.fileno is None else rings.fileno
        mask = _IN | _OUT if rings.unsent else _IN
        if fd == self._bus and mask == self._bus_mask and rings.number == self._bus_number:
            return
        if fd >= 0 and rings.number == self._bus_number:
            self._epoll.modify(fd, mask)
        elif fd >= 0:
            self._epoll.register(fd, mask)  # the one before was closed, and so is out of the epoll
        self._bus, self._bus_number, self._bus_mask = fd, rings.number, mask

    def _accept(self, listener: _Listener) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, _address = listener.sock.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    raise
                _log.warning("no new clients for now: %s", error.strerror)
                self._listen_to_new(False)
                return
            sock.setblocking(False)
            client = _Client(sock, self.server.connect(read_only=listener.read_only))
            self._clients[client.fd] = client
            self._by_connection[client.connection] = client
            self._epoll.register(client.fd, _IN)

    def _listen_to_new(self, ready: bool) -> None:
        self._deaf = not ready
        for fd in self._listeners:
            self._epoll.modify(fd, _IN if ready else 0)

    def _serve(self, client: _Client, events: int) -> None:
        if events & _OUT and client.unsent:
            self._push(client, b"")
        if events & _GONE:
            client.broken = True
            client.unsent.clear()
        if not events & (_IN | _GONE) or client.ended:
            if client.ended and not client.unsent:
                self._drop(client)
            return
        try:
            data = client.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
            client.broken = True
        connection = client.connection
        if data:
            try:
                reply = self.server.receive(connection, data)
            except Exception:
                # A fault of ours, on one client's request: it must not end the service for all others.
                _log.exception("a request could not be served; its client is dropped")
                self._drop(client)
                return
            if reply:
                self._push(client, reply)
            if not connection.closed:
                if connection.waiting is not None:
                    self._set_mask(client)
                return
        self._end(client)

    def _push(self, client: _Client, data: bytes) -> None:
        """Send; what does not go now is kept, and then events wait in the connection until it has gone."""
        if client.broken:
            client.unsent.clear()
        else:
            unsent = client.unsent
            try:
                if unsent:
                    unsent += data
                    sent = client.send(unsent)
                    del unsent[:sent]
                    if not unsent and (more := client.connection.take()):
                        unsent += more
                else:
                    sent = client.send(data) if data else 0
                    if sent != len(data):
                        unsent += data[sent:]
            except (BlockingIOError, InterruptedError):
                if not unsent:
                    unsent += data
            except OSError:
                client.broken = True
                unsent.clear()
        if client.connection.closed and not client.ended:
            self._end(client)
        elif client.unsent or client.mask != _IN:
            self._set_mask(client)

    def _end(self, client: _Client) -> None:
        """Read no more of this client; drop it once it has all its replies."""
        client.ended = True
        self.server.disconnect(client.connection)
        if client.unsent and not client.broken:
            self._set_mask(client)
        else:
            self._drop(client)

    def _set_mask(self, client: _Client) -> None:
        waits = client.ended or client.connection.waiting is not None
        mask = 0 if waits or len(client.unsent) >= HIGH_WATER else _IN
        if client.unsent:
            mask |= _OUT
        if mask != client.mask and client.fd in self._clients:
            client.mask = mask
            self._epoll.modify(client.fd, mask)

    def _drop(self, client: _Client) -> None:
        if self._clients.pop(client.fd, None) is None:
            return
        del self._by_connection[client.connection]
        self.server.disconnect(client.connection)
        self._epoll.unregister(client.fd)
        client.sock.close()
        if self._deaf:
            self._listen_to_new(True)
