"""The text console through both halves of the API, against a simulated guest that answers."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import purevirt
from purevirt import testing
from purevirt.errors import Closed, NoSuchDevice, ReadOnly, RemoteProtocolError, Timeout, WrongState

PATIENCE = 20.0


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(empty=True) as host:
        host.create_domain("web")
        yield host


@pytest.fixture
def web(host: testing.Host) -> Iterator[purevirt.Domain]:
    with purevirt.open(host.uri) as connection:
        yield connection.lookup_by_name("web")


def until(console: purevirt.Console, wanted: bytes) -> bytes:
    seen = b""
    while wanted not in seen:
        data = console.read(PATIENCE)
        assert data, (data, seen)
        seen += data
    return seen


def test_what_was_printed_before_and_the_answer_to_what_is_typed(web: purevirt.Domain) -> None:
    with web.console() as console:
        assert b"booting" in until(console, b"simulated kernel: up\r\n")
        console.write(b"echo one two\r")
        assert until(console, b"\r\none two\r\n# ").startswith(b"echo one two")
        assert console.read(0) is None


def test_asyncio_reads_and_writes_at_once(host: testing.Host) -> None:
    async def work() -> None:
        async with await purevirt.open_async(host.uri) as connection:
            web = await connection.lookup_by_name("web")
            async with await web.console() as console:
                seen = b""
                await console.write(b"echo a b\r")
                async for data in console:
                    seen += data
                    if b"\r\na b\r\n" in seen:
                        break
                while await console.read(0.05):
                    pass
                waiting = asyncio.create_task(console.read())
                await asyncio.sleep(0)
                await console.close()
                with pytest.raises(Closed):
                    await waiting

    asyncio.run(work())


def fill(console: purevirt.Console) -> None:
    while True:
        console.write(b"#" * 10000, timeout=0.5)


def test_a_paused_guest_takes_only_what_its_terminal_holds(web: purevirt.Domain) -> None:
    web.suspend()
    with web.console() as console:
        with pytest.raises(Timeout, match=r"did not take the last \d+ bytes within 0.5 s"):
            fill(console)
        assert console.send(b"x") == 0
        web.resume()
        console.write(b"x", timeout=PATIENCE)


def test_the_first_console_is_the_serial_port_that_qemu_serves(
    host: testing.Host, web: purevirt.Domain
) -> None:
    master, slave = os.openpty()
    home = f"/local/domain/{web.id()}"
    with purevirt.store.open(root=host.root) as store:
        store.write(f"{home}/serial/0/tty", os.ttyname(slave))
        with web.console() as console:
            assert console.path == os.ttyname(slave)
        with web.console("console0") as console:
            assert console.path == store.read(f"{home}/console/tty")
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("named", ["/dev/zero", "/dev/tty", "/dev/pts/../zero", "/dev/pts/1\n", "x"])
def test_a_guest_has_nothing_but_a_pseudo_terminal_opened(
    host: testing.Host, web: purevirt.Domain, named: str
) -> None:
    with purevirt.store.open(root=host.root) as store:
        store.write(f"/local/domain/{web.id()}/device/console/1/tty", named)
    with pytest.raises(RemoteProtocolError, match="names no pseudo-terminal"):
        web.console("console1")


def test_two_do_not_read_one_console_unless_forced(web: purevirt.Domain) -> None:
    with web.console() as first:
        with pytest.raises(WrongState, match="another program reads the console"):
            web.console()
        with web.console(force=True) as second:
            assert second.path == first.path
            with pytest.raises(Closed, match="another program has taken over"):
                until(first, b"never printed")
            first.close()
            assert second.read(0) != b""
            with pytest.raises(WrongState):
                web.console()
    with web.console():
        pass


def test_the_lock_is_the_one_that_xenconsole_takes(host: testing.Host, web: purevirt.Domain) -> None:
    path = f"{host.root}/var/lock/xenconsole.{web.id()}"
    with web.console():
        fd = os.open(path, os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(fd)
    assert not os.path.exists(path)
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with pytest.raises(WrongState):
        web.console()
    os.close(fd)


def test_a_console_is_taken_from_a_task_that_waits_for_it(host: testing.Host) -> None:
    async def work() -> None:
        async with await purevirt.open_async(host.uri) as connection:
            web = await connection.lookup_by_name("web")
            async with await web.console() as first:
                while await first.read(0.05):
                    pass
                waiting = asyncio.create_task(first.read())
                async with await web.console(force=True) as second:
                    with pytest.raises(Closed, match="another program has taken over"):
                        await waiting
                    assert await second.read(0) is None

    asyncio.run(work())


HOLDING = """
import fcntl, os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
fcntl.flock(fd, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""


def test_an_xenconsole_that_has_it_is_ended(host: testing.Host, web: purevirt.Domain, tmp_path: Path) -> None:
    path = f"{host.root}/var/lock/xenconsole.{web.id()}"
    web.console().close()
    named = tmp_path / "xenconsole"  # what a process is called in /proc
    named.symlink_to(os.path.realpath(sys.executable))
    with subprocess.Popen(
        [named, "-c", HOLDING, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(WrongState):
            web.console()
        with web.console(force=True) as console:
            assert holder.wait(PATIENCE) == -signal.SIGTERM
            until(console, b"up\r\n")
            assert console.read(0.6) is None  # by now the lock is ours
            with pytest.raises(WrongState):
                web.console()


def test_it_ends_with_its_domain(web: purevirt.Domain) -> None:
    with web.console() as console:
        until(console, b"up\r\n")
        web.destroy()
        assert b"".join(console) == b""
        with pytest.raises(Closed):
            console.write(b"x")


def test_what_is_no_console_is_said(host: testing.Host, web: purevirt.Domain) -> None:
    with pytest.raises(NoSuchDevice, match="has no console 'serial0'"):
        web.console("serial0")
    with pytest.raises(NoSuchDevice, match="expected console0"):
        web.console("tty7")
    console = web.console()
    console.close()
    console.close()
    with pytest.raises(Closed):
        console.read(0)


def test_a_terminal_that_is_not_there_in_time(host: testing.Host, web: purevirt.Domain) -> None:
    with purevirt.store.open(root=host.root) as store:
        store.remove(f"/local/domain/{web.id()}/console/tty")
    with pytest.raises(purevirt.errors.Timeout, match="does xenconsoled run"):
        web.console(timeout=0.01)


def test_a_read_only_connection_types_nothing(host: testing.Host) -> None:
    with purevirt.open_read_only(host.uri) as connection, pytest.raises(ReadOnly, match="reaches into"):
        connection.lookup_by_name("web").console()
