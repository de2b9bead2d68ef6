"""Hypercalls over a Unix socket to a simulated hypervisor, blocking.

Threads may share the connection: a call holds it from its first byte to its answer. An answer that comes
after its call has timed out is dropped, by its id. What cuts a frame in two ends the connection: a timeout
while sending, or an interrupt (KeyboardInterrupt) at any moment of a call, since nobody could say where the
next frame begins.
"""

from __future__ import annotations

import _socket
from _thread import allocate_lock  # threading.Lock, without the import of threading

from purevirt.channels.hypercall.transport import CAPACITY, CHANNEL, SOCKET_BASE, WHAT, Deadline
from purevirt.channels.unix import StrPath, connect, fork_generation
from purevirt.errors import Closed, RemoteProtocolError, Timeout
from purevirt.wire.hypercall.frames import HELLO_SIZE, AnswerDecoder, decode_hello, encode_call
from purevirt.wire.hypercall.values import Answer, Hypercall

__all__ = ["SocketTransport"]


class SocketTransport:
    """A simulated hypervisor, for threads."""

    __slots__ = ("_decoder", "_generation", "_id", "_lock", "_reason", "_socket", "arch", "base", "capacity")

    def __init__(self, sock: _socket.socket, arch: str) -> None:
        self._socket = sock
        self._decoder = AnswerDecoder()
        self._lock = allocate_lock()
        self._generation = fork_generation()
        self._reason: str | None = None
        self._id = 0
        self.arch = arch
        self.base = SOCKET_BASE
        self.capacity = CAPACITY

    @classmethod
    def connect(cls, path: StrPath, timeout: float | None) -> SocketTransport:
        """ConnectError, Timeout, or RemoteProtocolError if something else than a hypervisor listens there."""
        deadline = Deadline(timeout)
        sock = connect(path, timeout=timeout, what=WHAT, channel=CHANNEL)
        try:
            hello = b""
            while len(hello) < HELLO_SIZE:
                _set_timeout(sock, deadline)
                data = sock.recv(HELLO_SIZE - len(hello))
                if not data:
                    break
                hello += data
            return cls(sock, decode_hello(hello))
        except TimeoutError:
            sock.close()
            raise _timed_out(deadline, "connect") from None
        except OSError as error:
            sock.close()
            raise Closed(
                f"{WHAT} closed the connection: {error.strerror}", channel=CHANNEL, errno=error.errno
            ) from error
        except BaseException:
            sock.close()
            raise

    async def call(self, hypercall: Hypercall, timeout: float | None) -> Answer:
        deadline = Deadline(timeout)
        self._check()
        if not self._lock.acquire(timeout=-1 if timeout is None else timeout):
            raise _timed_out(deadline, None)
        try:
            self._check()
            self._id = call_id = self._id + 1 & 0xFFFFFFFF
            frame = encode_call(call_id, hypercall)
            try:
                return self._exchange(frame, call_id, deadline)
            except (Timeout, Closed):
                raise
            except BaseException:
                self._end("interrupted in the middle of a call")
                raise
        finally:
            if self._reason is not None:
                self._socket.close()
            self._lock.release()

    def _exchange(self, frame: bytes, call_id: int, deadline: Deadline) -> Answer:
        sock = self._socket
        try:
            _set_timeout(sock, deadline)
            sock.sendall(frame)
        except TimeoutError:
            self._end("cut by a timeout in the middle of a call")
            raise _timed_out(deadline, None) from None
        except OSError as error:
            raise self._lost(error) from error
        while True:
            try:
                _set_timeout(sock, deadline)
                data = sock.recv(1 << 18)
            except TimeoutError:
                raise _timed_out(deadline, None) from None
            except OSError as error:
                raise self._lost(error) from error
            if not data:
                raise self._lost(None)
            try:
                self._decoder.feed(data)
                while (found := self._decoder.next()) is not None:
                    if found[0] == call_id:
                        return found[1]
            except RemoteProtocolError as error:
                self._end(f"broken: {error}")
                raise

    def close(self) -> None:
        if self._reason is None:
            self._reason = "closed"
            if self._generation == fork_generation():
                try:
                    self._socket.shutdown(_socket.SHUT_RDWR)
                except OSError:
                    pass

            elif self._lock.locked():
                # It was locked by a thread of the parent, which does not exist here.
                self._lock = allocate_lock()
        # A thread in the middle of a call wakes up, and closes the socket itself: closed under its feet, the
        # descriptor might already be another file's.
        if self._lock.acquire(blocking=False):
            self._socket.close()
            self._lock.release()

    def _check(self) -> None:
        if self._generation != fork_generation():
            raise Closed(
                f"this connection to {WHAT} was made before a fork: open another one in the child",
                channel=CHANNEL,
            )
        if self._reason is not None:
            raise Closed(f"the connection to {WHAT} is {self._reason}", channel=CHANNEL)

    def _lost(self, error: OSError | None) -> Closed:
        self._end(f"lost: {WHAT} closed it" if error is None else f"lost: {error.strerror or error}")
        return Closed(
            f"the connection to {WHAT} is {self._reason}",
            channel=CHANNEL,
            errno=None if error is None else error.errno,
        )

    def _end(self, reason: str) -> None:
        if self._reason is None:
            self._reason = reason


def _set_timeout(sock: _socket.socket, deadline: Deadline) -> None:
    left = deadline.left()
    if left == 0.0:
        raise TimeoutError
    sock.settimeout(left)


def _timed_out(deadline: Deadline, operation: str | None) -> Timeout:
    return Timeout(
        f"{WHAT} did not answer within {deadline.timeout or 0:g} s", operation=operation, channel=CHANNEL
    )
