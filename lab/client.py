"""Runs commands in Domain 0: one TCP connection to the agent, one command. Protocol: lab/dom0/frames.py."""

from __future__ import annotations

import json
import selectors
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lab.dom0 import frames
from lab.errors import LabError

#: How much longer than the agent the client waits: the agent knows better why a command was ended.
_GRACE_SECONDS = 30.0
_CHUNK = 65536


@dataclass(frozen=True, slots=True)
class Result:
    """A finished command, its output as bytes."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes


class CommandFailed(LabError):
    """A command in Domain 0 failed. Has `argv`, `stdout`, `stderr` and `status`: None when it was killed."""

    def __init__(
        self, argv: Sequence[str], status: int | None, stdout: str, stderr: str, why: str = ""
    ) -> None:
        self.argv, self.status, self.stdout, self.stderr = tuple(argv), status, stdout, stderr
        parts = [f"in Domain 0: {shlex.join(argv)[:400]}: {why or f'status {status}'}"]
        parts += [
            f"--- {name}\n{text[-6000:].rstrip()}"
            for name, text in (("stdout", stdout), ("stderr", stderr))
            if text.strip()
        ]
        super().__init__("\n".join(parts))


@dataclass(frozen=True, slots=True)
class Client:
    """Where the agent is and the token that it asks for."""

    port: int
    token: str

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout: float | None = 60,
        data: bytes = b"",
        env: Mapping[str, str] | None = None,
        user: str | None = None,
        cwd: str | None = None,
        on_output: Callable[[bytes, bytes], None] | None = None,
    ) -> Result:
        """Run a command to its end, whatever its status.

        `timeout` is in seconds; a command that takes longer is killed and CommandFailed raised, as it is when
        the command cannot be started; LabError when the agent does not answer. `on_output` gets each piece of
        output as it comes, as (b"O" or b"E", data).
        """
        request = {"token": self.token, "argv": list(argv), "timeout": timeout, "env": dict(env or {})}
        request |= {"user": user, "cwd": cwd}
        deadline = None if timeout is None else time.monotonic() + timeout + _GRACE_SECONDS
        gathered: dict[bytes, list[bytes]] = {b"O": [], b"E": []}
        try:
            for kind, body in self._exchange(request, data, deadline):
                if kind == b"X":
                    end = json.loads(body)
                    stdout, stderr = b"".join(gathered[b"O"]), b"".join(gathered[b"E"])
                    if end["status"] is None:
                        raise CommandFailed(argv, None, text(stdout), text(stderr), end["error"])
                    return Result(tuple(argv), end["status"], stdout, stderr)
                gathered[kind].append(body)
                if on_output is not None:
                    on_output(kind, body)
        except OSError as error:
            raise LabError(
                f"in Domain 0: {shlex.join(argv)[:400]}: the agent does not answer: {error}"
            ) from error
        raise LabError(f"in Domain 0: {shlex.join(argv)[:400]}: the agent closed the connection")

    def connect(self) -> socket.socket:
        """A connection to the agent, nothing sent yet."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def _exchange(
        self, request: Mapping[str, object], data: bytes, deadline: float | None
    ) -> Iterator[tuple[bytes, bytes]]:
        """Send request and input while yielding the frames that come back, until the connection ends."""
        outgoing = memoryview(_pack_request(request, data))
        decoder = frames.Frames()
        with self.connect() as connection, selectors.DefaultSelector() as selector:
            connection.setblocking(False)
            selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
            while True:
                wait = None if deadline is None else deadline - time.monotonic()
                if wait is not None and wait <= 0:
                    raise TimeoutError("no answer within the deadline")
                for _key, events in selector.select(wait):
                    if events & selectors.EVENT_WRITE:
                        outgoing = outgoing[connection.send(outgoing[:_CHUNK]) :]
                        if not outgoing:
                            selector.modify(connection, selectors.EVENT_READ)
                    if events & selectors.EVENT_READ:
                        received = connection.recv(_CHUNK)
                        if not received:
                            return
                        yield from decoder.feed(received)


def text(output: bytes) -> str:
    """A command's output as text, whatever bytes it holds."""
    return output.decode(errors="backslashreplace")


def _pack_request(request: Mapping[str, object], data: bytes) -> bytes:
    parts = [frames.pack(b"R", json.dumps(request).encode())]
    parts += [frames.pack(b"I", data[at : at + _CHUNK]) for at in range(0, len(data), _CHUNK)]
    return b"".join([*parts, frames.pack(b"I", b"")])
