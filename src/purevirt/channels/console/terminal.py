"""A console's terminal, opened: raw, non-blocking, and not shared with `xl console`.

Two readers of one terminal each get a part of the bytes. So Xen's `xenconsole` takes a lock: flock on
/var/lock/xenconsole.DOMID, one for all consoles of a domain, whose file it removes when it ends. A lock is good only if
the file is still the one that has the name. The same is done here, so either program keeps the other out.

Who takes a console over by force ends an `xenconsole` that has it, by SIGTERM, as a person would. Of anything else it
removes the lock's file and makes its own: the other, if it is one of us, finds its file gone to another (`kept`) and
ends. Whatever heeds no lock goes on reading, and gets a part.

Source: what Debian's xenconsole of Xen 4.17 calls (flock, fstat, stat).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
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

        With `force` it is taken from the other.
        """
        lock_path = f"{root}{LOCKS}{domid}"
        lock = _locked(lock_path)
        if lock is None and force:
            lock = _taken(lock_path)
        elif lock is None:
            raise WrongState(
                f"another program reads the console of domain {domid} (it holds {lock_path}); "
                "with force it is taken from it",
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

    def kept(self) -> bool:
        """Whether it has not been taken over; to be asked now and then."""
        if self._lock is None:
            self._lock = _locked(
                self._lock_path
            )  # an `xenconsole` that was ended has let it go by now, or not yet
            return True
        return _has_name(self._lock, self._lock_path) is not False

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
        except BlockingIOError:
            os.close(fd)
            return None
        if _has_name(fd, path):
            return fd
        os.close(fd)  # whoever had it has removed it just now


def _unlock(path: str, lock: int | None) -> None:
    if lock is not None:
        with contextlib.suppress(OSError):
            if _has_name(lock, path):
                os.unlink(path)
        os.close(lock)


def _has_name(lock: int, path: str) -> bool | None:
    """Whether this file is the one of that name; None: there is none."""
    try:
        return os.path.samestat(os.fstat(lock), os.stat(path))
    except FileNotFoundError:
        return None


def _taken(path: str) -> int | None:
    """Take the lock from whoever has it. None: an `xenconsole` that is about to let it go."""
    try:
        holder = _holder(path)
        if holder is not None and _command(holder) == "xenconsole":
            os.kill(holder, signal.SIGTERM)
            return None
        os.unlink(path)
    except (FileNotFoundError, ProcessLookupError):
        pass  # it has ended meanwhile
    return _locked(path)


def _holder(path: str) -> int | None:
    """The process that holds a lock on a file. FileNotFoundError: there is no such file.

    A line of /proc/locks: `1: FLOCK  ADVISORY  WRITE 708 00:19:1234 0 EOF` (Linux, fs/locks.c).
    """
    found = os.stat(path)
    name = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with open("/proc/locks", encoding="ascii", errors="replace") as file:
        for line in file:
            words = line.split()
            if words[1:2] == ["FLOCK"] and name in words[4:] and words[4].isdigit():
                return int(words[4])
    return None


def _command(process: int) -> str:
    with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()


def _unopened(path: str, reason: str, number: int | None) -> ConnectError:
    return ConnectError(
        f"cannot open the console at {path}: {reason}",
        operation="console",
        channel="console",
        path=path,
        errno=number,
    )
