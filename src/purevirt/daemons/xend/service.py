"""The running daemon: channels, supervisor, sockets, in the order in which they start; and the reverse.

    /run/purevirt/xend.sock         0666  the RPC and the classic tree; the role comes from who connects
    /var/lib/xend/xend-socket       0600  the same for old clients, in a directory of 0700: root
    /run/purevirt/rest.sock         0666  REST, where purevirt[daemon] is installed
    /run/purevirt/socket_ro         0666  the read-only store, unless a process of its own serves it
    ADDRESS:PORT, if asked for            anonymous: at most a reader

All paths are below `root` on a simulated host, and may be others: `settings` has them. `process` runs it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from purevirt.channels.files import HostFiles
from purevirt.channels.xend import CALL_PATH
from purevirt.daemons.rostore.server import ReadOnlyStore, served
from purevirt.daemons.xend import access, audit, http, sockets
from purevirt.daemons.xend.classic import ClassicFace
from purevirt.daemons.xend.config_store import FILE, Database
from purevirt.daemons.xend.http import Handler, Request, Response
from purevirt.daemons.xend.journal import Journal
from purevirt.daemons.xend.link import Link
from purevirt.daemons.xend.managed import hostshutdown, startup
from purevirt.daemons.xend.managed.eventlog import EventLog
from purevirt.daemons.xend.managed.keeper import Keeper
from purevirt.daemons.xend.managed.manager import Manager
from purevirt.daemons.xend.managed.policies import Slowing
from purevirt.daemons.xend.named_calls import NamedCalls
from purevirt.daemons.xend.rpc import Rpc
from purevirt.daemons.xend.settings import Setting, Settings, changes, effective
from purevirt.daemons.xend.supervisor import Supervisor
from purevirt.daemons.xend.toolstack.builder import Builder
from purevirt.daemons.xend.toolstack.native import NativeToolstack
from purevirt.daemons.xend.toolstack.simulated import SimulatedBuilder
from purevirt.daemons.xend.toolstack.xl import XlBuilder
from purevirt.errors import ChannelUnavailable, Closed, ConnectError
from purevirt.model import Caller, Role

if TYPE_CHECKING:
    from purevirt.daemons.xend.rest.server import Rest

__all__ = ["Service"]

_log = logging.getLogger(__name__)

_GRACE = 5.0  # for requests that are being worked on when the daemon is ended


class Service:
    """The daemon, for one event loop. `start` returns when it serves; `stop` when all of it is gone."""

    def __init__(self, settings: Settings) -> None:
        root = settings.root.rstrip("/")
        self.settings = settings
        self.socket = settings.below(settings.socket)
        self.link = Link(root)
        self._toolstack = NativeToolstack(
            self.link, vcpu_wait=settings.vcpu_wait, backend_wait=settings.backend_wait
        )
        self._audit = audit.AuditLog(settings.below(settings.audit))
        self._doorman = access.Doorman(settings.reader_group, settings.operator_group)
        self.supervisor = Supervisor(self.link, self._toolstack, self._audit, Journal())
        self.supervisor.roots = settings.roots
        self._state = settings.below(settings.state)
        self.database = Database(f"{self._state}/{FILE}")
        self.read_only_store: ReadOnlyStore | None = None
        self.rest: Rest | None = None
        self._servers: list[http.Server] = []
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
        manager = await self._remember()
        await self.supervisor.observer.start()
        stack.push_async_callback(self.supervisor.stop)
        stack.push_async_callback(manager.stop, _GRACE)
        await startup.resolve(manager, Keeper(manager))
        if self.settings.read_only_store and not served(self._root):
            store = ReadOnlyStore(self._root)
            await store.start()
            stack.push_async_callback(store.stop)
            self.read_only_store = store
        handler = self._faces()
        await self._listen(self.settings.socket, 0o666, handler)
        if self.settings.classic:
            sockets.prepare_directory(os.path.dirname(self.settings.below(self.settings.classic)), 0o700)
            await self._listen(self.settings.classic, 0o600, handler)
        if self.settings.tcp:
            anybody = access.Doorman(anonymous=Role.READER).caller_of
            await self._serve(sockets.listen_tcp(self.settings.tcp), handler, anybody)
        await self._serve_rest()
        await startup.begin_autostart(manager, self.settings.autostart)

    async def _remember(self) -> Manager:
        """What the daemon knows of its earlier lives."""
        supervisor = self.supervisor
        opened = await self.database.open()
        self._stack.push_async_callback(self.database.close)
        if opened.aside is not None:
            _log.error(
                "the state was damaged (%s); it is kept as %s, and %d definitions of it were taken over",
                opened.lost,
                opened.aside,
                opened.rescued,
            )
        if opened.read_only is not None:
            _log.error("nothing can be kept: %s", opened.read_only)
        manager = supervisor.manager = Manager(
            self.link,
            self._toolstack,
            self._builder(),
            self.database,
            supervisor.locks,
            supervisor.observer,
            supervisor.journal,
            state=self._state,
        )
        self._use(manager, self.settings)
        log = EventLog(self.database, supervisor.journal)
        await log.load()
        self._stack.push_async_callback(log.close)
        return manager

    def _builder(self) -> Builder:
        if self._root:
            return SimulatedBuilder(self.link, patience=self.settings.backend_wait)
        return XlBuilder(self.link, self._toolstack)

    def _use(self, manager: Manager, settings: Settings) -> None:
        manager.jobs.parallel = settings.parallel_jobs
        manager.jobs.deadline = settings.job_deadline
        manager.slowing = Slowing(settings.restart_count, settings.restart_seconds, settings.restart_slowdown)

    async def _listen(self, path: str, mode: int, handler: Handler) -> None:
        path = self.settings.below(path)
        await self._serve(sockets.listen(path, mode), handler, self._doorman.caller_of)
        self._stack.callback(sockets.remove, path)

    async def _serve(
        self, sock: socket.socket, handler: Handler, identify: Callable[[socket.socket], Caller]
    ) -> None:
        server = await http.serve(sock, handler, identify)
        self._servers.append(server)
        self._stack.push_async_callback(server.close, _GRACE)

    async def _serve_rest(self) -> None:
        """REST, if what it takes is installed; ConnectError if it is not, and is asked for over TCP."""
        settings = self.settings
        try:
            from purevirt.daemons.xend.rest.app import Face
            from purevirt.daemons.xend.rest.server import Rest
        except ModuleNotFoundError as error:
            if settings.rest:
                raise ConnectError(
                    f"listen.rest is set, and REST needs {error.name}, which is not installed: "
                    "pip install 'purevirt[daemon]'",
                    operation="listen",
                    channel="daemon",
                ) from None
            return
        if not settings.rest and not settings.rest_socket:
            return
        rest = Rest(Face(NamedCalls(self.supervisor), self.supervisor.journal))
        self._stack.push_async_callback(rest.close, _GRACE)
        if settings.rest_socket:
            path = settings.below(settings.rest_socket)
            sockets.prepare_directory(os.path.dirname(path), 0o755)
            await rest.listen(sockets.listen(path, 0o666), self._doorman.caller_of)
            self._stack.callback(sockets.remove, path)
        if settings.rest:
            sock = sockets.listen_tcp(settings.rest)
            anybody = access.Doorman(anonymous=Role.READER).caller_of
            await rest.listen(sock, anybody, sockets.loopback_names(sock))
        self.rest = rest

    def _faces(self) -> Handler:
        """Our own path goes to the RPC, every other to the classic tree."""
        calls = NamedCalls(self.supervisor)
        rpc = Rpc(calls)
        classic = ClassicFace(calls, HostFiles(self._root))
        self._stack.push_async_callback(classic.close)

        async def handle(request: Request) -> Response:
            if request.target.partition("?")[0] == CALL_PATH:
                return await rpc.handle(request)
            return await classic(request)

        return handle

    def apply(self, new: Settings) -> tuple[Setting, ...]:
        """Go by other settings, as far as that is possible while it runs; those that take a restart are returned.

        Whoever is connected keeps the role that he had when he connected.
        """
        old = self.settings
        self.settings = now = effective(old, new)
        if (now.reader_group, now.operator_group) != (old.reader_group, old.operator_group):
            self._doorman.regroup(now.reader_group, now.operator_group)
        self._toolstack.vcpu_wait, self._toolstack.backend_wait = now.vcpu_wait, now.backend_wait
        self.supervisor.roots = now.roots
        if self.supervisor.manager is not None:
            self._use(self.supervisor.manager, now)
        if now.audit != old.audit:
            self._audit.move(now.below(now.audit))
        return changes(now, new)

    async def see_domains_off(self) -> None:
        """The host is going down: do with its domains what the settings say."""
        if self.supervisor.manager is not None:
            await hostshutdown.see_domains_off(self.supervisor.manager, self.settings.on_host_shutdown)

    async def prove(self, timeout: float) -> None:
        """Show that it is of use: it accepts connections, and hypervisor and store answer within `timeout` seconds.

        ChannelUnavailable or Timeout says what does not.
        """
        rest = self.rest
        if not all(server.accepts for server in self._servers) or (rest is not None and not rest.accepts):
            raise ChannelUnavailable("a socket of the daemon accepts nobody any more", channel="daemon")
        driver = self.link.driver
        try:
            await self.link.hypercalls.version(timeout=timeout / 2)
            await driver.store.read_many(("/local/domain/0/name",), timeout=timeout / 2)
        except (Closed, ConnectError) as error:
            raise self.link.failed(error, driver) from error

    async def stop(self) -> None:
        """End: calls under way may finish, for some seconds; then everything that was made is removed."""
        self.supervisor.journal.close()
        await self._stack.aclose()
