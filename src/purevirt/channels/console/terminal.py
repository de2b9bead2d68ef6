"""A console's terminal, opened: raw, non-blocking, and not shared with `xl console`.

Two readers of one terminal each get a part of the bytes. So Xen's `xenconsole` takes a lock: flock on
/var/lock/xenconsole.DOMID, one for all consoles of a domain. A lock is good only if the file is still the one that has
the name. The same is done here, so either program keeps the other out.

Source: what Debian's xenconsole of Xen 4.17 calls (flock, fstat, stat).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import termios

from purevirt.errors import ConnectError, OperationError, WrongState

__all__ = ["LOCKS", "Terminal", "make_raw"]

LOCKS = "/var/lock/xenconsole."
"""What comes before a domain's id in the path of its lock."""

_READ = 65536


class Terminal:
    """The descriptor and its lock. Made by `open`."""

    __slots__ = ("_fd", "_lock", "_lock_path", "path")

    def __init__(self, path: str, fd: int, lock_path: str, lock: int | None) -> None:
        self.path = path
        self._fd = fd
        self._lock_path = lock_path
        self._lock = lock

    @classmethod
    def open(cls, path: str, domid: int, *, root: str = "", force: bool = False) -> Terminal:
        """Open it. WrongState: another program reads it, and `force` is not given. ConnectError: it cannot be opened.

        With `force` a lock that somebody holds is passed over: what is printed goes to one of the two.
        """
        lock_path = f"{root}{LOCKS}{domid}"
        lock = _locked(lock_path)
        if lock is None and not force:
            raise WrongState(
                f"another program reads the console of domain {domid} (it holds {lock_path}); "
                "with force it is read beside it, and each gets a part",
                operation="console",
                domain=str(domid),
                channel="console",
                path=lock_path,
            )
        try:
            fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            _unlock(lock_path, lock)
            raise _unopened(path, os.strerror(error.errno or 0).lower(), error.errno) from error
        try:
            make_raw(fd)
        except termios.error as error:
            os.close(fd)
            _unlock(lock_path, lock)
            raise _unopened(path, "it is no terminal", errno.ENOTTY) from error
        return cls(path, fd, lock_path, lock)

    @property
    def closed(self) -> bool:
        return self._fd < 0

    def fileno(self) -> int:
        return self._fd

    def receive(self) -> bytes:
        """What is there; b"" when it has ended. BlockingIOError: nothing yet."""
        try:
            return os.read(self._fd, _READ)
        except BlockingIOError:
            raise
        except OSError:
            return b""  # EIO: the other end was closed

    def send(self, data: bytes | memoryview) -> int:
        """Type as much as it takes now. BlockingIOError: nothing; OSError: it has ended."""
        return os.write(self._fd, data)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
            _unlock(self._lock_path, self._lock)


def make_raw(fd: int) -> None:
    """Bytes as they are, both ways, and no echo. termios.error: no terminal."""
    mode = termios.tcgetattr(fd)
    mode[0] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    mode[1] &= ~termios.OPOST
    mode[2] = mode[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    mode[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    termios.tcsetattr(fd, termios.TCSANOW, mode)


def _locked(path: str) -> int | None:
    """A descriptor that holds the lock; None: somebody else does. OperationError: it cannot be made."""
    while True:
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OperationError(
                f"cannot make the console's lock {path}: {os.strerror(error.errno or 0).lower()}",
                operation="console",
                channel="console",
                path=path,
                errno=error.errno,
            ) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), os.stat(path)):
                return fd
        except BlockingIOError:
            os.close(fd)
            return None
        except FileNotFoundError:
            pass  # whoever had it has removed it just now
        os.close(fd)


def _unlock(path: str, lock: int | None) -> None:
    if lock is not None:
        with contextlib.suppress(OSError):
            os.unlink(path)
        os.close(lock)


def _unopened(path: str, reason: str, number: int | None) -> ConnectError:
    return ConnectError(
        f"cannot open the console at {path}: {reason}",
        operation="console",
        channel="console",
        path=path,
        errno=number,
    )
