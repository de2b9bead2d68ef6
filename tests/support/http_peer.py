"""Peers of the daemon's client: a small HTTP server on h11, and one that plays bytes from a script.

Both listen on a real socket and run on threads, so blocking and asyncio clients meet the same thing.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Self

import h11

from purevirt.channels.unix import BindAddress

__all__ = ["Answer", "HttpPeer", "Peer", "Received", "ScriptedPeer", "answer"]

Received = tuple[str, str, dict[str, str], bytes]
"""Method, target, headers (names in lower case), body."""

Answer = tuple[int, str, Sequence[tuple[str, str]], bytes]


def answer(body: bytes, *, status: int = 200, kind: str = "application/json", reason: str = "OK") -> Answer:
    """An answer with its length."""
    return status, reason, [("Content-Type", kind), ("Content-Length", str(len(body)))], body


class Peer:
    """Listens, and lets `serve` have each connection on a thread of its own."""

    def __init__(self, address: str | tuple[str, int]) -> None:
        self.connections = 0
        self.failed: list[BaseException] = []
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        if isinstance(address, tuple):
            self._listener = socket.create_server(address)
            self.address: str | tuple[str, int] = self._listener.getsockname()[:2]
        else:
            self._listener = socket.socket(socket.AF_UNIX)
            with BindAddress(address) as name:
                self._listener.bind(name)
            self._listener.listen(64)
            self.address = address
        self._start(self._accept)

    def _start(self, target: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(sock)
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            self.serve(sock)
        except OSError:
            pass
        except BaseException as error:
            self.failed.append(error)
        finally:
            self._open.discard(sock)
            sock.close()

    def serve(self, sock: socket.socket) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Stop, and give every thread its end."""
        for sock in (self._listener, *tuple(self._open)):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
        self._listener.close()
        if self.failed:
            raise self.failed[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class HttpPeer(Peer):
    """Answers each request with what `handler` makes of it."""

    def __init__(self, address: str | tuple[str, int], handler: Callable[[Received], Answer]) -> None:
        self.received: list[Received] = []
        self._handler = handler
        super().__init__(address)

    def serve(self, sock: socket.socket) -> None:
        connection = h11.Connection(h11.SERVER)
        while True:
            request: h11.Request | None = None
            body = b""
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(sock.recv(65536))
                elif isinstance(event, h11.Request):
                    request = event
                elif isinstance(event, h11.Data):
                    body += bytes(event.data)
                else:
                    break
            if request is None:
                return
            received = (
                request.method.decode(),
                request.target.decode(),
                {name.decode(): text.decode() for name, text in request.headers},
                body,
            )
            self.received.append(received)
            status, reason, headers, content = self._handler(received)
            sock.sendall(
                (
                    connection.send(h11.Response(status_code=status, reason=reason, headers=list(headers)))
                    or b""
                )
                + (connection.send(h11.Data(data=content)) or b"")
                + (connection.send(h11.EndOfMessage()) or b"")
            )
            if connection.our_state is not h11.DONE:
                return
            connection.start_next_cycle()


class ScriptedPeer(Peer):
    """Plays one script per connection that asks anything, in their order: after a request has come, the bytes of the
    script; then it closes, or, after a None at the end, holds the connection until the other side closes it."""

    def __init__(self, address: str | tuple[str, int], *scripts: Sequence[bytes | None]) -> None:
        self._scripts = list(scripts)
        self.asked = threading.Event()  # when the first request has come
        self.ended = threading.Event()  # when the first connection is over
        super().__init__(address)

    def serve(self, sock: socket.socket) -> None:
        try:
            request = b""
            while b"\r\n\r\n" not in request:
                data = sock.recv(65536)
                if not data:
                    return
                request += data
            self.asked.set()
            for part in self._scripts.pop(0):
                if part is None:
                    while sock.recv(65536):
                        pass
                    return
                sock.sendall(part)
            sock.shutdown(socket.SHUT_RDWR)
        finally:
            self.ended.set()
