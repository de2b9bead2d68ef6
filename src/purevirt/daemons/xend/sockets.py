"""Where the daemons listen: directories that can be trusted, socket files that are nobody else's.

A directory below /run is used only if it is a directory, no symlink, of root's (or our own), and nobody else may
write there: whoever could, could put a socket of his own in our place. A socket file that nobody answers on is left
over from a daemon that was killed, and is replaced; one that is answered is a daemon that runs, and an error. Two
daemons that start at once are told apart by a lock, `Claim`, which the kernel drops when its holder dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import ipaddress
import os
import resource
import socket
import stat

from purevirt.channels import unix
from purevirt.errors import ConnectError, Timeout

__all__ = [
    "BACKLOG",
    "Claim",
    "allow_many_files",
    "answers",
    "listen",
    "listen_tcp",
    "loopback_names",
    "place_link",
    "prepare_directory",
    "remove",
    "remove_link",
]

BACKLOG = 256

FILES = 16384
"""How many files a daemon wants to be able to have open."""


def allow_many_files() -> None:
    """Raise the soft limit of open files, as far as the hard one allows: the usual 1024 is a few hundred clients."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _error(message: str, path: str, number: int | None = None) -> ConnectError:
    return ConnectError(message, operation="listen", channel="daemon", path=path, errno=number)


def prepare_directory(path: str, mode: int) -> None:
    """Make sure that there is such a directory, and that only root or we can put anything into it."""
    try:
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        try:
            os.mkdir(path, mode)
            os.chmod(path, mode)  # whatever the umask says
        except FileExistsError:
            pass
        found = os.lstat(path)
    except OSError as error:
        raise _error(
            f"cannot make {path}: {(error.strerror or str(error)).lower()}", path, error.errno
        ) from error
    if stat.S_ISLNK(found.st_mode):
        reason = "it is a symlink"
    elif not stat.S_ISDIR(found.st_mode):
        reason = "it is no directory"
    elif found.st_uid not in (0, os.geteuid()):
        reason = f"it belongs to user {found.st_uid}"
    elif found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        reason = f"others may write in it (mode {stat.S_IMODE(found.st_mode):04o})"
    else:
        return
    raise _error(f"{path} cannot be trusted: {reason}", path)


class Claim:
    """The right to serve at a path: a lock on the file PATH.lock, held until `release` or the end of the process."""

    def __init__(self, path: str) -> None:
        self._file = f"{path}.lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(self._file, flags, 0o600)
        except OSError as error:
            raise _error(
                f"cannot lock {self._file}: {(error.strerror or str(error)).lower()}", self._file, error.errno
            ) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise _error(f"{path} is served already, by {who}", path, errno.EADDRINUSE) from error
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, b"%d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Give it back. The file stays: removing it would let two hold a lock each on two files of one name."""
        if self._fd >= 0:
            os.ftruncate(self._fd, 0)
            os.close(self._fd)
            self._fd = -1


def answers(path: str) -> bool:
    """Whether somebody listens on a socket file. ConnectError: what is there is no socket, or cannot be tried."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _error(f"cannot look at {path}: {(error.strerror or '').lower()}", path, error.errno) from error
    if not stat.S_ISSOCK(found.st_mode):
        raise _error(f"{path} is in the way: it is no socket", path, errno.EEXIST)
    try:
        probe = unix.try_connect(path, what="the daemon", channel="daemon")
    except ConnectError as error:
        if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
            return False
        raise
    except Timeout:
        return True
    if probe is not None:
        probe.close()
    return True


def listen(path: str, mode: int) -> socket.socket:
    """A socket that listens at a path. A file that nobody answers on is replaced; ConnectError otherwise."""
    if answers(path):
        raise _error(f"another daemon listens on {path} already", path, errno.EADDRINUSE)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        with unix.BindAddress(path) as address:
            sock.bind(address)
        os.chmod(path, mode)  # before `listen`: until then nobody can connect
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _error(
            f"cannot listen on {path}: {(error.strerror or str(error)).lower()}", path, error.errno
        ) from error
    return sock


def listen_tcp(address: str) -> socket.socket:
    """A socket that listens at ADDR:PORT, [ADDR]:PORT or :PORT (this machine alone)."""
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit() or not 0 <= int(port) < 65536:
        raise _error(f"{address!r} is no ADDRESS:PORT", address)
    host = host.removeprefix("[").removesuffix("]") or "127.0.0.1"
    try:
        family, kind, proto, _, where = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE | socket.AI_NUMERICHOST
        )[0]
        sock = socket.socket(family, kind, proto)
    except OSError as error:
        raise _error(
            f"cannot listen on {address}: {(error.strerror or str(error)).lower()}", address
        ) from error
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(where)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise _error(
            f"cannot listen on {address}: {(error.strerror or str(error)).lower()}", address, error.errno
        ) from error
    return sock


def loopback_names(sock: socket.socket) -> frozenset[str] | None:
    """The names by which a socket that only this machine reaches may be called; None for one that others reach.

    A web page whose own name was made to point at this machine calls it by that name.
    """
    address = ipaddress.ip_address(sock.getsockname()[0])
    return frozenset({"localhost", "127.0.0.1", "[::1]", str(address)}) if address.is_loopback else None


def remove(path: str) -> None:
    """Remove a socket file of ours."""
    with contextlib.suppress(OSError):
        os.unlink(path)


def place_link(link: str, target: str) -> bool:
    """Put a symlink at a path, if nothing is there but an old one of ours. Whether it is there now."""
    try:
        if os.path.islink(link) and os.readlink(link) == target:
            return True
        os.symlink(target, link)
    except OSError:
        return (
            False  # something else is there, or the directory is missing: both are somebody else's business
        )
    return True


def remove_link(link: str, target: str) -> None:
    """Remove it, if it is still ours."""
    with contextlib.suppress(OSError):
        if os.readlink(link) == target:
            os.unlink(link)
