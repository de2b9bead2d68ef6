"""`purevirt console` at a real terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

import purevirt
from purevirt import testing

ENVIRONMENT = {"PYTHONPATH": str(Path(purevirt.__file__).resolve().parents[1]), "PATH": "/usr/bin:/bin"}
PATIENCE = 30


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(empty=True) as host:
        host.create_domain("web")
        yield host


class Seat:
    """A terminal with the command at it."""

    def __init__(self, host: testing.Host, *arguments: str) -> None:
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "purevirt", "-c", host.uri, "console", *arguments],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env=ENVIRONMENT,
        )

    def until(self, wanted: bytes) -> None:
        while wanted not in self.seen:
            self.seen += os.read(self.master, 4096)

    def type(self, data: bytes) -> None:
        os.write(self.master, data)

    def end(self) -> int:
        status = self.process.wait(PATIENCE)
        assert termios.tcgetattr(self.slave) == self.before
        os.close(self.slave)
        os.close(self.master)
        return status


def test_typing_and_the_escape_key(host: testing.Host) -> None:
    seat = Seat(host, "web")
    seat.until(b"Escape character is ^] (Ctrl + ])\r\n")
    seat.until(b"up\r\n")
    seat.type(b"echo hello there\r")
    seat.until(b"\r\nhello there\r\n# ")
    seat.type(b"\x1d")
    assert seat.end() == 0
    assert seat.seen.startswith(b"Connected to domain 'web'\r\n")


def test_the_escape_key_works_at_a_guest_that_takes_nothing(host: testing.Host) -> None:
    with purevirt.open(host.uri) as connection:
        connection.lookup_by_name("web").suspend()
    seat = Seat(host, "web")
    seat.until(b"up\r\n")
    for _ in range(400):  # more than terminals and rings hold
        seat.type(b"x" * 500)
    seat.type(b"\x1d")
    assert seat.end() == 0


def test_the_domain_stops(host: testing.Host) -> None:
    seat = Seat(host, "web")
    seat.until(b"up\r\n")
    host.destroy("web")
    seat.until(b"domain 'web' has stopped\r\n")
    assert seat.end() == 0


def test_it_is_taken_over_by_force(host: testing.Host) -> None:
    first = Seat(host, "web")
    first.until(b"up\r\n")
    second = Seat(host, "web", "--force")
    second.until(b"Escape character")
    assert first.end() == 5
    second.type(b"echo mine\r")
    second.until(b"\r\nmine\r\n")
    second.type(b"\x1d")
    assert second.end() == 0


def test_a_signal_restores_the_terminal(host: testing.Host) -> None:
    seat = Seat(host, "web", "--escape", "^A")
    seat.until(b"up\r\n")
    seat.process.send_signal(signal.SIGTERM)
    assert seat.end() == 128 + signal.SIGTERM


def test_it_goes_on_with_the_rebooted_domain(host: testing.Host) -> None:
    seat = Seat(host, "web", "--reconnect")
    seat.until(b"up\r\n")
    with purevirt.open(host.uri) as connection:
        connection.lookup_by_name("web").reboot()
    seat.until(b"waiting until it runs again")
    seat.seen = b""
    seat.until(b"up\r\n")
    seat.type(b"echo back\r")
    seat.until(b"\r\nback\r\n")
    seat.type(b"\x1d")
    assert seat.end() == 0


def test_a_reboot_is_an_end_too(host: testing.Host) -> None:
    seat = Seat(host, "web")
    seat.until(b"up\r\n")
    with purevirt.open(host.uri) as connection:
        connection.lookup_by_name("web").reboot()
    seat.until(b"domain 'web' has stopped\r\n")
    assert seat.end() == 0


def test_it_waits_for_another_console_daemon(host: testing.Host) -> None:
    again = Seat(host, "web", "--reconnect")
    again.until(b"up\r\n")
    host.kill("xenconsoled")
    again.until(b"the console of domain 'web' has ended: waiting for its daemon")
    again.seen = b""
    host.restart("xenconsoled")
    again.until(b"Connected to domain 'web'")
    again.type(b"echo back\r")
    again.until(b"\r\nback\r\n")
    again.type(b"\x1d")
    assert again.end() == 0
    once = Seat(host, "web")
    once.until(b"Escape character")
    host.kill("xenconsoled")
    once.until(b"and the domain runs: its console daemon was stopped")
    assert once.end() == 5


def test_without_a_terminal_it_only_prints(host: testing.Host) -> None:
    command = [sys.executable, "-m", "purevirt", "-c", host.uri, "console", "web"]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    ) as copying:
        assert copying.stdout is not None
        assert b"booting" in copying.stdout.readline()
        host.destroy("web")
        out, err = copying.communicate(timeout=PATIENCE)
    assert copying.returncode == 0
    assert b"Connected" not in out
    assert err.endswith(b"domain 'web' has stopped\n")


def test_a_pipe_is_no_terminal(host: testing.Host) -> None:
    command = [sys.executable, "-m", "purevirt", "-c", host.uri, "console", "web"]
    done = subprocess.run(
        command, check=False, input=b"ls\n", capture_output=True, env=ENVIRONMENT, timeout=PATIENCE
    )
    assert done.returncode == 2
    assert b"standard input is no terminal" in done.stderr
    done = subprocess.run(
        [*command, "--escape", "ESC"],
        check=False,
        input=b"",
        capture_output=True,
        env=ENVIRONMENT,
        timeout=PATIENCE,
    )
    assert (done.returncode, b"is no key" in done.stderr) == (2, True)
