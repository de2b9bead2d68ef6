"""What the service manager hears: sd_notify's messages, and a watchdog that stays silent when it should."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from purevirt.daemons.xend.notify import Notifier
from purevirt.daemons.xend.watchdog import Watchdog
from purevirt.errors import ChannelUnavailable, Timeout
from tests.daemons.xend.world import both, until


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """A service manager's address, and its socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.settimeout(10)
        if request.param == "path":
            address = f"{tmp_path}/notify"
            sock.bind(address)
        else:
            address = f"@purevirt-test-{os.getpid()}-{id(sock)}"
            sock.bind(f"\0{address[1:]}")
        yield address, sock


def test_each_message(manager: tuple[str, socket.socket]) -> None:
    address, sock = manager
    notifier = Notifier(address, 1.0)
    before = time.monotonic_ns() // 1000
    notifier.ready("serving on\n/run/x\nWATCHDOG=1")
    notifier.reloading()
    notifier.status("größe")
    notifier.alive()
    notifier.stopping()
    found = [sock.recv(4096).decode().split("\n") for _ in range(5)]
    (name, usec) = found[1][1].split("=")
    assert name == "MONOTONIC_USEC"
    assert before <= int(usec) <= time.monotonic_ns() // 1000
    assert [found[0], found[1][:1], *found[2:]] == [
        ["READY=1", "STATUS=serving on /run/x WATCHDOG=1"],
        ["RELOADING=1"],
        ["STATUS=größe"],
        ["WATCHDOG=1"],
        ["STOPPING=1", "STATUS=ending"],
    ]


def test_the_environment_is_read_and_not_handed_on() -> None:
    environment = {
        "NOTIFY_SOCKET": "/x",
        "WATCHDOG_USEC": "500000",
        "WATCHDOG_PID": str(os.getpid()),
        "HOME": "/",
    }
    assert Notifier.from_environment(environment).watchdog == 0.5
    assert environment == {"HOME": "/"}


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"WATCHDOG_USEC": "500000"},
        {"NOTIFY_SOCKET": "/x"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "-1"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"},
        {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "500000", "WATCHDOG_PID": "1"},
    ],
)
def test_nobody_watches(environment: dict[str, str]) -> None:
    assert Notifier.from_environment(dict(environment)).watchdog is None


def test_nobody_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Notifier.from_environment({}).ready("x")
    assert not caplog.records
    Notifier.from_environment({"NOTIFY_SOCKET": "vsock:2:1234"}).ready("x")
    assert "'vsock:2:1234'" in caplog.records.pop().getMessage()
    gone = Notifier(f"{tmp_path}/gone")
    gone.ready("x")
    gone.status("y")
    (record,) = caplog.records  # said once
    assert record.getMessage().startswith("the service manager cannot be told READY=1: ")


# --- the watchdog


class Heard(Notifier):
    """Keeps what it is to send."""

    def __init__(self) -> None:
        super().__init__("/x", 8.0)
        self.lines: list[str] = []

    def _send(self, *lines: str) -> None:
        self.lines += lines


def test_the_watchdog_speaks_only_while_all_answers(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    answers: list[Exception | None] = [
        None,
        Timeout("the store is silent"),
        ChannelUnavailable("it is gone"),
        ZeroDivisionError("a fault"),
        None,
        None,
    ]
    rests: list[float] = []
    heard = Heard()

    async def prove(timeout: float) -> None:
        assert timeout == 2.0
        error = answers.pop(0)
        if error is not None:
            raise error

    async def rest(seconds: float) -> None:
        rests.append(seconds)
        if not answers:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(Watchdog(heard, 8.0, prove, "serving", rest=rest).run())
    assert heard.lines == [
        "WATCHDOG=1",
        "STATUS=does not answer: the store is silent",
        "STATUS=serving",
        "WATCHDOG=1",
        "WATCHDOG=1",
    ]
    assert rests == [4.0, 0.8, 0.8, 0.8, 4.0, 4.0]
    assert max(rests) + 2.0 < 8.0  # even after a slow answer it is in time


def test_a_service_proves_that_it_is_of_use(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(50), both(tmp_path) as (host, daemon):
            service = daemon.service
            await service.prove(5.0)
            host.kill_xenstored()
            with pytest.raises(ChannelUnavailable, match="lost its host"):
                await service.prove(5.0)
            with pytest.raises(ChannelUnavailable):
                await service.prove(5.0)
            host.start_xenstored()
            await until(lambda: service.link._driver is not None)
            await service.prove(5.0)
            await host.stop_hypervisor()
            with pytest.raises(ChannelUnavailable):
                await service.prove(5.0)
            await host.start_hypervisor()
            await until(lambda: service.link._driver is not None)
            await service.prove(5.0)
            accepting = service._servers[0]._accepting
            assert accepting is not None
            accepting.cancel()
            await asyncio.gather(accepting, return_exceptions=True)
            with pytest.raises(ChannelUnavailable, match="accepts nobody"):
                await service.prove(5.0)

    asyncio.run(main())
