"""The protocol between the lab and its agent in Domain 0, used by both ends.

Either side sends frames: one byte of kind, four of length (big endian), then the data. A connection carries
one command.

    client:  R  the request, JSON: token, argv, timeout, env, user, cwd, pty
             I  input for the command; an empty one closes its standard input
             W  the terminal's new size, JSON [rows, columns]                      (only with pty)
    agent:   O  output     E  error output
             X  the end, JSON: {"status": n} or {"status": null, "error": text}
"""

from __future__ import annotations

import socket
import struct

#: Where the agent listens, in Domain 0.
PORT = 7070
_HEADER = struct.Struct(">cI")


class Frames:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """The frames that `data` completes, as (kind, body)."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= _HEADER.size:
            kind, length = _HEADER.unpack_from(self._buffer)
            end = _HEADER.size + length
            if len(self._buffer) < end:
                break
            frames.append((kind, bytes(self._buffer[_HEADER.size : end])))
            del self._buffer[:end]
        return frames


def read_frame(connection: socket.socket) -> tuple[bytes, bytes]:
    """Exactly one frame; raises EOFError when the client closes before its end."""
    kind, length = _HEADER.unpack(_read(connection, _HEADER.size))
    return kind, _read(connection, length)


def _read(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def pack(kind: bytes, body: bytes) -> bytes:
    """One frame as bytes."""
    return _HEADER.pack(kind, len(body)) + body


def send(connection: socket.socket, kind: bytes, body: bytes) -> None:
    """Send one frame."""
    connection.sendall(pack(kind, body))
