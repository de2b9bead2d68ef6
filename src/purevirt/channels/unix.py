"""Unix sockets: paths of any length and of any bytes, connecting with a deadline, and errors that say what is
wrong.

Every channel that talks to a socket file goes through here. Three things are less simple than they look.

**Length.** `sun_path` holds 107 bytes and a NUL. A longer path is reached through a file descriptor: to
connect, the socket file itself is opened with O_PATH and named /proc/self/fd/N; to bind (the file does not
exist yet), its directory is, and the name is /proc/self/fd/N/NAME. Python turns text into the file system's
bytes with surrogateescape, so names with spaces, quotes or bytes that are no UTF-8 need nothing special.

**Waiting.** Connecting to a Unix socket waits only while the listener's backlog is full. A non-blocking
attempt then fails with EAGAIN, *not* EINPROGRESS: there is nothing to wait for with poll, and `asyncio`'s own
`sock_connect` takes it for a connection that it is not. So `try_connect` tells "full, try again", and a
blocking `connect` lets the kernel wait (SO_SNDTIMEO is what bounds it).

**Errors.** ECONNREFUSED means "a socket, but nobody listens" and also "no socket at all"; a look at the file
tells which. Each ConnectError keeps the errno and the path.

`fork_generation` is here as well: a connection must not be used on both sides of a fork.
"""

from __future__ import annotations

import _socket  # the C half is all we use; the Python half takes longer to import than to connect
import errno
import os
import stat
import struct
import time
from types import TracebackType

from purevirt.errors import ConnectError, Timeout

__all__ = [
    "MAX_PATH",
    "BindAddress",
    "absence",
    "connect",
    "explain",
    "fork_generation",
    "remove_stale",
    "try_connect",
]

MAX_PATH = 107

_O_PATH: int | None = getattr(os, "O_PATH", None)  # Linux only

StrPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


# --- forks --------------------------------------------------------------------------------------------------

_generation = 0


def _forked() -> None:
    global _generation  # noqa: PLW0603 - the one thing a child must know, and an int costs no look-up
    _generation += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def fork_generation() -> int:
    """How many forks lie between this process and the first. A transport that was made in another is refused.

    Counting costs nothing per request; asking for the process id is a system call.
    """
    return _generation


# --- addresses ----------------------------------------------------------------------------------------------


class BindAddress:
    """A path to bind a socket to, as a context manager that yields the address to use.

    Short paths are used as they are; for a long one the directory is held open meanwhile. OSError if the
    directory cannot be opened, or (ENAMETOOLONG) the file's own name leaves no room.
    """

    __slots__ = ("_fd", "_path")

    def __init__(self, path: StrPath) -> None:
        self._path = os.fsencode(path)
        self._fd = -1

    def __enter__(self) -> bytes:
        if len(self._path) <= MAX_PATH:
            return self._path
        directory, name = os.path.split(self._path)
        if _O_PATH is None:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), os.fsdecode(self._path))
        self._fd = os.open(directory or b".", _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        address = b"/proc/self/fd/%d/%s" % (self._fd, name)
        if len(address) > MAX_PATH:
            self.__exit__(None, None, None)
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), os.fsdecode(self._path))
        return address

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


# --- connecting ---------------------------------------------------------------------------------------------


def connect(
    path: StrPath, *, timeout: float | None, what: str, channel: str | None = None, hint: str | None = None
) -> _socket.socket:
    """A connected stream socket, in blocking mode. `timeout` in seconds; `what` names whom we call ("the Xen
    Store").

    ConnectError says what is wrong with the path (`hint`: what would help if access is denied); Timeout that
    the other side did not take the connection in time.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    sock = _connect(path, timeout, what, channel, hint)
    while sock is None:
        # A signal can make the kernel give up early.
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left <= 0:
            raise _full(path, timeout, what, channel)
        sock = _connect(path, left, what, channel, hint)
    return sock


def try_connect(
    path: StrPath, *, what: str, channel: str | None = None, hint: str | None = None
) -> _socket.socket | None:
    """Connect without waiting. None: the listener's backlog is full, try again a little later.

    The socket is in non-blocking mode.
    """
    return _connect(path, 0.0, what, channel, hint)


def absence(
    path: StrPath, *, what: str, channel: str | None = None, hint: str | None = None
) -> ConnectError | None:
    """Why nobody listens at a path; None if somebody does. It takes no time: nothing is sent, nothing waited for."""
    try:
        sock = _connect(path, 0.0, what, channel, hint)
    except ConnectError as error:
        return error
    if sock is not None:  # else so many want to talk to it that we would have to wait: so it is there
        sock.close()
    return None


def _full(path: StrPath, timeout: float | None, what: str, channel: str | None) -> Timeout:
    shown = os.fsdecode(path)
    return Timeout(
        f"{what} at {shown} did not take the connection within {timeout:g} s",
        operation="connect",
        channel=channel,
        path=shown,
    )


def _connect(
    path: StrPath, timeout: float | None, what: str, channel: str | None, hint: str | None
) -> _socket.socket | None:
    raw = os.fsencode(path)
    if not raw or b"\0" in raw:
        reason = "its path holds a NUL byte" if raw else "its path is empty"
        raise ConnectError(f"cannot reach {what}: {reason}", operation="connect", channel=channel)
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    handle = -1
    try:
        if timeout == 0:
            sock.setblocking(False)
        elif timeout is not None:
            seconds, fraction = divmod(timeout, 1.0)
            interval = struct.pack("@ll", int(seconds), max(1, int(fraction * 1e6)))
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, interval)
        address = raw
        if len(raw) > MAX_PATH:
            if _O_PATH is None:
                raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
            handle = os.open(raw, _O_PATH | os.O_CLOEXEC)
            address = b"/proc/self/fd/%d" % handle
        sock.connect(address)
        if timeout:
            sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, struct.pack("@ll", 0, 0))
    except BlockingIOError:
        sock.close()
        return None
    except OSError as error:
        sock.close()
        raise explain(error, raw, what=what, channel=channel, hint=hint) from error
    except BaseException:
        sock.close()
        raise
    finally:
        if handle >= 0:
            os.close(handle)
    return sock


def explain(
    error: OSError, path: StrPath, *, what: str, channel: str | None = None, hint: str | None = None
) -> ConnectError:
    """The ConnectError that an OSError of opening a socket or a device file means, not raised."""
    shown = os.fsdecode(path)
    number = error.errno or 0
    match number:
        case errno.ENOENT:
            reason = "there is no such file"
        case errno.ECONNREFUSED:
            reason = "nobody listens on it" if _is_socket(path) else "it is no socket"
        case errno.EACCES | errno.EPERM:
            reason = "permission denied" + _owner(path)
            if hint:
                reason += f"; {hint}"
        case errno.EPROTOTYPE:
            reason = "it is a socket of another kind, not a stream"
        case errno.EMFILE | errno.ENFILE:
            reason = "too many open files"
        case _:
            reason = os.strerror(number).lower() if number else str(error)
    return ConnectError(
        f"cannot reach {what} at {shown}: {reason}",
        operation="connect",
        channel=channel,
        path=shown,
        errno=error.errno,
    )


def _is_socket(path: StrPath) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return True  # gone meanwhile: so it was one, as far as anyone can tell


def _owner(path: StrPath) -> str:
    try:
        found = os.stat(path)
    except OSError:
        return " (on the way there)"
    return (
        f" (it belongs to user {found.st_uid}, group {found.st_gid}, mode {stat.S_IMODE(found.st_mode):04o})"
    )


def remove_stale(path: StrPath, *, what: str, channel: str | None = None) -> None:
    """Remove a socket file on which nobody listens any more, so that one can bind there.

    ConnectError: somebody does. Anything else at the path is left, and makes `bind` fail, as it should.
    """
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return
    except OSError:
        return
    try:
        probe = try_connect(path, what=what, channel=channel)
    except ConnectError as error:
        if error.errno == errno.ECONNREFUSED:
            os.unlink(path)
        return
    if probe is not None:
        probe.close()
    raise ConnectError(
        f"another daemon listens on {os.fsdecode(path)} already",
        operation="listen",
        channel=channel,
        path=os.fsdecode(path),
        errno=errno.EADDRINUSE,
    )
