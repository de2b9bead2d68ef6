"""The builder of simulated domains, on a whole simulated host: what it makes, refuses, undoes, saves and restores."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest

import purevirt
from purevirt import testing
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.xenstore.client import StoreClient
from purevirt.daemons.xend.link import Link
from purevirt.daemons.xend.toolstack.base import Host
from purevirt.daemons.xend.toolstack.builder import Builder, Dump, Migration
from purevirt.daemons.xend.toolstack.native import NativeToolstack
from purevirt.daemons.xend.toolstack.simulated import SimulatedBuilder, creating, rings
from purevirt.errors import (
    ConfigError,
    InvalidConfig,
    NoMemory,
    OperationError,
    Timeout,
    Unsupported,
    WrongState,
)
from purevirt.formats import libxl_json
from purevirt.model import DomainInfo, DomainState, DomainType
from purevirt.model.description import (
    Boot,
    Cpus,
    Disk,
    DiskDevice,
    DomainDescription,
    Interface,
    Memory,
    Scheduling,
)

T = TypeVar("T")

HANDLE = UUID("0a7e9b1e-52c4-4e5c-8f0a-1d0b0c2f9a77")
WEB = DomainDescription(
    "web",
    uuid=HANDLE,
    boot=Boot(kernel="/boot/vmlinuz"),
    memory=Memory(kib=65536, max_kib=131072),
    cpus=Cpus(online=2, maximum=3),
    scheduling=Scheduling(weight=512, cap=50),
    disks=(Disk("xvda", "/images/web"), Disk("xvdb", device=DiskDevice.CDROM, read_only=True)),
    interfaces=(Interface(mac="00:16:3e:00:00:01", bridge="xenbr0"),),
)


PARENTS = {
    "/libxl",
    "/vm",
    *(f"/local/domain/0/backend{kind}" for kind in ("", "/vbd", "/vif")),
}
"""Nodes that stay when the first domain has gone, as on a real host."""


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(empty=True, xend=False) as host:
        os.makedirs(f"{host.root}/var/lib/xen")
        yield host


def on(host: testing.Host, work: Callable[[Link, SimulatedBuilder], Awaitable[T]], **how: Any) -> T:
    """Do it in an event loop that has a link to the host, as the daemon's has."""

    async def run() -> T:
        link = Link(host.root)
        await link.open()
        try:
            async with asyncio.timeout(30):
                return await work(link, SimulatedBuilder(link, **how))
        finally:
            await link.close()

    return asyncio.run(run())


def quiet(what: str | None, share: float | None) -> None:
    """Nobody looks."""


async def lookup(link: Link, domid: int) -> DomainInfo:
    return next(each for each in await link.driver.list_domains() if each.domid == domid)


async def everything(link: Link) -> tuple[object, ...]:
    """All that a domain leaves traces in."""
    tree = await link.store.tree("/")
    ours = tree.keys() - PARENTS
    records = sorted(name for name in os.listdir(f"{link.root}/var/lib/xen") if name.startswith("userdata"))
    domains = [info.domid for info in await link.hypercalls.domain_infos()]
    return (ours, records, domains, (await link.hypercalls.physinfo()).free_pages)


def test_it_is_a_builder() -> None:
    builder: Builder = SimulatedBuilder.__new__(SimulatedBuilder)
    assert builder is not None


@pytest.mark.parametrize("kind", DomainType)
def test_a_domain_is_made_paused_and_boots_when_it_runs(host: testing.Host, kind: DomainType) -> None:
    described = WEB._replace(type=kind, boot=Boot() if kind is DomainType.HVM else WEB.boot)
    steps: list[float] = []

    def report(what: str | None, share: float | None) -> None:
        steps.append(share or 0.0)

    async def work(link: Link, builder: SimulatedBuilder) -> int:
        domid = await builder.create(described, report)
        made = await lookup(link, domid)
        assert (made.uuid, made.name, made.type, made.flags) == (HANDLE, "web", kind, "--p---")
        assert (made.memory_kib, made.max_memory_kib, made.max_vcpus, made.vcpus) == (65536, 131072, 3, 0)
        assert await link.hypercalls.sched_parameters(domid) == (512, 50)
        assert await link.store.is_domain_introduced(domid)
        await link.hypercalls.unpause_domain(domid)
        return domid

    domid = on(host, work)
    assert steps == sorted(steps)
    assert steps[-1] == 1.0
    host.unpause(domid)  # settles
    assert "simulated kernel: up" in host.console("web")
    with purevirt.open(host.uri) as connection:
        domain = connection.lookup_by_name("web")
        assert domain.info().vcpus == 2
        assert {disk.target for disk in domain.block_devices()} == {"xvda", "xvdb"}
        assert domain.description().disks[0].source == "/images/web"


def test_what_it_was_made_of_can_be_read_as_libxl_s_record(host: testing.Host) -> None:
    domid = on(host, lambda link, builder: builder.create(WEB, quiet))
    text = Path(host.root, f"var/lib/xen/userdata-d.{domid}.{HANDLE}.libxl-json").read_text()
    record = libxl_json.parse(text).description
    assert record.memory == WEB.memory
    assert record.cpus == WEB.cpus
    assert record.boot == WEB.boot
    assert [disk.target for disk in record.disks] == ["xvda", "xvdb"]
    assert record.unknown == ()


def test_nothing_that_is_needed_has_to_be_said(host: testing.Host) -> None:
    described = DomainDescription(
        "plain", boot=Boot(kernel="/k"), interfaces=(Interface(), Interface()), memory=Memory(kib=1024)
    )

    async def work(link: Link, builder: SimulatedBuilder) -> None:
        domid = await builder.create(described, quiet)
        nodes = [f"/local/domain/{domid}/device/vif/{number}/mac" for number in (0, 1)]
        first, second = await link.store.read_many(nodes)
        assert first is not None
        assert first.startswith(b"00:16:3e:")
        assert first != second
        assert (await lookup(link, domid)).uuid.version == 4

    on(host, work)


# --- refused before anything is touched


@pytest.mark.parametrize(
    ("described", "field"),
    [
        (WEB._replace(name=""), "name"),
        (WEB._replace(boot=Boot()), "boot"),
        (WEB._replace(memory=Memory(kib=4)), "memory.kib"),
        (WEB._replace(disks=(Disk("floppy", "/x"),)), "disks[floppy].target"),
        (WEB._replace(disks=(Disk("xvda", "/x"), Disk("xvda", "/y"))), "disks[xvda]"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(
    host: testing.Host, described: DomainDescription, field: str
) -> None:
    async def work(link: Link, builder: SimulatedBuilder) -> None:
        before = await everything(link)
        with pytest.raises(InvalidConfig) as caught:
            await builder.check(described)
        assert any(problem.startswith(f"{field}: ") for problem in caught.value.problems)
        with pytest.raises(InvalidConfig):
            await builder.create(described, quiet)
        assert await everything(link) == before

    on(host, work)


def test_memory_that_the_host_has_not_is_refused(host: testing.Host) -> None:
    async def work(link: Link, builder: SimulatedBuilder) -> None:
        with pytest.raises(NoMemory, match="67108864 KiB"):
            await builder.check(WEB._replace(memory=Memory(kib=64 << 20)))

    on(host, work)


# --- undone


class Failing:
    """A client whose method of that name fails, or never ends, when it is called."""

    def __init__(self, client: object, method: str, fail: Callable[[], Awaitable[None]]) -> None:
        self._client = client
        self._method = method
        self._fail = fail

    def __getattr__(self, name: str) -> Any:
        if name != self._method:
            return getattr(self._client, name)

        async def failing(*arguments: Any, **named: Any) -> None:
            await self._fail()

        return failing


class Broken:
    """A host on which one step of making a domain goes wrong; what undoes it works."""

    def __init__(self, link: Link, method: str, fail: Callable[[], Awaitable[None]]) -> None:
        self.root = link.root
        self.store: StoreClient = Failing(link.store, method, fail)  # type: ignore[assignment]
        self.hypercalls: HypercallClient = Failing(link.hypercalls, method, fail)  # type: ignore[assignment]


STEPS = (
    "make_vcpus",
    "set_max_memory",
    "populate",
    "allocate_port",
    "set_hvm_param",
    "transaction",
    "introduce",
)


@pytest.mark.parametrize("step", STEPS)
def test_whatever_fails_nothing_is_left(host: testing.Host, step: str) -> None:
    async def fail() -> None:
        raise OperationError(f"{step} fails")

    async def work(link: Link, builder: SimulatedBuilder) -> None:
        before = await everything(link)
        broken: Host = Broken(link, step, fail)
        with pytest.raises(OperationError, match=f"{step} fails"):
            await SimulatedBuilder(broken).create(WEB._replace(type=DomainType.PVH), quiet)
        assert await everything(link) == before

    on(host, work)


@pytest.mark.parametrize("step", STEPS)
def test_whenever_it_is_cancelled_nothing_is_left(host: testing.Host, step: str) -> None:
    async def work(link: Link, builder: SimulatedBuilder) -> None:
        reached = asyncio.Event()

        async def hang() -> None:
            reached.set()
            await asyncio.Event().wait()

        before = await everything(link)
        broken: Host = Broken(link, step, hang)
        task = asyncio.create_task(SimulatedBuilder(broken).create(WEB._replace(type=DomainType.PVH), quiet))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await everything(link) == before

    on(host, work)


def test_one_that_is_cancelled_as_xen_makes_it_is_not_left_either(host: testing.Host) -> None:
    async def work(link: Link, builder: SimulatedBuilder) -> None:
        before = await everything(link)
        for rounds in range(1, 5):
            task = asyncio.create_task(creating.create(link, WEB, quiet, 5.0))
            for _ in range(rounds):
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await everything(link) == before

    on(host, work)


def test_rings_that_a_domain_has_are_not_given_again(host: testing.Host) -> None:
    async def work(link: Link, builder: SimulatedBuilder) -> None:
        domid = await builder.create(WEB, quiet)
        with pytest.raises(OperationError, match="busy"):
            await rings.give(link.root, domid, (0x90, 1), (0x91, 2))

    on(host, work)


def test_what_it_made_can_be_destroyed_without_a_trace(host: testing.Host) -> None:
    async def work(link: Link, builder: SimulatedBuilder) -> None:
        before = await everything(link)
        for run in (False, True):
            domid = await builder.create(WEB, quiet)
            if run:
                await link.hypercalls.unpause_domain(domid)
            await NativeToolstack(link).destroy(await lookup(link, domid))
            assert await everything(link) == before

    on(host, work)


# --- its guest is the host's to play with


def test_a_test_can_script_what_the_daemon_made(host: testing.Host) -> None:
    async def make(link: Link, builder: SimulatedBuilder) -> None:
        await link.hypercalls.unpause_domain(await builder.create(WEB, quiet))

    on(host, make)
    host.set_load("web", 0.5)
    host.ignore_shutdown("web")
    host.rename("web", "www")
    host.crash("www")
    with purevirt.open(host.uri) as connection:
        assert connection.lookup_by_name("www").state()[0] is DomainState.CRASHED
        host.destroy("www")
        assert [domain.name() for domain in connection.domains()] == ["Domain-0"]


# --- saved, restored, dumped


async def running(link: Link, builder: SimulatedBuilder) -> DomainInfo:
    domid = await builder.create(WEB, quiet)
    await link.hypercalls.unpause_domain(domid)
    node = f"/local/domain/{domid}/control/feature-suspend"
    watcher = await link.store.open_watcher()
    try:
        await watcher.add(node)
        while await link.store.read(node) != b"1":
            await watcher.next()
    finally:
        await watcher.close()
    return await lookup(link, domid)


def test_a_saved_domain_is_gone_and_can_be_restored(host: testing.Host, tmp_path: Path) -> None:
    path = str(tmp_path / "web.save")

    async def work(link: Link, builder: SimulatedBuilder) -> None:
        before = await everything(link)
        domain = await running(link, builder)
        await link.hypercalls.set_max_memory(domain.domid or 0, 131072)
        await builder.save(domain, path, quiet)
        assert await everything(link) == before
        saved = await builder.inspect(path)
        assert (saved.description.name, saved.description.uuid, saved.xen_version) == ("web", HANDLE, "4.17")
        restored = await lookup(link, await builder.restore(path, None, quiet))
        assert (restored.uuid, restored.name, restored.memory_kib) == (HANDLE, "web", domain.memory_kib)
        assert (restored.max_memory_kib, restored.flags) == (131072, "--p---")
        await NativeToolstack(link).destroy(restored)
        other = await builder.restore(path, saved.description._replace(name="again"), quiet)
        assert (await lookup(link, other)).name == "again"

    on(host, work)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert sorted(os.listdir(tmp_path)) == ["web.save"]


@pytest.mark.parametrize("where", ["missing/web.save", "there"])
def test_what_cannot_be_saved_goes_on(host: testing.Host, tmp_path: Path, where: str) -> None:
    (tmp_path / "there").write_text("precious")

    async def work(link: Link, builder: SimulatedBuilder) -> None:
        domain = await running(link, builder)
        with pytest.raises(OperationError, match=where):
            await builder.save(domain, str(tmp_path / where), quiet)
        after = await lookup(link, domain.domid or 0)
        assert "s" not in (after.flags or "")
        assert await link.store.read(f"/local/domain/{domain.domid}/control/shutdown") == b""

    on(host, work)
    assert (tmp_path / "there").read_text() == "precious"


def test_a_full_disk_lets_the_guest_go_on(
    host: testing.Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    async def work(link: Link, builder: SimulatedBuilder) -> None:
        domain = await running(link, builder)
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OperationError, match="no space left"):
            await builder.save(domain, str(tmp_path / "web.save"), quiet)
        monkeypatch.undo()
        assert "s" not in ((await lookup(link, domain.domid or 0)).flags or "")
        await builder.save(domain, str(tmp_path / "web.save"), quiet)

    on(host, work)
    assert os.listdir(tmp_path) == ["web.save"]


def test_a_guest_that_does_not_suspend_is_not_saved(host: testing.Host, tmp_path: Path) -> None:
    async def make(link: Link, builder: SimulatedBuilder) -> DomainInfo:
        return await running(link, builder)

    domain = on(host, make)
    host.ignore_shutdown("web")

    async def work(link: Link, builder: SimulatedBuilder) -> None:
        with pytest.raises(Timeout):
            await builder.save(domain, str(tmp_path / "web.save"), quiet)
        await link.hypercalls.pause_domain(domain.domid or 0)
        with pytest.raises(WrongState, match="paused"):
            await builder.save(await lookup(link, domain.domid or 0), str(tmp_path / "web.save"), quiet)

    on(host, work, suspend_wait=0.2)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("rounds", [1, 3, 10, 20, 40])
def test_a_save_that_is_cancelled_lets_the_guest_go_on(
    host: testing.Host, tmp_path: Path, rounds: int
) -> None:
    async def work(link: Link, builder: SimulatedBuilder) -> None:
        domain = await running(link, builder)
        task = asyncio.create_task(builder.save(domain, str(tmp_path / "web.save"), quiet))
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert "s" not in ((await lookup(link, domain.domid or 0)).flags or "")
        assert await link.store.read(f"/local/domain/{domain.domid}/control/shutdown") == b""
        await builder.save(domain, str(tmp_path / "web.save"), quiet)

    on(host, work)
    assert os.listdir(tmp_path) == ["web.save"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"LibxlFmt",
        b"purevirt simulated state 1\n{",
        b"purevirt simulated state 1\n[]",
        b'purevirt simulated state 1\n{"xen": "4.17", "record": 5, "memory_kib": 1, "vcpus": 1}',
        b'purevirt simulated state 1\n{"xen": "4.17", "record": "{}", "memory_kib": 1, "vcpus": 1}',
        b'purevirt simulated state 1\n{"xen": "4.17", "record": "{}", "memory_kib": -1, "vcpus": 1}',
        b"purevirt simulated state 1\n" + b"[" * 100000,
    ],
)
def test_what_is_no_saved_state_is_said_so(host: testing.Host, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state"
    path.write_bytes(content)

    async def work(link: Link, builder: SimulatedBuilder) -> None:
        with pytest.raises(ConfigError, match="state"):
            await builder.inspect(str(path))
        with pytest.raises(ConfigError):
            await builder.restore(str(path), None, quiet)
        with pytest.raises(ConfigError):
            await builder.inspect(str(tmp_path))

    on(host, work)


@pytest.mark.parametrize("how", [Dump(), Dump(live=True), Dump(crash=True)])
def test_a_dump_is_a_file_and_the_domain_is_as_it_was(host: testing.Host, tmp_path: Path, how: Dump) -> None:
    path = tmp_path / "core"

    async def work(link: Link, builder: SimulatedBuilder) -> None:
        domain = await running(link, builder)
        await builder.dump(domain, str(path), how, quiet)
        left = [each.domid for each in await link.driver.list_domains() if each.domid]
        assert left == ([] if how.crash else [domain.domid])
        if not how.crash:
            assert "p" not in ((await lookup(link, domain.domid or 0)).flags or "")
        with pytest.raises(ConfigError):
            await builder.inspect(str(path))

    on(host, work)
    head, _, body = path.read_bytes().partition(b"\n")
    assert head == b"purevirt simulated core 1"
    assert json.loads(body)["name"] == "web"


def test_it_leads_nowhere_else(host: testing.Host) -> None:
    async def work(link: Link, builder: SimulatedBuilder) -> None:
        domain = await running(link, builder)
        with pytest.raises(Unsupported):
            await builder.migrate(domain, Migration("elsewhere"), quiet)
        await builder.abandon(HANDLE.bytes)
        assert "p" not in ((await lookup(link, domain.domid or 0)).flags or "")

    on(host, work)
