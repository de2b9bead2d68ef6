"""Every change, on a simulated host: what it does, in which states it is refused, which values are out of range."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from purevirt.errors import (
    DomainExists,
    InvalidConfig,
    NoSuchDomain,
    Timeout,
    Unsupported,
    WrongState,
    XenError,
)
from purevirt.model import DomainRef, DomainState, VcpuCount
from purevirt.wire.hypercall.subops import (
    ShutdownCode,
)
from tests.daemons.xend.world import World, Xend, both, watching

Scene = Callable[[World, Xend], Awaitable[None]]


@pytest.fixture
def play(tmp_path: Path) -> Callable[[Scene], None]:
    """Run a scene on a host with the domain "test" (id 1, 262144 KiB, two vCPUs)."""

    def run(scene: Scene) -> None:
        async def main() -> None:
            async with asyncio.timeout(30), both(tmp_path) as (host, xend):
                await scene(host, xend)

        asyncio.run(main())

    return run


async def refused(kind: type[XenError], call: Awaitable[Any]) -> str:
    with pytest.raises(kind) as caught:
        await call
    assert type(caught.value) is kind
    return str(caught.value)


def test_suspend_and_resume(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        await xend.call("suspend", "test")
        assert host.hypervisor.domain(1).paused == 1
        assert (await xend.call("domain_state", "test"))[0] is DomainState.PAUSED
        assert "paused already" in await refused(WrongState, xend.call("suspend", "test"))
        assert host.hypervisor.domain(1).paused == 1
        await xend.call("resume", "test")
        assert host.hypervisor.domain(1).paused == 0
        assert "not paused" in await refused(WrongState, xend.call("resume", "test"))

    play(scene)


def test_resume_takes_back_every_pause(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        for _ in range(3):
            host.hypervisor.pause(1)
        await xend.call("resume", "test")
        assert host.hypervisor.domain(1).paused == 0

    play(scene)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("suspend", {}),
        ("resume", {}),
        ("shutdown", {"mode": "poweroff"}),
        ("reboot", {}),
        ("set_memory", {"kib": 131072}),
        ("set_max_memory", {"kib": 262144}),
        ("set_vcpus", {"count": 1}),
        ("pin_vcpu", {"vcpu": 0, "cpus": [0]}),
        ("set_scheduler_parameters", {"weight": 512}),
        ("rename", {"name": "other"}),
        ("send_sysrq", {"key": "s"}),
        ("inject_nmi", {}),
    ],
)
@pytest.mark.parametrize(
    ("code", "words"), [("CRASH", "has crashed"), ("POWEROFF", "has shut down (poweroff)")]
)
def test_a_domain_without_a_kernel_is_not_changed(
    play: Callable[[Scene], None], operation: str, arguments: dict[str, Any], code: str, words: str
) -> None:
    async def scene(host: World, xend: Xend) -> None:
        before = await host.store.tree("/local/domain/1")
        host.hypervisor.shutdown(1, ShutdownCode[code])
        assert words in await refused(WrongState, xend.call(operation, "test", **arguments))
        assert await host.store.tree("/local/domain/1") == before

    play(scene)


def test_destroy_leaves_nothing(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        uuid = host.toolstack.find("test").uuid
        await xend.call("destroy", "test")
        assert host.hypervisor.find(1) is None
        tree = await host.store.tree("/")
        left = [path for path in tree if "/1/" in f"{path}/" or str(uuid) in path]
        assert not left
        assert not await host.store.is_domain_introduced(1)
        await refused(NoSuchDomain, xend.call("destroy", "test"))

    play(scene)


def test_destroy_of_what_has_crashed(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        host.hypervisor.shutdown(1, ShutdownCode.CRASH)
        await xend.call("destroy", 1)
        assert host.hypervisor.find(1) is None

    play(scene)


def test_destroy_when_somebody_else_cleans_up_at_the_same_time(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        for path in ("/local/domain/1", "/libxl/1", "/local/domain/0/backend/vbd/1"):
            await host.store.rm(path)
        await xend.call("destroy", 1)
        assert host.hypervisor.find(1) is None
        backends = await host.store.tree("/local/domain/0/backend")
        assert not [path for path in backends if "/1/" in path]

    play(scene)


def test_destroy_keeps_the_vm_of_the_domain_that_came_after(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        uuid = host.toolstack.find("test").uuid
        second = host.hypervisor.create_domain(handle=uuid)
        await xend.call("destroy", DomainRef(uuid.bytes, 1))
        assert host.hypervisor.find(second.domid) is not None
        assert await host.store.exists(f"/vm/{uuid}/name")

    play(scene)


def test_destroy_waits_for_a_backend_to_close(tmp_path: Path) -> None:
    """The backend's driver is told, and its node is there until it has said that it is closed."""
    seen: list[str] = []

    async def backend(host: World, ready: asyncio.Event) -> None:
        store = await host.connect()
        home = "/local/domain/0/backend/vbd/1/51712"
        watcher = await store.open_watcher()
        try:
            await watcher.add(f"{home}/state")
            await watcher.add("/local/domain/1/device")
            ready.set()
            while (state := await store.read(f"{home}/state")) != b"5":
                await watcher.next()
            seen.append(f"{state.decode()} online {(await store.read(f'{home}/online')).decode()}")
            assert host.hypervisor.domain(1).paused  # not dead: xenstored would forget its nodes in silence
            while await store.exists("/local/domain/1/device"):
                await watcher.next()
            await store.write(f"{home}/state", "6")
        finally:
            await watcher.close()

    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path, backend_wait=20.0) as (host, xend):
            await host.store.rm("/local/domain/0/backend/vif")
            ready = asyncio.Event()
            task = asyncio.create_task(backend(host, ready))
            await ready.wait()
            await xend.call("destroy", "test")
            await task
            assert not await host.store.exists("/local/domain/0/backend/vbd/1")

    asyncio.run(main())
    assert seen == ["5 online 0"]


def test_a_backend_that_no_driver_serves_is_not_waited_for(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(10), both(tmp_path, backend_wait=60.0) as (host, xend):
            for kind in ("vbd", "vif"):
                await host.store.rm(f"/local/domain/0/backend/{kind}")
            for kind in ("console", "vfb", "qdisk"):
                await host.store.write(f"/local/domain/0/backend/{kind}/1/0/state", "1")
            await xend.call("destroy", "test")
            for kind in ("console", "vfb", "qdisk"):
                assert not await host.store.exists(f"/local/domain/0/backend/{kind}/1")

    asyncio.run(main())


def test_what_is_left_of_a_domain_goes_even_after_the_deadline(tmp_path: Path) -> None:
    """A backend that does not close in time: the caller hears so, and the nodes go when their time has come."""

    async def main() -> None:
        async with asyncio.timeout(50), both(tmp_path, backend_wait=20.0) as (host, xend):
            async with watching(await host.connect(), "/local/domain/0/backend/vbd/1/51712/state") as watcher:
                destroying = asyncio.create_task(xend.call("destroy", "test", timeout=0.0))
                while await host.store.read("/local/domain/0/backend/vbd/1/51712/state") != b"5":
                    await watcher.next()
            with pytest.raises(Timeout):
                await destroying
            assert host.hypervisor.domain(1).paused
            assert await host.store.exists("/local/domain/1")
            for device in ("vbd/1/51712", "vif/1/0"):
                await host.store.write(f"/local/domain/0/backend/{device}/state", "6")
            await xend.supervisor._toolstack.close()
            assert host.hypervisor.find(1) is None
            assert not await host.store.exists("/local/domain/1")

    asyncio.run(main())


def test_set_memory(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        assert await xend.call("set_memory", "test", kib=131072) == 131072
        assert await host.store.read("/local/domain/1/memory/target") == b"131072"
        assert host.hypervisor.domain(1).max_pages * 4 == 131072 + 1024

        words = await refused(InvalidConfig, xend.call("set_memory", "test", kib=262148))
        assert "4 to 262144 KiB" in words
        await refused(InvalidConfig, xend.call("set_memory", "test", kib=0))
        await refused(InvalidConfig, xend.call("set_memory", "test", kib=-5))
        assert await host.store.read("/local/domain/1/memory/target") == b"131072"
        assert host.hypervisor.domain(1).max_pages * 4 == 131072 + 1024

    play(scene)


def test_memory_of_domain_0(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        assert await xend.call("set_memory", 0, kib=524288) == 524288
        assert await host.store.read("/local/domain/0/memory/target") == b"524288"
        await refused(InvalidConfig, xend.call("set_memory", 0, kib=65536))

    play(scene)


def test_set_max_memory(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        await xend.call("set_memory", "test", kib=131072)
        await xend.call("set_max_memory", "test", kib=200000)
        assert host.hypervisor.domain(1).max_pages * 4 == 201024
        assert "131072 KiB" in await refused(InvalidConfig, xend.call("set_max_memory", "test", kib=1000))
        too_much = await refused(InvalidConfig, xend.call("set_max_memory", "test", kib=1 << 50))
        assert "at the most" in too_much
        assert host.hypervisor.domain(1).max_pages * 4 == 201024

    play(scene)


def test_set_vcpus_reports_what_the_guest_made_of_it(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        nodes = [f"/local/domain/1/cpu/{number}/availability" for number in range(2)]
        assert await xend.call("set_vcpus", "test", count=1) == VcpuCount(1, 2)
        assert await host.store.read_many(nodes) == [b"online", b"offline"]
        host.hypervisor.set_online(1, 1, False)
        assert await xend.call("set_vcpus", "test", count=1) == VcpuCount(1, 1)
        assert await xend.call("set_vcpus", "test", count=2) == VcpuCount(2, 1)
        assert await host.store.read_many(nodes) == [b"online", b"online"]
        for count in (0, 3, -1):
            assert "1 to 2 vCPUs" in await refused(InvalidConfig, xend.call("set_vcpus", "test", count=count))

    play(scene)


def test_set_vcpus_waits_for_the_guest(tmp_path: Path) -> None:
    async def guest(host: World) -> None:
        node = "/local/domain/1/cpu/1/availability"
        store = await host.connect()
        watcher = await store.open_watcher()
        try:
            await watcher.add(node)
            while await store.read(node) != b"offline":
                await watcher.next()
            host.hypervisor.set_online(1, 1, False)
        finally:
            await watcher.close()

    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path, vcpu_wait=20.0) as (host, xend):
            task = asyncio.create_task(guest(host))
            assert await xend.call("set_vcpus", "test", count=1) == VcpuCount(1, 1)
            await task

    asyncio.run(main())


def test_pin_vcpu(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        await xend.call("pin_vcpu", "test", vcpu=1, cpus=[1, 2])
        await xend.call("pin_vcpu", "test", vcpu=1, cpus=[3], soft=True)
        vcpus = await xend.call("vcpus", "test")
        assert (vcpus[1].hard_affinity, vcpus[1].soft_affinity) == ({1, 2}, {3})
        assert vcpus[0].hard_affinity == {0, 1, 2, 3}
        for vcpu, cpus in ((2, [0]), (-1, [0]), (0, []), (0, [4]), (0, [-1])):
            await refused(InvalidConfig, xend.call("pin_vcpu", "test", vcpu=vcpu, cpus=cpus))
        assert (await xend.call("vcpus", "test"))[0].hard_affinity == {0, 1, 2, 3}

    play(scene)


def test_scheduler_parameters(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        await xend.call("set_scheduler_parameters", "test", weight=512)
        await xend.call("set_scheduler_parameters", "test", cap=150)
        assert tuple(await xend.call("scheduler_parameters", "test")) == ("credit2", 512, 150)
        cases: list[dict[str, Any]] = [{"weight": 0}, {"weight": 65536}, {"cap": 201}, {"cap": -1}, {}]
        for wrong in cases:
            await refused(InvalidConfig, xend.call("set_scheduler_parameters", "test", **wrong))
        assert tuple(await xend.call("scheduler_parameters", "test")) == ("credit2", 512, 150)

    play(scene)


def test_rename(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        uuid = host.toolstack.find("test").uuid
        await host.create("other")
        await xend.call("rename", "test", name="Web server-1.ä")
        assert await host.store.read("/local/domain/1/name") == "Web server-1.ä".encode()
        assert await host.store.read(f"/vm/{uuid}/name") == "Web server-1.ä".encode()
        assert "named 'other' already" in await refused(DomainExists, xend.call("rename", 1, name="other"))
        await refused(DomainExists, xend.call("rename", 1, name="Domain-0"))
        for wrong in ("", "12", str(uuid), "a/b", " a", "a\n", "x" * 257, "\x1b[31m"):
            await refused(InvalidConfig, xend.call("rename", 1, name=wrong))
        assert await xend.call("domain_name", 1) == "Web server-1.ä"
        await xend.call("rename", 1, name="Web server-1.ä")  # its own name is nobody else's

    play(scene)


def test_two_renames_to_one_name(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        await host.create("other")
        results = await asyncio.gather(
            xend.call("rename", "test", name="same"),
            xend.call("rename", "other", name="same"),
            return_exceptions=True,
        )
        assert sorted(type(result).__name__ for result in results) == ["DomainExists", "NoneType"]

    play(scene)


def test_sysrq(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        await xend.call("send_sysrq", "test", key="s")
        assert await host.store.read("/local/domain/1/control/sysrq") == b"s"
        for wrong in ("", "ss", "ä", " ", "\n"):
            await refused(InvalidConfig, xend.call("send_sysrq", "test", key=wrong))
        await host.store.write("/local/domain/1/control/feature-sysrq", "0")
        assert "feature-sysrq is 0" in await refused(WrongState, xend.call("send_sysrq", "test", key="b"))
        assert await host.store.read("/local/domain/1/control/sysrq") == b"s"

    play(scene)


def test_triggers(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        await xend.call("inject_nmi", "test")
        await xend.call("send_trigger", "test", trigger="nmi", vcpu=1)
        await refused(InvalidConfig, xend.call("send_trigger", "test", trigger="nmi", vcpu=2))
        await refused(InvalidConfig, xend.call("send_trigger", "test", trigger="explode"))
        await refused(Unsupported, xend.call("send_trigger", "test", trigger="power"))
        await host.create("windows", kind="hvm")
        await xend.call("send_trigger", "windows", trigger="power")

    play(scene)


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [("suspend", {}), ("destroy", {}), ("shutdown", {}), ("reboot", {}), ("rename", {"name": "new"})],
)
def test_domain_0_is_not_ended(
    play: Callable[[Scene], None], operation: str, arguments: dict[str, Any]
) -> None:
    async def scene(host: World, xend: Xend) -> None:
        assert "Domain 0 cannot be" in await refused(Unsupported, xend.call(operation, 0, **arguments))
        assert host.hypervisor.domain(0).paused == 0
        assert await host.store.read("/local/domain/0/name") == b"Domain-0"

    play(scene)


def test_an_unverified_xen_is_only_read(tmp_path: Path) -> None:
    from tests.daemons.xend.world import world, xend

    async def main() -> None:
        async with world(tmp_path, xen=(4, 19)) as host:
            await host.toolstack.create_test()
            async with xend(host) as daemon:
                assert len(await daemon.call("list_domains")) == 2
                if not (await daemon.call("version")).verified:
                    await refused(Unsupported, daemon.call("suspend", "test"))

    asyncio.run(main())


@pytest.mark.parametrize(
    ("operation", "arguments", "words"),
    [
        ("set_memory", {}, "kib is missing"),
        ("set_memory", {"kib": "much"}, "whole number"),
        ("set_memory", {"kib": True}, "whole number"),
        ("set_memory", {"kib": 1 << 70}, "whole number"),
        ("set_memory", {"kib": 4096, "mib": 4}, "no argument 'mib'"),
        ("pin_vcpu", {"vcpu": 0, "cpus": "0-3"}, "list of CPU numbers"),
        ("pin_vcpu", {"vcpu": 0, "cpus": [0], "soft": 1}, "true or false"),
        ("shutdown", {"mode": "sideways"}, "one of poweroff"),
        ("rename", {"name": 5}, "must be text"),
        ("rename", {"name": "a\0b"}, "without NUL"),
    ],
)
def test_arguments_of_the_wrong_kind(
    play: Callable[[Scene], None], operation: str, arguments: dict[str, Any], words: str
) -> None:
    async def scene(host: World, xend: Xend) -> None:
        assert words in await refused(InvalidConfig, xend.call(operation, "test", **arguments))

    play(scene)


def test_which_domain_is_meant(play: Callable[[Scene], None]) -> None:
    async def scene(host: World, xend: Xend) -> None:
        handle = host.toolstack.find("test").uuid.bytes
        await xend.call("suspend", DomainRef(handle, 77, "whatever"))  # the id is a hint, the name a word
        await xend.call("resume", DomainRef(handle))
        await refused(NoSuchDomain, xend.call("suspend", DomainRef(bytes(15) + b"\1", 1)))
        await refused(NoSuchDomain, xend.call("suspend", DomainRef(b"", 1, "other")))
        await refused(NoSuchDomain, xend.call("suspend", 77))
        await refused(NoSuchDomain, xend.call("suspend", "nobody"))
        assert "none is named" in await refused(InvalidConfig, xend.call("suspend"))
        await refused(Unsupported, xend.call("explode", "test"))
        assert host.hypervisor.domain(1).paused == 0

    play(scene)
