"""uvicorn's HTTP/1.1 on a socket that the daemon opened, in the daemon's event loop.

uvicorn's own server would look ten times a second whether it is to end, and take signals; what is used is its
protocol, a connection at a time. Each connection is asked once who is at its other end (`identify`), and may be slow
only so far: a head must be whole within `HEAD_TIMEOUT`. No user but an admin has more than half of the connections.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, cast

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from purevirt.daemons.xend.rest.app import Face
from purevirt.errors import InvalidConfig
from purevirt.formats import xend_json
from purevirt.model import Caller, Role

__all__ = ["CONNECTIONS", "Rest"]

CONNECTIONS = 512
"""How many are served at once."""

HEAD_TIMEOUT = 20.0
"""Seconds for a request's head, from connecting or from the answer before it."""

_LONGEST_HEAD = 1 << 16

_http = logging.getLogger(f"{__name__}.http")
_http.setLevel(logging.ERROR)  # what anybody can send is no reason for a line

Identify = Callable[[socket.socket], Caller]


class Rest:
    """Serves one application on any number of sockets."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self._config = Config(
            cast(Any, face),
            lifespan="off",
            ws="none",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=60,
            h11_max_incomplete_event_size=_LONGEST_HEAD,
        )
        self._config.load()
        self._state = ServerState()
        self._users: Counter[int] = Counter()
        self._servers: list[asyncio.Server] = []

    @property
    def accepts(self) -> bool:
        """Whether all its sockets take connections."""
        return all(server.is_serving() for server in self._servers)

    @property
    def addresses(self) -> list[Any]:
        """Where it listens, in order, as the kernel says it."""
        return [sock.getsockname() for server in self._servers for sock in server.sockets]

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._state.connections)

    async def listen(
        self, sock: socket.socket, identify: Identify, hosts: frozenset[str] | None = None
    ) -> None:
        """Serve on a socket. `hosts`: the names by which its callers may call it; None: by any."""
        loop = asyncio.get_running_loop()

        def connection() -> _Connection:
            return _Connection(self._config, self._state, {"hosts": hosts}, loop, identify, self._users)

        start = loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
        self._servers.append(await start(connection, sock=sock))

    async def close(self, grace: float) -> None:
        """End: streams at once, requests that are being answered within `grace` seconds."""
        self._face.close()
        for server in self._servers:
            server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        for late in (False, True):
            tasks = list(self._state.tasks)
            if not tasks:
                break
            if late:
                for task in tasks:
                    task.cancel()
            await asyncio.wait(tasks, timeout=grace)
        for connection in list(self._state.connections):
            connection.transport.abort()
        for server in self._servers:
            await server.wait_closed()


class _Connection(H11Protocol):
    """One connection, whose caller is known to every request on it."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        loop: asyncio.AbstractEventLoop,
        identify: Identify,
        users: Counter[int],
    ) -> None:
        super().__init__(config, server_state, app_state, loop)
        self.logger = _http
        self._identify = identify
        self._users = users
        self._uid: int | None = None
        self._head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        caller = self._identify(transport.get_extra_info("socket"))
        mine, all_ = self._users[caller.uid], self._users.total()
        if all_ >= CONNECTIONS or (caller.role < Role.ADMIN and mine >= CONNECTIONS // 2):
            self._refuse(503, "too many connections are open")
            return
        self._uid = caller.uid
        self._users[caller.uid] += 1
        self.app_state = {**self.app_state, "caller": caller}
        self._head = self.loop.call_later(HEAD_TIMEOUT, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._head is not None:
            self._head.cancel()
        self._unset_keepalive_if_required()
        if self._uid is not None:
            self._users[self._uid] -= 1
            if not self._users[self._uid]:
                del self._users[self._uid]
            self._uid = None
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before and self._head is not None:
            self._head.cancel()
            self._head = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        idle = self.cycle is None or self.cycle.response_complete
        if idle and self._head is None and not self.transport.is_closing():
            self._head = self.loop.call_later(self.timeout_keep_alive + HEAD_TIMEOUT, self._late)

    def _should_upgrade(self) -> bool:
        """There is nothing to upgrade to; the request is answered as it is."""
        return False

    def _late(self) -> None:
        self._head = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets the shape of all errors."""
        self._refuse(400, "the request is no HTTP/1.1 that is understood here")

    def _refuse(self, status: int, message: str) -> None:
        wrong = InvalidConfig(message, channel="daemon")
        body = json.dumps(xend_json.error_document(wrong)).encode()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            length = (b"Content-Length", str(len(body)).encode())
            headers = [(b"Content-Type", b"application/json"), length, (b"Connection", b"close")]
            for event in (
                h11.Response(status_code=status, headers=headers),
                h11.Data(data=body),
                h11.EndOfMessage(),
            ):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
