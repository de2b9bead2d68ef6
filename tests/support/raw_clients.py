"""Requests as somebody sends them who does not use the library, and so is not held back by it.

    python -m tests.support.raw_clients '[["http", SOCKET, METHOD, TARGET, BODY], ["store", SOCKET, OP, [PART, …]]]'

prints the answers as a JSON list: [status, reason, text] of HTTP, [type, text] of the store (null where one may not
connect),
whose type is the request's, or 16 for an error. A BODY that is no text is sent as JSON. Standard library only.
"""

from __future__ import annotations

import http.client
import json
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

ERROR = 16
READ, WATCH, WRITE, MKDIR, RM, SET_PERMS = 2, 4, 11, 12, 13, 14


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self._path)


def ask_http(path: str, method: str, target: str, body: Any = None) -> list[Any]:
    """One request on a connection of its own: [status, reason, text]."""
    connection = _Connection(path)
    headers = {}
    if isinstance(body, str):
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    elif body is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(body)
    try:
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        return [answer.status, answer.reason, answer.read().decode()]
    except PermissionError:
        return [None, "refused", ""]
    finally:
        connection.close()


def ask_store(path: str, op: int, parts: list[str]) -> list[Any]:
    """One request on a connection of its own; a write's value goes without a zero byte. [type, text]."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(60)
    with sock:
        try:
            sock.connect(path)
        except PermissionError:
            return [None, "refused"]
        payload = b"".join(part.encode() + b"\0" for part in parts)
        if op == WRITE:
            payload = payload[:-1]
        sock.sendall(struct.pack("<IIII", op, 1, 0, len(payload)) + payload)
        kind, _, _, size = struct.unpack("<IIII", _exactly(sock, 16))
        return [kind, _exactly(sock, size).decode("utf-8", "backslashreplace").rstrip("\0")]


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            raise EOFError("the store closed the connection")
        data += more
    return data


def main() -> None:
    """Carry out what the first argument says."""
    ways: dict[str, Callable[..., list[Any]]] = {"http": ask_http, "store": ask_store}
    print(json.dumps([ways[kind](*arguments) for kind, *arguments in json.loads(sys.argv[1])]))


if __name__ == "__main__":
    main()
