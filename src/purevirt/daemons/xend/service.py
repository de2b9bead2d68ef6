"""The running daemon: channels, supervisor, sockets, in the order in which they start; and the reverse.

    /run/purevirt/xend.sock         0666  the RPC and the classic tree; the role comes from who connects
    /var/lib/xend/xend-socket       0600  the same for old clients, in a directory of 0700: root
    /run/purevirt/socket_ro         0666  the read-only store, unless a process of its own serves it
    ADDRESS:PORT, if asked for            anonymous: at most a reader

All paths are below `root` on a simulated host.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple

from purevirt.channels.files import HostFiles
from purevirt.channels.xend import CALL_PATH, CLASSIC_SOCKET, SOCKET
from purevirt.daemons.rostore.server import ReadOnlyStore, served
from purevirt.daemons.xend import access, audit, http, sockets
from purevirt.daemons.xend.classic import ClassicFace
from purevirt.daemons.xend.http import Handler, Request, Response
from purevirt.daemons.xend.journal import Journal
from purevirt.daemons.xend.link import Link
from purevirt.daemons.xend.rpc import Rpc
from purevirt.daemons.xend.supervisor import Supervisor
from purevirt.daemons.xend.toolstack.native import NativeToolstack
from purevirt.model import Caller, Role

__all__ = ["Options", "Service", "run"]

_GRACE = 5.0  # for requests that are being worked on when the daemon is ended


class Options(NamedTuple):
    """How the daemon is to run. `audit`: a file (None: /var/log/purevirt/audit.log below the root)."""

    root: str = ""
    tcp: str | None = None
    reader_group: str | None = access.READERS
    operator_group: str | None = None
    audit: str | None = None
    read_only_store: bool = True
    vcpu_wait: float = 1.0
    backend_wait: float = 5.0


class Service:
    """The daemon, for one event loop. `start` returns when it serves; `stop` when all of it is gone."""

    def __init__(self, options: Options) -> None:
        root = options.root.rstrip("/")
        self.options = options
        self.socket = root + SOCKET
        self.link = Link(root)
        toolstack = NativeToolstack(self.link, vcpu_wait=options.vcpu_wait, backend_wait=options.backend_wait)
        log = audit.AuditLog(root + audit.DEFAULT if options.audit is None else options.audit)
        self.supervisor = Supervisor(self.link, toolstack, log, Journal())
        self.read_only_store: ReadOnlyStore | None = None
        self._root = root
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Serve. ConnectError says what is missing, or who is in the way; nothing is left behind then."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def _start(self) -> None:
        stack = self._stack
        sockets.prepare_directory(os.path.dirname(self.socket), 0o755)
        claim = sockets.Claim(self.socket)
        stack.callback(claim.release)
        await self.link.open()
        stack.push_async_callback(self.link.close)
        await self.supervisor.observer.start()
        stack.push_async_callback(self.supervisor.stop)
        if self.options.read_only_store and not served(self._root):
            store = ReadOnlyStore(self._root)
            await store.start()
            stack.push_async_callback(store.stop)
            self.read_only_store = store
        handler = self._faces()
        known = access.Doorman(self.options.reader_group, self.options.operator_group).caller_of
        classic = self._root + CLASSIC_SOCKET
        sockets.prepare_directory(os.path.dirname(classic), 0o700)
        for path, mode in ((self.socket, 0o666), (classic, 0o600)):
            await self._serve(sockets.listen(path, mode), handler, known)
            stack.callback(sockets.remove, path)
        if self.options.tcp is not None:
            anybody = access.Doorman(anonymous=Role.READER).caller_of
            await self._serve(sockets.listen_tcp(self.options.tcp), handler, anybody)

    async def _serve(
        self, sock: socket.socket, handler: Handler, identify: Callable[[socket.socket], Caller]
    ) -> None:
        server = await http.serve(sock, handler, identify)
        self._stack.push_async_callback(server.close, _GRACE)

    def _faces(self) -> Handler:
        """Our own path goes to the RPC, every other to the classic tree."""
        rpc = Rpc(self.supervisor)
        classic = ClassicFace(self.supervisor, HostFiles(self._root))
        self._stack.push_async_callback(classic.close)

        async def handle(request: Request) -> Response:
            if request.target.partition("?")[0] == CALL_PATH:
                return await rpc.handle(request)
            return await classic(request)

        return handle

    async def stop(self) -> None:
        """End: calls under way may finish, for some seconds; then everything that was made is removed."""
        self.supervisor.journal.close()
        await self._stack.aclose()


async def run(options: Options, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called with the socket's path when it serves."""
    sockets.allow_many_files()
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    service = Service(options)
    await service.start()
    try:
        if ready is None:
            _say_ready(service.socket, options)
        else:
            ready(service.socket)
        await ended.wait()
    finally:
        await service.stop()


def _say_ready(path: str, options: Options) -> None:
    print("ready", flush=True)
    print(f"xend: serving on {path}", file=sys.stderr, flush=True)
    for group in access.unknown_groups(options.reader_group, options.operator_group):
        print(
            f"xend: there is no group {group!r}: nobody is in it until it is made",
            file=sys.stderr,
            flush=True,
        )
