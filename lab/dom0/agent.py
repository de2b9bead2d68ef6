"""PID 1 of Domain 0, and the agent that runs commands there for the lab.

Runs inside Domain 0 on the Python of the image, standard library only. It prepares Domain 0, listens on TCP
and serves one command per connection. Files travel as the input and output of `tar`, so commands are all it
knows.

The protocol is in `frames`, its other end in lab/client.py. A client that goes away ends its command: the
process group is killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pwd
import selectors
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import traceback
from typing import Any

from lab.dom0.frames import PORT, Frames, read_frame, send
from lab.dom0.prepare import prepare

_CHUNK = 65536
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
}


def main() -> None:
    """PID 1 only reaps; a child does all else, so that reaping and waiting for commands never collide."""
    os.environ.update(_ENVIRONMENT)
    if os.getpid() == 1 and os.fork() != 0:
        while True:
            try:
                os.wait()
            except ChildProcessError:
                print("LAB-FAILED the agent ended", flush=True)
                time.sleep(3600)
    try:
        with open("/lab/config.json") as file:
            config = json.load(file)
        prepare(config)
        listen(config["token"])
    except BaseException:
        traceback.print_exc()
        print("LAB-FAILED Domain 0 could not be prepared", flush=True)


def listen(token: str) -> None:
    """Accept connections for ever, a thread each."""
    server = socket.create_server(("0.0.0.0", PORT), backlog=64)
    print("LAB-READY", flush=True)
    while True:
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=serve, args=(connection, token), daemon=True).start()


def serve(connection: socket.socket, token: str) -> None:
    """One connection: read the request, run the command, say how it ended."""
    with connection, contextlib.suppress(OSError, EOFError):
        connection.settimeout(30)
        kind, body = read_frame(connection)
        request = json.loads(body) if kind == b"R" else {}
        if request.get("token") != token:
            send(connection, b"X", json.dumps({"status": None, "error": "wrong token"}).encode())
            return
        connection.settimeout(None)
        try:
            command = Command(connection, request)
        except (OSError, KeyError) as error:
            end = {"status": None, "error": f"cannot run {request['argv'][0]}: {error}"}
        else:
            end = command.run()
        send(connection, b"X", json.dumps(end).encode())


class Command:
    """A running command, wired to a connection."""

    def __init__(self, connection: socket.socket, request: dict[str, Any]) -> None:
        self.connection = connection
        self.timeout: float | None = request.get("timeout")
        self.terminal: int | None = None
        options: dict[str, Any] = {"cwd": request.get("cwd") or "/", "start_new_session": True}
        options["env"] = {**_ENVIRONMENT, **(request.get("env") or {})}
        if request.get("user"):
            account = pwd.getpwnam(request["user"])
            groups = os.getgrouplist(account.pw_name, account.pw_gid)
            options |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
            options["env"] |= {"HOME": account.pw_dir, "USER": account.pw_name, **(request.get("env") or {})}
        if request.get("pty"):
            self.terminal, slave = os.openpty()
            # setsid --ctty: a shell wants a controlling terminal.
            argv = ["setsid", "--ctty", "--wait", *request["argv"]]
            self.process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, **options)
            os.close(slave)
            self.input: int | None = self.terminal
            self.outputs = {self.terminal: b"O"}
        else:
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(request["argv"], stdin=pipe, stdout=pipe, stderr=pipe, **options)
            assert self.process.stdin
            assert self.process.stdout
            assert self.process.stderr
            self.input = self.process.stdin.fileno()
            self.outputs = {self.process.stdout.fileno(): b"O", self.process.stderr.fileno(): b"E"}
        for fd in (self.input, *self.outputs):
            os.set_blocking(fd, False)
        self.frames = Frames()
        self.pending = bytearray()  # input that the command has not taken yet
        self.input_ended = False

    def run(self) -> dict[str, Any]:
        """Carry bytes both ways until the process ends; returns what the closing frame says."""
        pidfd = os.pidfd_open(self.process.pid)
        deadline = time.monotonic() + self.timeout if self.timeout is not None else None
        selector = selectors.DefaultSelector()
        selector.register(self.connection, selectors.EVENT_READ)
        selector.register(pidfd, selectors.EVENT_READ)
        for fd in self.outputs:
            selector.register(fd, selectors.EVENT_READ)
        writing = False
        try:
            while True:
                if self.input is not None and bool(self.pending) != writing:
                    writing = not writing
                    self._want_write(selector, writing)
                wait = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = {key.fd: mask for key, mask in selector.select(wait)}
                if deadline is not None and time.monotonic() >= deadline:
                    return {"status": None, "error": f"still running after {self.timeout:g} s; killed"}
                if self.input in ready and ready[self.input] & selectors.EVENT_WRITE:
                    self._feed()
                for fd in list(self.outputs):
                    if fd in ready and ready[fd] & selectors.EVENT_READ and not self._drain(fd):
                        selector.unregister(fd)
                if self.connection.fileno() in ready and not self._receive():
                    return {"status": None, "error": "the client went away"}
                if pidfd in ready:
                    # What the process wrote is in the pipes; a daemon it left may hold them open for ever.
                    for fd in list(self.outputs):
                        while self._drain(fd, once=True):
                            pass
                    return {"status": self.process.wait()}
        finally:
            selector.close()
            os.close(pidfd)
            self._close()

    def _want_write(self, selector: selectors.BaseSelector, writing: bool) -> None:
        assert self.input is not None
        if self.terminal is not None:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
            selector.modify(self.input, events)
        elif writing:
            selector.register(self.input, selectors.EVENT_WRITE)
        else:
            selector.unregister(self.input)
            if self.input_ended:
                self._close_input()

    def _receive(self) -> bool:
        """Take what the client sent; False when it is gone."""
        data = self.connection.recv(_CHUNK)
        for kind, body in self.frames.feed(data):
            if kind == b"I" and body:
                self.pending += body
            elif kind == b"I":
                self.input_ended = True
                if not self.pending and self.terminal is None:
                    self._close_input()
            elif kind == b"W" and self.terminal is not None:
                rows, columns = json.loads(body)
                fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        return bool(data)

    def _feed(self) -> None:
        assert self.input is not None
        try:
            del self.pending[: os.write(self.input, self.pending[:_CHUNK])]
        except BlockingIOError:
            pass
        except OSError:  # the command closed its input; the rest is for nobody
            self.pending.clear()
            self.input_ended = True

    def _drain(self, fd: int, once: bool = False) -> bool:
        """Send on what `fd` holds; False when it is at its end (or, with `once`, empty)."""
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return not once
        except OSError:  # EIO: the last process on a terminal is gone
            data = b""
        if not data:
            self.outputs.pop(fd, None)
            return False
        send(self.connection, self.outputs[fd], data)
        return True

    def _close_input(self) -> None:
        if self.process.stdin is not None and self.input is not None:
            self.input = None
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def _close(self) -> None:
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._close_input()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        if self.terminal is not None:
            os.close(self.terminal)
