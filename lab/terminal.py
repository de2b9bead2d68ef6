"""`python -m lab shell`: a terminal in Domain 0, joined to the one this process has."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import sys
import termios
import tty
from collections.abc import Iterator

from lab.client import Client
from lab.dom0 import frames
from lab.errors import LabError


def attach(client: Client, argv: list[str]) -> int:
    """Run `argv` on a terminal of its own in Domain 0 and be its keyboard and screen; returns its status."""
    env = {"TERM": os.environ.get("TERM", "linux")}
    request = {"token": client.token, "argv": argv, "env": env, "timeout": None, "pty": True, "cwd": "/root"}
    keyboard = sys.stdin.fileno()
    decoder = frames.Frames()
    with client.connect() as connection, _raw(keyboard), selectors.DefaultSelector() as selector:
        connection.settimeout(None)

        def send_size(*_: object) -> None:
            with contextlib.suppress(OSError):  # not a terminal
                size = os.get_terminal_size(keyboard)
                frames.send(connection, b"W", json.dumps([size.lines, size.columns]).encode())

        frames.send(connection, b"R", json.dumps(request).encode())
        send_size()
        signal.signal(signal.SIGWINCH, send_size)
        selector.register(connection, selectors.EVENT_READ)
        selector.register(keyboard, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select():
                if key.fd == keyboard:
                    typed = os.read(keyboard, 4096)
                    if typed:
                        frames.send(connection, b"I", typed)
                    else:  # the end of a script on standard input: what ^D is on a terminal
                        selector.unregister(keyboard)
                        frames.send(connection, b"I", b"\x04")
                    continue
                data = connection.recv(65536)
                if not data:
                    raise LabError("the agent closed the connection")
                for kind, body in decoder.feed(data):
                    if kind != b"X":
                        os.write(sys.stdout.fileno(), body)
                        continue
                    end = json.loads(body)
                    if end["status"] is None:
                        raise LabError(end["error"])
                    return int(end["status"])


@contextlib.contextmanager
def _raw(fd: int) -> Iterator[None]:
    """The terminal in raw mode, so that ^C and the like reach Domain 0."""
    if not os.isatty(fd):
        yield
        return
    before = termios.tcgetattr(fd)
    tty.setraw(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)
