"""The daemon as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from purevirt.channels import unix
from purevirt.wire.xenstore import Op
from tests.daemons.xenstored.talk import packets, request

SOURCE = Path(__file__).resolve().parents[3] / "src"
DEADLINE = 20.0


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "purevirt.daemons.xenstored", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def daemon(directory: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A daemon that listens: its pidfile is a FIFO, which opens once it does."""
    ready = directory / "pid"
    os.mkfifo(ready)
    with start("--socket", directory / "socket", "--pidfile", ready, *arguments) as process:
        try:
            assert int(ready.read_text()) == process.pid
            yield process
        finally:
            process.kill()


def ask(path: Path, op: int, payload: bytes) -> bytes:
    with closing(unix.connect(path, timeout=DEADLINE, what="the Xen Store")) as sock:
        sock.settimeout(DEADLINE)
        sock.sendall(request(op, payload))
        (packet,) = packets(sock.recv(4096))
        return packet.payload


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_until_a_signal_and_cleans_up(tmp_path: Path, number: signal.Signals) -> None:
    with daemon(tmp_path, "--read-only-socket", tmp_path / "ro", "--quota", "nodes=7") as process:
        assert ask(tmp_path / "socket", Op.GET_QUOTA, b"nodes\0") == b"7\0"
        assert ask(tmp_path / "ro", Op.WRITE, b"/a\0") == b"EROFS\0"
        process.send_signal(number)
        assert process.wait(DEADLINE) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_socket_that_cannot_be_served_is_said(tmp_path: Path) -> None:
    with start("--socket", tmp_path / "missing" / "socket") as process:
        _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 5
    assert "cannot listen on" in said


def test_wrong_usage_is_said(tmp_path: Path) -> None:
    with start("--socket", tmp_path / "socket", "--quota", "bytes=1") as process:
        _, said = process.communicate(timeout=DEADLINE)
    assert process.returncode == 2
    assert "is not NAME=NUMBER" in said
