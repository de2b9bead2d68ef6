"""Operations on nodes: the half of the client that works alike inside a transaction and outside of one.

Many nodes cost one exchange: `read_many`, `directory_many`, `write_many` send all their requests at once, and
`tree` needs one exchange per level.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from purevirt._typing import NoReturn
from purevirt.channels.xenstore.transport import CHANNEL, WHAT, Request, Transport
from purevirt.errors import Denied, NoSuchNode, QuotaExceeded, ReadOnly, StoreError, Unsupported
from purevirt.wire.xenstore import messages
from purevirt.wire.xenstore.errnos import exception_of
from purevirt.wire.xenstore.packets import Op, Packet
from purevirt.wire.xenstore.permissions import Permission, parse_permissions

__all__ = ["Nodes", "Path"]

Path = str | bytes

# Enum members cost a look-up each time; these are read on every request.
_ERROR = int(Op.ERROR)
_READ = int(Op.READ)
_DIRECTORY = int(Op.DIRECTORY)
_ENOENT = b"ENOENT\0"
_VANISHED = (_ENOENT, b"EACCES\0")

PART_RESTARTS = 64
"""How often a long listing begins anew because the directory changed between its parts."""


def text(path: Path) -> str:
    """A path for messages."""
    return path if isinstance(path, str) else path.decode("ascii", "backslashreplace")


class Nodes:
    """Reads and writes nodes. Paths are text or bytes; values go in as text (UTF-8) or bytes and come out as
    bytes.

    `timeout` is in seconds everywhere; None means the client's own. Every method may raise Timeout, Closed,
    RemoteProtocolError, LocalProtocolError (nothing was sent), and Denied where rights are missing.
    """

    __slots__ = ("_read_only", "_timeout", "_transport", "_tx_id")

    def __init__(self, transport: Transport, *, read_only: bool, timeout: float | None, tx_id: int) -> None:
        self._transport = transport
        self._read_only = read_only
        self._timeout = timeout
        self._tx_id = tx_id

    @property
    def read_only(self) -> bool:
        """Whether changing operations are refused before anything is sent."""
        return self._read_only

    # --- reading --------------------------------------------------------------------------------------------

    async def read(self, path: Path, *, timeout: float | None = None) -> bytes:
        """The value of a node. NoSuchNode if there is none."""
        return await self._ask(_READ, messages.path_request(path), "read", path, timeout)

    async def read_many(self, paths: Iterable[Path], *, timeout: float | None = None) -> list[bytes | None]:
        """The values of many nodes, in one exchange; None for each that does not exist.

        The first other error is raised.
        """
        tx_id = self._tx_id
        wanted = paths if isinstance(paths, Sequence) else list(paths)
        replies = await self._look(
            [(_READ, tx_id, payload) for payload in messages.path_requests(wanted)],
            self._timeout if timeout is None else timeout,
        )
        return [
            reply[3]
            if reply[0] != _ERROR
            else None
            if reply[3] == _ENOENT
            else _refused(reply, "read", wanted[index])
            for index, reply in enumerate(replies)
        ]

    async def exists(self, path: Path, *, timeout: float | None = None) -> bool:
        """Whether there is such a node. Denied if we may not know."""
        try:
            await self.read(path, timeout=timeout)
        except NoSuchNode:
            return False
        return True

    async def directory(self, path: Path, *, timeout: float | None = None) -> list[str]:
        """The names of a node's children, however many. NoSuchNode if there is no such node.

        A list of more than 4096 bytes comes in parts (DIRECTORY_PART, Xen 4.9), begun anew when the directory
        changes meanwhile. Unsupported: the list is that long, and the daemon (oxenstored) cannot tell it in parts.
        """
        deadline = self._deadline(timeout)
        try:
            reply = await self._ask(_DIRECTORY, messages.path_request(path), "directory", path, timeout)
        except QuotaExceeded:
            return await self._directory_parts(path, deadline)
        return messages.parse_children(reply)

    async def directory_many(
        self, paths: Iterable[Path], *, timeout: float | None = None
    ) -> list[list[str] | None]:
        """The children of many nodes, in one exchange; None for each node that does not exist."""
        deadline = self._deadline(timeout)
        tx_id = self._tx_id
        wanted = paths if isinstance(paths, Sequence) else list(paths)
        replies = await self._look(
            [(_DIRECTORY, tx_id, payload) for payload in messages.path_requests(wanted)], self._left(deadline)
        )
        return [await self._children(reply, wanted[index], deadline) for index, reply in enumerate(replies)]

    async def tree(self, path: Path = "/", *, timeout: float | None = None) -> dict[str, bytes]:
        """A node and everything below it: path → value, parents before their children, in the server's order.

        One exchange per level. It is no snapshot, unless it runs in a transaction: nodes that vanish
        meanwhile, and those that we may not read, are left out. NoSuchNode or Denied if that is so of `path`
        itself.
        """
        deadline = self._deadline(timeout)
        top = text(path)
        values = {top: await self.read(path, timeout=timeout)}
        children: dict[str, list[str]] = {}
        level = [top]
        while level:
            level = await self._level(level, values, children, deadline)
        found: dict[str, bytes] = {}
        stack = [top]
        while stack:
            here = stack.pop()
            if here in values:
                found[here] = values[here]
                stack += reversed(children.get(here, ()))
        return found

    async def _level(
        self,
        level: list[str],
        values: dict[str, bytes],
        children: dict[str, list[str]],
        deadline: float | None,
    ) -> list[str]:
        """List the nodes of one level, and read what was listed on it; the next level's paths.

        A level's values are read together with its lists, so the last level, which has no children, is free.
        """
        unread = [path for path in level if path not in values]
        payloads = messages.path_requests(unread + level)
        tx_id = self._tx_id
        replies = await self._look(
            [(_READ, tx_id, payload) for payload in payloads[: len(unread)]]
            + [(_DIRECTORY, tx_id, payload) for payload in payloads[len(unread) :]],
            self._left(deadline),
        )
        for path, reply in zip(unread, replies, strict=False):
            if reply[0] != _ERROR:
                values[path] = reply[3]
            elif reply[3] not in _VANISHED:
                _refused(reply, "read", path)
        below: list[str] = []
        for path, reply in zip(level, replies[len(unread) :], strict=True):
            if reply[0] == _ERROR and reply[3] in _VANISHED:
                continue
            try:
                names = await self._children(reply, path, deadline)
            except Denied:
                continue
            base = path.rstrip("/")
            children[path] = [f"{base}/{name}" for name in names or ()]
            below += children[path]
        return below

    async def get_perms(self, path: Path, *, timeout: float | None = None) -> tuple[Permission, ...]:
        """A node's permissions: the owner first, whose letter is what everyone else may do."""
        payload = messages.path_request(path)
        return parse_permissions(await self._ask(Op.GET_PERMS, payload, "get_perms", path, timeout))

    # --- writing --------------------------------------------------------------------------------------------

    async def write(self, path: Path, value: str | bytes, *, timeout: float | None = None) -> None:
        """Set a node's value, creating it and its parents as needed."""
        self._changing("write", path)
        payload = messages.write_request(path, value)
        messages.expect_ok(await self._ask(Op.WRITE, payload, "write", path, timeout))

    async def write_many(
        self, values: Iterable[tuple[Path, str | bytes]], *, timeout: float | None = None
    ) -> None:
        """Set many values, in one exchange and in their order. Without a transaction each takes effect alone.

        The first error is raised, when all have been tried.
        """
        pairs = list(values)
        if pairs:
            self._changing("write", pairs[0][0])
        tx_id = self._tx_id
        replies = await self._transport.exchange(
            [(int(Op.WRITE), tx_id, messages.write_request(path, value)) for path, value in pairs],
            self._timeout if timeout is None else timeout,
        )
        for (path, _), reply in zip(pairs, replies, strict=True):
            if reply[0] == _ERROR:
                _refused(reply, "write", path)

    async def mkdir(self, path: Path, *, timeout: float | None = None) -> None:
        """Make sure that a node exists, with its parents; what exists keeps its value."""
        self._changing("mkdir", path)
        messages.expect_ok(await self._ask(Op.MKDIR, messages.path_request(path), "mkdir", path, timeout))

    async def rm(self, path: Path, *, timeout: float | None = None) -> None:
        """Remove a node and everything below it. It need not exist, but (NoSuchNode) its parent must."""
        self._changing("rm", path)
        messages.expect_ok(await self._ask(Op.RM, messages.path_request(path), "rm", path, timeout))

    async def set_perms(
        self, path: Path, permissions: Iterable[Permission | str], *, timeout: float | None = None
    ) -> None:
        """Replace a node's permissions; entries may be text ("n0", "r5"). The first names the owner."""
        self._changing("set_perms", path)
        entries = [
            entry if isinstance(entry, Permission) else Permission.parse(entry) for entry in permissions
        ]
        payload = messages.set_perms_request(path, entries)
        messages.expect_ok(await self._ask(Op.SET_PERMS, payload, "set_perms", path, timeout))

    # --- how ------------------------------------------------------------------------------------------------

    async def _look(self, requests: Sequence[Request], timeout: float | None) -> list[Packet]:
        """An exchange of requests that only look: the order in which they are carried out is of no account."""
        return await self._transport.exchange(requests, timeout)

    async def _ask(
        self, op: int, payload: bytes, operation: str, path: Path | None, timeout: float | None
    ) -> bytes:
        """One request; its reply's payload. The reply's error is raised."""
        replies = await self._transport.exchange(
            ((op, self._tx_id, payload),), self._timeout if timeout is None else timeout
        )
        reply = replies[0]
        if reply[0] == _ERROR:
            raise exception_of(reply[3], operation=operation, path=None if path is None else text(path))
        return reply[3]

    async def _children(self, reply: Packet, path: Path, deadline: float | None) -> list[str] | None:
        if reply[0] != _ERROR:
            return messages.parse_children(reply[3])
        if reply[3] == b"E2BIG\0":
            try:
                return await self._directory_parts(path, deadline)
            except NoSuchNode:
                return None
        if reply[3] != _ENOENT:
            _refused(reply, "directory", path)
        return None

    async def _directory_parts(self, path: Path, deadline: float | None) -> list[str]:
        for _ in range(PART_RESTARTS):
            generation: bytes | None = None
            chunks: list[bytes] = []
            offset = 0
            while True:
                payload = messages.directory_part_request(path, offset)
                try:
                    reply = await self._ask(
                        Op.DIRECTORY_PART, payload, "directory", path, self._left(deadline)
                    )
                except (Unsupported, StoreError) as error:
                    if error.errno_name not in ("ENOSYS", "EINVAL"):
                        raise
                    raise Unsupported(
                        f"{text(path)} has too many children for one reply, and this Xen Store daemon "
                        "cannot tell them in parts (only the C xenstored can, since Xen 4.9)",
                        operation="directory",
                        channel=CHANNEL,
                        path=text(path),
                        errno=error.errno,
                    ) from error
                part = messages.parse_directory_part(reply)
                if generation is not None and part.generation != generation:
                    break
                generation = part.generation
                chunks.append(part.children)
                offset += part.size
                if part.last:
                    return messages.parse_children(b"".join(chunks))
        raise StoreError(
            f"{text(path)} changed {PART_RESTARTS} times while it was listed",
            operation="directory",
            channel=CHANNEL,
            path=text(path),
        )

    def _changing(self, operation: str, path: Path | None = None) -> None:
        """Refuse what changes something, on a connection that may not. Nothing has been sent."""
        if self._read_only:
            subject = operation if path is None else f"{operation} of {text(path)}"
            raise ReadOnly(
                f"{subject} refused: {WHAT} is open read-only",
                operation=operation,
                channel=CHANNEL,
                path=None if path is None else text(path),
            )

    def _deadline(self, timeout: float | None) -> float | None:
        seconds = self._timeout if timeout is None else timeout
        return None if seconds is None else time.monotonic() + seconds

    def _left(self, deadline: float | None) -> float | None:
        return None if deadline is None else max(0.0, deadline - time.monotonic())


def _refused(reply: Packet, operation: str, path: Path) -> NoReturn:
    """Raise what an error reply means."""
    raise exception_of(reply[3], operation=operation, path=text(path))
