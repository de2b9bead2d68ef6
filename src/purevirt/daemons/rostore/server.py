"""The sockets of the read-only store, and who watches what.

One path is watched once upstream, however many clients watch it; an event that comes is told to each of them whose
watch covers it, if the changed node is one that is shown. One user may hold at most half of the connections."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket

from purevirt.channels.xenstore.locate import READ_ONLY, SOCKETS, locate
from purevirt.daemons.rostore.allowed import SPECIAL, Shown, shown_as
from purevirt.daemons.rostore.client import Client
from purevirt.daemons.rostore.upstream import Upstream
from purevirt.daemons.xend import access, sockets
from purevirt.errors import ConnectError

__all__ = ["ReadOnlyStore"]

_CLASSIC = SOCKETS[0] + "_ro"
CONNECTIONS = 4000
"""At most; and never more than a third of the files that the process may have open, for xend needs the rest."""

_log = logging.getLogger(__name__)


class ReadOnlyStore:
    """The server, for one event loop. `start`, then `stop`."""

    def __init__(self, root: str = "", *, connections: int | None = None) -> None:
        self.root = root
        self.path = root + READ_ONLY
        self._link = root + _CLASSIC
        self._linked = False
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._limit = min(CONNECTIONS, files // 3) if connections is None else connections
        self.upstream = Upstream(locate(root=root or None), self._event, self._lost)
        self._clients: dict[Client, int] = {}
        self._users: dict[int, int] = {}
        self._watchers: dict[bytes, dict[Client, int]] = {}
        self._claim: sockets.Claim | None = None
        self._server: asyncio.Server | None = None
        self._unwatching: set[asyncio.Task[None]] = set()

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._clients)

    async def start(self) -> None:
        """Serve. ConnectError: the directory cannot be trusted, or somebody serves there already."""
        sockets.prepare_directory(os.path.dirname(self.path), 0o755)
        self._claim = sockets.Claim(self.path)
        try:
            sock = sockets.listen(self.path, 0o666)
            self._server = await asyncio.get_running_loop().create_unix_server(
                self._connected, sock=sock, backlog=sockets.BACKLOG
            )
            self._linked = sockets.place_link(self._link, self.path)
        except BaseException:
            self._claim.release()
            raise

    async def stop(self) -> None:
        """End, with the socket file and the link."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for client in list(self._clients):
            client.drop()
        await self.upstream.close()
        if self._unwatching:
            await asyncio.wait(self._unwatching)
        if self._linked:
            sockets.remove_link(self._link, self.path)
        sockets.remove(self.path)
        assert self._claim is not None
        self._claim.release()

    # --- clients

    def _connected(self) -> Client:
        return _Admitted(self)

    def admit(self, client: Client, sock: socket.socket) -> bool:
        """Whether there is room for one more of this user's."""
        peer = access.peer_of(sock)
        if peer is None:
            return False
        uid = peer.uid
        mine = self._users.get(uid, 0)
        if len(self._clients) >= self._limit or (uid and mine >= self._limit // 2):
            _log.info("no room for a client of user %d in the read-only store", uid)
            return False
        self._clients[client] = uid
        self._users[uid] = mine + 1
        return True

    def forget(self, client: Client) -> None:
        """It is gone."""
        uid = self._clients.pop(client, None)
        if uid is None:
            return
        self._users[uid] -= 1
        if not self._users[uid]:
            del self._users[uid]

    # --- watches

    def watch(self, client: Client, path: bytes) -> None:
        """The client wants to hear of a path, once more (upstream is told already)."""
        watchers = self._watchers.setdefault(path, {})
        watchers[client] = watchers.get(client, 0) + 1

    def unwatch(self, client: Client, path: bytes) -> None:
        """Once less."""
        watchers = self._watchers.get(path, {})
        left = watchers.get(client, 0) - 1
        if left > 0:
            watchers[client] = left
        else:
            watchers.pop(client, None)
        if not watchers:
            self._watchers.pop(path, None)
        task = asyncio.get_running_loop().create_task(self.upstream.unwatch(path))
        self._unwatching.add(task)
        task.add_done_callback(self._unwatching.discard)

    def _event(self, changed: bytes) -> None:
        if changed in SPECIAL:
            watched = [changed]
        elif shown_as(changed) == Shown.NOTHING:
            return
        else:
            watched = [changed]
            at = changed
            while len(at) > 1:
                at = at[: at.rfind(b"/")] or b"/"
                watched.append(at)
        for path in watched:
            for client in list(self._watchers.get(path, ())):
                client.tell(path, changed)

    def _lost(self) -> None:
        """xenstored has gone: so go the clients, who must know that they may have missed something."""
        for client in list(self._clients):
            client.drop()


class _Admitted(Client):
    """A client that is turned away at once if there is no room."""

    def __init__(self, server: ReadOnlyStore) -> None:
        super().__init__(server)
        self._store = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if not self._store.admit(self, transport.get_extra_info("socket")):
            self.drop()


def served(root: str) -> bool:
    """Whether somebody serves the read-only store of that host already."""
    try:
        return sockets.answers(root + READ_ONLY)
    except ConnectError:
        return False
