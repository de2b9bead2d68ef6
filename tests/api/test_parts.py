"""A simulated host's parts, killed and started again one by one: what the others do meanwhile and afterwards."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import purevirt
from purevirt import DomainState, testing
from purevirt.errors import ChannelUnavailable, Closed, ConnectError, XenError
from purevirt.programs.toolstack import Toolstack

SOURCE = str(Path(__file__).resolve().parents[2] / "src")
DISK = testing.Disk("xvda", "/images/web.img")


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(held=True, empty=True) as host:
        yield host


def test_reads_of_the_hypervisor_go_on_without_the_store(host: testing.Host) -> None:
    host.create_domain("web")
    with purevirt.open(host.uri) as xen:
        domain = xen.lookup_by_name("web")
        host.kill("xenstored")
        assert domain.state()[0] is DomainState.RUNNING
        with pytest.raises(XenError, match="Xen Store"):
            xen.store.read("/local/domain/1/name")
    with pytest.raises(ConnectError, match="xenstored/socket"):
        purevirt.open(host.uri)


def test_guests_do_not_notice_a_restart_of_the_store(host: testing.Host) -> None:
    domid = host.create_domain("web", disks=[DISK]).domid
    host.restart("xenstored")
    with purevirt.open(host.uri) as xen:
        assert xen.store.read(f"/local/domain/{domid}/name") == "web"
        xen.store.write(f"/local/domain/{domid}/memory/target", "65536")
        host.advance(0)
        assert xen.lookup_by_name("web").info().memory_kib == 65536
        xen.store.write(f"/local/domain/{domid}/control/shutdown", "poweroff")
        host.advance(1)
        assert xen.count_domains() == 1
        assert not xen.store.exists(f"/local/domain/{domid}")
        host.create_domain("next", disks=[DISK])
        assert xen.store.read("/local/domain/2/device/vbd/51712/state") == "4"


def test_what_guests_asked_for_meanwhile_is_answered_by_the_next_store(host: testing.Host) -> None:
    domid = host.create_domain("web", paused=True).domid
    host.kill("xenstored")
    host.unpause("web")
    host.restart("xenstored")
    with purevirt.open(host.uri) as xen:
        assert xen.store.read(f"/local/domain/{domid}/control/feature-reboot") == "1"


@pytest.mark.parametrize("turns", range(16))
def test_an_order_is_obeyed_whenever_the_store_is_restarted_meanwhile(host: testing.Host, turns: int) -> None:
    domid = host.create_domain("web", disks=[DISK]).domid
    machine = host._machine

    async def order_and_restart(toolstack: Toolstack) -> None:
        await toolstack._store.write(f"/local/domain/{domid}/control/shutdown", "poweroff")
        for _ in range(turns):
            await asyncio.sleep(0)
        await machine._restart("xenstored", False)

    machine.run(order_and_restart)
    host.advance(1)
    with purevirt.open(host.uri) as xen:
        assert xen.count_domains() == 1
        assert not xen.store.exists(f"/local/domain/{domid}")


def test_a_domain_that_ends_without_a_store_is_cleaned_up_when_there_is_one(host: testing.Host) -> None:
    domid = host.create_domain("web", disks=[DISK]).domid
    host.kill("xenstored")
    host.shutdown("web")
    with pytest.raises(XenError, match="has no Xen Store"):
        host.create_domain("other")
    host.restart("xenstored")
    with purevirt.open(host.uri) as xen:
        assert xen.count_domains() == 1
        assert not xen.store.exists(f"/local/domain/{domid}")
        assert not xen.store.exists(f"/local/domain/0/backend/vbd/{domid}")


def test_a_store_that_forgot_everything_is_empty(host: testing.Host) -> None:
    host.create_domain("web")
    host.kill("xenstored")
    host.restart("xenstored", forget=True)
    with purevirt.open(host.uri) as xen:
        assert set(xen.store.tree("/")) == {"/", "/tool", "/tool/xenstored"}
        assert xen.count_domains() == 2


def test_watches_of_a_client_are_restored_with_the_store(host: testing.Host) -> None:
    host.create_domain("web")
    with purevirt.open(host.uri) as xen, xen.store.watch("/local/domain/1/name") as watch:
        watch.drain()
        host.restart("xenstored")
        kinds = [type(notice).__name__ for notice in (watch.next(5), watch.next(5))]
        assert kinds == ["Reconnected", "Event"]
        host.rename("web", "new")
        notice = watch.next(5)
        assert notice is not None


def test_the_hypervisor_takes_its_domains_with_it(host: testing.Host) -> None:
    host.create_domain("web", disks=[DISK])
    with purevirt.open(host.uri) as xen:
        host.kill("hypervisor")
        with pytest.raises(XenError):
            xen.domain_infos()
        with pytest.raises(ChannelUnavailable, match="does not run"):
            host.pause("web")
    with pytest.raises(ConnectError):
        purevirt.open(host.uri)
    host.restart("hypervisor")
    with purevirt.open(host.uri) as xen:
        assert [info.name for info in xen.domain_infos()] == ["Domain-0"]
        assert not xen.store.exists("/local/domain/1")
        assert xen.store.list("/local/domain/0/backend/vbd") == []
        assert host.create_domain("web", disks=[DISK]).domid == 1
        assert xen.store.read("/local/domain/1/device/vbd/51712/state") == "4"


def test_what_is_printed_without_a_console_daemon_is_logged_by_the_next(host: testing.Host) -> None:
    domid = host.create_domain("web").domid
    host.kill("xenconsoled")
    with purevirt.open(host.uri) as xen:
        xen.store.write(f"/local/domain/{domid}/control/sysrq", "h")
        host.advance(0)
        assert "sysrq" not in host.console("web")
        host.create_domain("other")
        assert host.console("other") == ""
        host.restart("xenconsoled")
        assert host.console("web").endswith("sysrq: h\n")
        assert "up" in host.console("other")


def test_a_part_may_be_killed_twice_and_restarted_without_being_killed(host: testing.Host) -> None:
    host.create_domain("web")
    for part in ("xenconsoled", "xenstored", "hypervisor"):
        host.kill(part)
        host.kill(part)
    for part in ("hypervisor", "xenstored", "xenconsoled"):
        host.restart(part)  # type: ignore[arg-type]
        host.restart(part)  # type: ignore[arg-type]
    host.create_domain("new")
    assert "up" in host.console("new")
    with pytest.raises(KeyError):
        host.kill("qemu")  # type: ignore[arg-type]


def test_a_host_leaves_no_files_or_descriptors_behind() -> None:
    """In a process of its own, where nobody else opens or closes anything; the first host is the warm-up."""
    program = """if True:
        import gc, os
        from purevirt import testing

        def use():
            with testing.Host(empty=True) as host:
                for number in range(3):
                    host.create_domain(f"d{number}", disks=[testing.Disk("xvda", "/disk")])
                for part in ("hypervisor", "xenstored", "xenconsoled", "xend"):
                    host.restart(part)
                host.create_domain("last")
                root = host.root
            gc.collect()  # shared pages are mapped until the last who saw them is forgotten
            return len(os.listdir("/proc/self/fd")), os.path.exists(root)

        first, second = use(), use()
        print(first == second, first[1])
    """
    env = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, env=env, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True False\n", "", 0)


def test_an_asyncio_connection_sees_the_store_go(host: testing.Host) -> None:
    host.create_domain("web")

    async def main() -> None:
        async with await purevirt.open_async(host.uri) as xen:
            await asyncio.to_thread(host.kill, "xenstored")
            with pytest.raises(Closed):
                await xen.store.read("/local/domain/1/name")
            assert await xen.count_domains() == 2

    asyncio.run(main())


def test_a_crash_is_seen_after_all_restarts(host: testing.Host) -> None:
    host.create_domain("web")
    host.restart("xenstored")
    host.restart("xenconsoled")
    host.crash("web")
    with purevirt.open(host.uri) as xen:
        assert xen.lookup_by_name("web").state()[0] is DomainState.CRASHED


def test_the_xen_daemon_is_a_part_like_the_others(host: testing.Host) -> None:
    socket = f"{host.root}/run/purevirt/xend.sock"
    assert os.path.exists(socket)
    host.kill("xend")
    assert not os.path.exists(socket)
    host.create_domain("web")
    host.restart("xend")
    assert os.path.exists(socket)
    host.restart("xenstored")
    host.restart("xend")
    with purevirt.open(host.uri) as xen:
        assert xen.lookup_by_name("web").id() == 1


def test_a_host_without_the_xen_daemon() -> None:
    with testing.Host(empty=True, xend=False) as host:
        assert not os.path.exists(f"{host.root}/run/purevirt/xend.sock")
        host.create_domain("web")
        host.restart("xend")
        assert os.path.exists(f"{host.root}/run/purevirt/xend.sock")


def test_xenstored_can_be_a_process_of_its_own(host: testing.Host, tmp_path: Path) -> None:
    """The very bus and pages, from another process: guests are served, and go on with the process after it."""
    domid = host.create_domain("web").domid
    state = f"{tmp_path}/state"
    with purevirt.open(host.uri) as xen:
        tree = xen.store.tree("/")
    for number in range(2):
        host.kill("xenstored")
        if not number:
            os.rename(f"{host.root}/var/lib/xenstored/state", state)
        with store_process(host.root, state):
            path = f"{host.root}/var/run/xenstored/socket"
            with purevirt.store.open(path) as store, store.watch(f"/local/domain/{domid}/control") as watch:
                assert store.tree("/") == tree
                watch.drain()
                for key in "hs":  # a kernel that takes the second has printed the first
                    store.write(f"/local/domain/{domid}/control/sysrq", key)
                    while store.read(f"/local/domain/{domid}/control/sysrq"):
                        watch.next(20)  # until the guest has taken it
    assert host.console("web").count("sysrq: h") == 2


@contextmanager
def store_process(root: str, state: str) -> Iterator[None]:
    """Its pidfile is a FIFO, which opens once it listens."""
    ready = Path(f"{state}.pid")
    os.mkfifo(ready)
    command = [sys.executable, "-m", "purevirt.daemons.xenstored", "--state", state, "--pidfile", str(ready)]
    command += ["--socket", f"{root}/var/run/xenstored/socket"]
    command += ["--bus", f"{root}/dev/xen/bus", "--memory", f"{root}/dev/xen/memory"]
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": SOURCE}) as process:
        try:
            assert int(ready.read_text()) == process.pid
            yield
        finally:
            process.terminate()
            assert process.wait(20) == 0
