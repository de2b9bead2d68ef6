"""The dialogue on control/shutdown, with the guest's part played through the store; and whom it must not hold up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from purevirt.errors import NoSuchDomain, Timeout, Unsupported, WrongState
from purevirt.wire.hypercall.subops import (
    HvmParam,
    ShutdownCode,
)
from tests.daemons.xend.world import World, Xend, answer_shutdown, both, until, watching

NODE = "/local/domain/1/control/shutdown"


@pytest.mark.parametrize("mode", ["poweroff", "reboot", "halt", "suspend"])
def test_the_guest_agrees(tmp_path: Path, mode: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            guest = asyncio.create_task(answer_shutdown(await host.connect(), 1))
            await xend.call("shutdown", "test", mode=mode)
            assert await guest == mode
            assert await host.store.read(NODE) == b""
            assert xend.events() == [("xend", "changed", "test", f"shutdown {mode}")]

    asyncio.run(main())


def test_reboot_is_a_request_like_another(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            guest = asyncio.create_task(answer_shutdown(await host.connect(), 1))
            await xend.call("reboot", "test")
            assert await guest == "reboot"

    asyncio.run(main())


def test_the_guest_says_no_beforehand(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            await host.store.write("/local/domain/1/control/feature-reboot", "0")
            with pytest.raises(WrongState, match=r"refuses reboot: .*feature-reboot is 0"):
                await xend.call("reboot", "test")
            assert await host.store.read(NODE) == b""

    asyncio.run(main())


def test_the_guest_says_something_else(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            guest = asyncio.create_task(answer_shutdown(await host.connect(), 1, "not now"))
            with pytest.raises(WrongState, match="it answered 'not now'"):
                await xend.call("shutdown", "test")
            await guest

    asyncio.run(main())


@pytest.mark.parametrize(("mode", "left"), [("poweroff", b"poweroff"), ("suspend", b"")])
def test_the_guest_never_answers(tmp_path: Path, mode: str, left: bytes) -> None:
    """The deadline is reported with domain and node. The request stands, but for a suspend."""

    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            with pytest.raises(
                Timeout, match=f"domain test did not answer {mode} in {NODE} within"
            ) as caught:
                await xend.call("shutdown", "test", mode=mode, timeout=0.05)
            assert (caught.value.domain, caught.value.path) == ("test", NODE)
            assert await host.store.read(NODE) == left
            assert xend.audit()[-1]["result"] == "Timeout"
            assert xend.events() == []

    asyncio.run(main())


def test_asking_again_waits_for_the_same_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            with pytest.raises(Timeout):
                await xend.call("shutdown", "test", timeout=0.01)
            guest = asyncio.create_task(always_agree(host))
            await xend.call("shutdown", "test")
            guest.cancel()

    asyncio.run(main())


async def always_agree(host: World) -> None:
    store = await host.connect()
    async with watching(store, NODE) as watcher:
        while True:
            if await store.read(NODE):
                await store.write(NODE, "")
            await watcher.next()


def test_a_guest_that_is_gone_before_it_has_answered(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            async with watching(await host.connect(), NODE) as watcher:
                asking = asyncio.create_task(xend.call("shutdown", "test"))
                while await host.store.read(NODE) != b"poweroff":
                    await watcher.next()
            host.hypervisor.shutdown(1, ShutdownCode.POWEROFF)
            host.xenstored.shut_down(1)
            assert host.shell is not None
            host.shell.deliver()
            await asking

    asyncio.run(main())


def test_a_paused_guest_is_not_asked(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            host.hypervisor.pause(1)
            with pytest.raises(WrongState, match="is paused: resume it first"):
                await xend.call("shutdown", "test")
            assert await host.store.read(NODE) == b""

    asyncio.run(main())


async def _hvm(host: World) -> int:
    domid = (await host.create("windows", kind="hvm")).domid
    host.hypervisor.domain(domid).hvm_params[HvmParam.CALLBACK_IRQ] = 0
    for kind in ("vbd", "vif"):
        await host.store.mkdir(f"/local/domain/{domid}/device/{kind}")
    control = f"/local/domain/{domid}/control"
    for feature in ("poweroff", "reboot", "suspend"):
        await host.store.write(f"{control}/feature-{feature}", "")
    return domid


@pytest.mark.parametrize(
    ("mode", "code"), [("poweroff", ShutdownCode.POWEROFF), ("reboot", ShutdownCode.REBOOT)]
)
def test_hvm_without_pv_drivers_is_shut_down_by_the_hypervisor(
    tmp_path: Path, mode: str, code: ShutdownCode
) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            domid = await _hvm(host)
            await xend.call("shutdown", "windows", mode=mode)
            assert host.hypervisor.domain(domid).shutdown_code == code
            assert await host.store.read(f"/local/domain/{domid}/control/shutdown") == b""

    asyncio.run(main())


@pytest.mark.parametrize("sign", ["callback", "feature"])
def test_hvm_with_pv_drivers_is_asked(tmp_path: Path, sign: str) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            domid = await _hvm(host)
            if sign == "callback":
                host.hypervisor.domain(domid).hvm_params[HvmParam.CALLBACK_IRQ] = 0xF3
            else:
                await host.store.write(f"/local/domain/{domid}/control/feature-suspend", "1")
            guest = asyncio.create_task(answer_shutdown(await host.connect(), domid))
            await xend.call("shutdown", "windows")
            assert await guest == "poweroff"
            assert host.hypervisor.domain(domid).shutdown_code is None

    asyncio.run(main())


def test_a_crash_is_the_hypervisors_doing(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            host.hypervisor.pause(1)
            await xend.call("shutdown", "test", mode="crash")
            assert host.hypervisor.domain(1).shutdown_code == ShutdownCode.CRASH
            with pytest.raises(Unsupported):
                await xend.call("shutdown", 0, mode="crash")

    asyncio.run(main())


# --- nobody else waits


def test_a_stuck_guest_delays_no_other_domain_and_no_read(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            other = await host.create("other")
            async with watching(await host.connect(), NODE) as watcher:
                stuck = asyncio.create_task(xend.call("shutdown", "test"))
                while await host.store.read(NODE) != b"poweroff":
                    await watcher.next()
            # Nothing will answer, and nobody else has to wait for that.
            await xend.call("suspend", "other")
            assert host.hypervisor.domain(other.domid).paused == 1
            assert (await xend.call("domain_info", "test")).name == "test"
            assert len(await xend.call("list_domains")) == 3
            assert not stuck.done()
            await xend.call("destroy", "test")
            await stuck  # it is gone: that will do as an answer

    asyncio.run(main())


def test_one_request_after_another(tmp_path: Path) -> None:
    """Who was asked to shut down, and then to reboot, answers the last request; the first hears of it."""

    async def main() -> None:
        async with (
            asyncio.timeout(30),
            both(tmp_path) as (host, xend),
            watching(await host.connect(), NODE) as watcher,
        ):
            first = asyncio.create_task(xend.call("shutdown", "test"))
            while await host.store.read(NODE) != b"poweroff":
                await watcher.next()
            second = asyncio.create_task(xend.call("reboot", "test"))
            with pytest.raises(WrongState, match="was asked for reboot before it had answered poweroff"):
                await first
            await host.store.write(NODE, "")
            await second

    asyncio.run(main())


async def locked(host: World, xend: Xend) -> asyncio.Task[object]:
    """A change of "test" that holds its lock until the guest takes its second vCPU down."""
    node = "/local/domain/1/cpu/1/availability"
    async with watching(await host.connect(), node) as watcher:
        task: asyncio.Task[object] = asyncio.create_task(xend.call("set_vcpus", "test", count=1))
        while await host.store.read(node) != b"offline":
            await watcher.next()
    return task


def test_changes_of_one_domain_wait_for_each_other(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path, vcpu_wait=25.0) as (host, xend):
            other = await host.create("other")
            holder = await locked(host, xend)
            await xend.call("suspend", "other")
            assert host.hypervisor.domain(other.domid).paused == 1
            assert (await xend.call("domain_info", "test")).name == "test"
            assert len(xend.supervisor.locks) == 1
            with pytest.raises(Timeout, match="suspend of domain test was not done within 0 s"):
                await xend.call("suspend", "test", timeout=0.0)
            waiting = asyncio.create_task(xend.call("set_memory", "test", kib=131072))
            await until(lambda: _queued(xend.supervisor.locks))
            assert not holder.done()
            host.hypervisor.set_online(1, 1, False)
            await holder
            assert await waiting == 131072
            assert len(xend.supervisor.locks) == 0
            assert host.hypervisor.domain(1).paused == 0

    asyncio.run(main())


def test_the_domain_is_looked_up_again_when_its_lock_was_waited_for(tmp_path: Path) -> None:
    """Meanwhile it was destroyed, and the change must not hit whoever has its id."""

    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path, vcpu_wait=25.0) as (host, xend):
            holder = await locked(host, xend)
            waiting = asyncio.create_task(xend.call("suspend", "test"))
            await until(lambda: _queued(xend.supervisor.locks))
            host.hypervisor.destroy(1)
            await host.release(1)
            for task in (holder, waiting):
                with pytest.raises(NoSuchDomain):
                    await task

    asyncio.run(main())


def _queued(locks: object) -> bool:
    entries = locks._entries  # type: ignore[attr-defined]  # how many wait is nobody's business but this test's
    return any(entry.users > 1 for entry in entries.values())


def test_who_asks_and_goes_away_does_not_stop_a_change(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            async with watching(await host.connect(), NODE) as watcher:
                asking = asyncio.create_task(xend.call("shutdown", "test"))
                while await host.store.read(NODE) != b"poweroff":
                    await watcher.next()
                asking.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await asking
                await host.store.write(NODE, "")
                events = await xend.supervisor.journal.after(0, 20.0)
            assert [event.detail for event in events] == ["shutdown poweroff"]
            await until(lambda: not len(xend.supervisor.locks))

    asyncio.run(main())
