"""What is under a transport: a Unix socket, or the kernel's xenbus device. Both are non-blocking.

The device (/dev/xen/xenbus) gives a domain's user space the kernel's own connection to the Xen Store; Domain
0 has it too. It is no byte stream, and its ways are traps (Linux, drivers/xen/xenbus/xenbus_dev_frontend.c):

- A write must be exactly one message: bytes after the first message of a write are thrown away, and one of
  more than 4096 bytes, header included, is refused. So a payload has at most 4080 bytes here.
- There is no pipelining. The kernel queues a request *without copying its body*, and the next write overwrites
  it: of two requests in one go, the first may be sent with the second's path (seen with Linux 6.1). So each
  waits for the reply to the one before (`one_at_a_time`), even if nobody else waits for that any more.
- A write never waits for room and never says that it would; polling for "writable" waits for ever, because
  the device does not report it. A write that fails does so with the errno that a server would have replied:
  `Refused` carries it.
- Reads are a stream and may return several messages, or (old kernels queue header and body apart) part of
  one. A read of 0 bytes blocks when nothing is there: never do that.
- Watches are the kernel's: a second one of the same path and token, and removing one that is not there, are no
  errors here as they are over a socket.
- The ids of watch events are uninitialised, and old kernels answer WATCH and UNWATCH with id 0; see
  `pipeline`.
"""

from __future__ import annotations

import _socket  # the C half is all we use; the Python half takes longer to import than to connect
import errno
import io
import os
import stat
from collections.abc import Callable

from purevirt._typing import Protocol
from purevirt.channels.unix import StrPath, explain
from purevirt.channels.xenstore.transport import CHANNEL, WHAT
from purevirt.wire.xenstore.errnos import ERRNOS, error_payload
from purevirt.wire.xenstore.packets import HEADER, MAX_PAYLOAD, Op, encode

__all__ = [
    "DEVICE_MAX_PAYLOAD",
    "HINT",
    "DeviceLink",
    "Link",
    "Refused",
    "SocketLink",
    "is_device",
    "open_device",
]

DEVICE_MAX_PAYLOAD = 4096 - HEADER.size

_SEND_BUFFER = 4096

HINT = "run as root, or let the Xen daemon serve a read-only socket"


class Refused(Exception):
    """The device refused one message of `size` bytes; `reply` is what a server would have sent."""

    def __init__(self, size: int, reply: bytes) -> None:
        super().__init__(size, reply)
        self.size = size
        self.reply = reply


class Link(Protocol):
    """A connection's file descriptor and how to use it. Every method may raise OSError."""

    max_payload: int
    can_shutdown: bool
    one_at_a_time: bool
    """Whether a request may only be sent when all before it have been answered."""

    def fileno(self) -> int: ...

    def receive(self, size: int, /) -> bytes:
        """Up to `size` bytes; b"" at the end of the stream; BlockingIOError if there is nothing now."""

    def send(self, data: bytes | memoryview) -> int:
        """Send some of the packets (of a device: the first); how many bytes. BlockingIOError, Refused."""

    def tell_when_read(self) -> None:
        """Let "writable" mean "the other side has read all that was sent", if that is possible."""

    def shutdown(self) -> None:
        """Wake whoever waits on the link, and let no more pass."""

    def close(self) -> None: ...


class SocketLink:
    """A connected stream socket."""

    __slots__ = ("_socket", "can_shutdown", "max_payload", "one_at_a_time", "receive")

    def __init__(self, sock: _socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self.receive: Callable[[int], bytes] = sock.recv
        self.max_payload = MAX_PAYLOAD
        self.can_shutdown = True
        self.one_at_a_time = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, data: bytes | memoryview) -> int:
        # MSG_NOSIGNAL: a program that restored SIGPIPE, as command lines do, must not die of a daemon's
        # restart.
        return self._socket.send(data, _socket.MSG_NOSIGNAL)

    def tell_when_read(self) -> None:
        # Linux calls a Unix socket writable while a quarter of its send buffer is in flight; a packet in
        # flight counts for some 3 KiB there, so of so small a buffer each is more than a quarter.
        self._socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDBUF, _SEND_BUFFER)

    def shutdown(self) -> None:
        try:
            self._socket.shutdown(_socket.SHUT_RDWR)
        except OSError:
            pass  # the other side was faster

    def close(self) -> None:
        self._socket.close()


class DeviceLink:
    """An open xenbus device, or in tests whatever behaves like it."""

    __slots__ = ("_file", "can_shutdown", "max_payload", "one_at_a_time")

    def __init__(self, file: io.FileIO) -> None:
        os.set_blocking(file.fileno(), False)
        self._file = file  # closes itself, with a warning, if it is forgotten
        self.max_payload = DEVICE_MAX_PAYLOAD
        self.can_shutdown = False
        self.one_at_a_time = True

    def fileno(self) -> int:
        return self._file.fileno()

    def receive(self, size: int, /) -> bytes:
        return os.read(self._file.fileno(), size)

    def _write(self, data: bytes | memoryview) -> int:
        return os.write(self._file.fileno(), data)

    def send(self, data: bytes | memoryview) -> int:
        _, req_id, tx_id, length = HEADER.unpack_from(data)
        size: int = HEADER.size + length
        try:
            return self._write(data[:size])
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EBADF, errno.ENODEV):
                raise
            name = errno.errorcode.get(error.errno or 0, "EIO")
            reply = error_payload(name if name in ERRNOS else "EIO")
            raise Refused(size, encode(Op.ERROR, req_id, tx_id, reply)) from error

    def tell_when_read(self) -> None:
        pass

    def shutdown(self) -> None:
        pass  # the device has no such thing: whoever waits on it waits on a pipe as well

    def close(self) -> None:
        self._file.close()


def is_device(path: StrPath) -> bool:
    """Whether the path is a character device. False if it is not there: connecting will say so."""
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def open_device(path: StrPath) -> DeviceLink:
    """Open a xenbus device. ConnectError says what is wrong with it."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise explain(error, path, what=WHAT, channel=CHANNEL, hint=HINT) from error
    return DeviceLink(io.FileIO(fd, "r+"))
