"""The classic interface makes, keeps, saves and changes domains: over a simulated host."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purevirt import testing
from purevirt.channels.files import HostFiles
from purevirt.daemons.xend.classic import ClassicFace
from purevirt.daemons.xend.http import Request, Response
from purevirt.errors import Conflict, NoSuchDomain
from purevirt.formats.xend_sxpr import vm
from purevirt.model import Definition, DomainState, DomainType, Job, JobKind, JobState, Role
from purevirt.model.access import Caller
from purevirt.wire import sxp
from tests.daemons.xend.double import ADMIN, READER, Double, Guest
from tests.daemons.xend.managed.machine import UUID_TEXT, Daemon, daemon

OPERATOR = Caller(1000, 1000, 3, Role.OPERATOR)
CONFIG = (
    f"(vm (name web) (memory 64) (vcpus 1) (uuid {UUID_TEXT}) (on_poweroff destroy) (on_reboot restart) "
    "(on_crash destroy) (image (linux (kernel /boot/vmlinuz))) "
    "(device (vbd (uname file:/images/web) (dev xvda) (mode w))))"
)


class Old:
    """An old client of a daemon."""

    def __init__(self, xend: Daemon, root: str) -> None:
        self.xend = xend
        self.face = ClassicFace(xend.supervisor, HostFiles(root), keep=0.0)

    async def get(self, target: str, caller: Caller = ADMIN) -> Response:
        return await self.face(Request("GET", target, (("host", "xen"),), b"", caller))

    async def post(self, target: str, op: str, caller: Caller = ADMIN, /, **form: object) -> Response:
        headers = (("host", "xen"), ("content-type", "application/x-www-form-urlencoded"))
        return await self.face(
            Request("POST", target, headers, urlencode({"op": op, **form}).encode(), caller)
        )

    async def op(self, op: str, name: str = "web", caller: Caller = ADMIN, **form: object) -> Response:
        return await self.post(f"/xend/domain/{name}", op, caller, **form)

    async def names(self, state: str) -> bytes:
        return (await self.get(f"/xend/domain?state={state}")).body


def error(response: Response) -> str:
    (found,) = sxp.parse(response.body)
    assert isinstance(found, list)
    assert found[0] == "xend.err", response
    return str(found[1])


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(xend=False) as made:
        yield made


def on(host: testing.Host, work: Callable[[Old], Awaitable[None]]) -> None:
    async def main() -> None:
        async with asyncio.timeout(60), daemon(host) as xend:
            old = Old(xend, host.root)
            try:
                await work(old)
            finally:
                await old.face.close()

    asyncio.run(main())


def test_a_domain_is_created_and_left_paused(host: testing.Host) -> None:
    async def work(old: Old) -> None:
        made = await old.post("/xend/domain", "create", config=CONFIG)
        assert (made.status, made.reason) == (201, "created"), made.body
        assert dict(made.headers)["Location"] == "http://xen/xend/domain/web"
        assert b"(name web)" in made.body
        assert (await old.xend.call("domain_info", "web")).state is DomainState.PAUSED
        assert await old.names("halted") == b"()"
        disks = await old.xend.call("block_devices", "web")
        assert [disk.connected for disk in disks] == [False]
        assert (await old.op("wait_for_devices")).status == 202  # as its clients do before they unpause it
        assert (await old.op("unpause")).status == 200
        assert (await old.op("wait_for_devices")).status == 202
        assert [disk.connected for disk in await old.xend.call("block_devices", "web")] == [True]
        again = await old.post("/xend/domain", "create", config=CONFIG)
        assert (again.status, again.reason) == (500, "Request failed: create")
        assert "web" in error(again)

    on(host, work)


def test_a_domain_is_defined_shown_halted_started_and_deleted(host: testing.Host) -> None:
    async def work(old: Old) -> None:
        made = await old.post(
            "/xend/domain", "new", config=CONFIG.replace("(vm ", "(vm (on_xend_start start) ")
        )
        assert (made.status, made.body) == (200, b""), made.body
        assert (await old.xend.call("definition", "web")).autostart
        assert await old.names("halted") == b"(web)"
        assert b"web" not in await old.names("running")
        for name in ("web", UUID_TEXT):
            shown = (await old.get(f"/xend/domain/{name}")).body
            assert b"(status 0)" in shown
            assert b"(on_xend_start start)" in shown
            assert b"file:/images/web" in shown
        assert b"(name web)" in (await old.get("/xend/domain?state=all&detail=1")).body
        assert "is not running" in error(await old.op("pause"))
        assert b"51712 (vbd" in (await old.op("devices", type="vbd")).body
        assert (await old.op("start")).status == 202
        assert (await old.xend.call("domain_info", "web")).domid is not None
        assert "running already" in error(await old.op("start"))
        assert "only a halted one" in error(await old.op("delete"))
        assert (await old.op("destroy")).status == 202
        assert (await old.op("delete")).status == 202
        assert (await old.get("/xend/domain/web")).status == 404
        assert await old.xend.call("list_definitions") == []

    on(host, work)


def test_a_domain_is_saved_and_restored(host: testing.Host) -> None:
    async def work(old: Old) -> None:
        for directory in ("save", "dump"):
            await asyncio.to_thread(os.makedirs, f"{host.root}/var/lib/xen/{directory}", exist_ok=True)
        await old.post("/xend/domain", "create", config=CONFIG)
        await old.op("unpause")
        saved = await old.op("save", file="/var/lib/xen/save/web")
        assert (saved.status, saved.body) == (202, b""), saved.body
        assert (await old.get("/xend/domain/web")).status == 404
        back = await old.post("/xend/domain", "restore", file="/var/lib/xen/save/web")
        assert (back.status, back.body) == (201, b""), back.body
        assert dict(back.headers)["Location"] == "http://xen/xend/domain/web"
        assert (await old.xend.call("domain_info", "web")).state is not DomainState.PAUSED
        dumped = await old.op("dump", file="/var/lib/xen/dump/web", live=0, crash=0, reset=0)
        assert (dumped.status, dumped.body) == (202, b""), dumped.body
        assert "reset" in error(await old.op("dump", file="/x", live=0, crash=0, reset=1))
        missing = await old.post("/xend/domain", "restore", file="/nowhere")
        assert missing.status == 500
        assert "/nowhere" in error(missing)

    on(host, work)


def test_devices_are_changed_live_and_in_the_definition(host: testing.Host) -> None:
    disk = "(vbd (uname file:/images/web) (dev xvdb) (mode w))"

    async def work(old: Old) -> None:
        await old.post("/xend/domain", "new", config=CONFIG)
        # halted: the definition alone
        added = await old.op("device_create", config=disk)
        assert (added.status, added.body.startswith(b"(vbd ")) == (200, True), added.body
        assert "is in the definition" in error(await old.op("device_create", config=disk))
        assert "rm_cfg=1" in error(await old.op("device_destroy", type="vbd", dev="51728", force=0, rm_cfg=0))
        gone = await old.op("device_destroy", type="vbd", dev="51728", force=0, rm_cfg=1)
        assert gone.status == 200, gone.body
        assert b"xvdb" not in (await old.op("devices", type="vbd")).body
        medium = "(vbd (uname file:/images/other) (dev xvda) (mode w))"
        assert (await old.op("device_configure", config=medium, dev="xvda")).status == 200
        assert b"/images/other" in (await old.op("devices", type="vbd")).body
        assert "xvda" in error(await old.op("device_configure", config=medium, dev="xvdc"))
        # running: both
        await old.op("start")
        added = await old.op("device_create", config=disk)
        assert added.status == 200, added.body
        assert b"xvdb" in added.body
        assert b"51728 (vbd" in (await old.op("devices", type="vbd")).body
        assert "xvdb" in (await old.xend.call("definition_text", "web")).text
        wrong = await old.op("device_destroy", type="vbd", dev="51792", force=0, rm_cfg=0)
        assert error(wrong) == "Device 51792 not connected"
        gone = await old.op("device_destroy", type="vbd", dev="xvdb", force=1, rm_cfg=1)
        assert gone.status == 200, gone.body
        assert b"xvdb" not in (await old.op("devices", type="vbd")).body
        assert "xvdb" not in (await old.xend.call("definition_text", "web")).text

    on(host, work)


def test_the_definition_of_a_domain_that_does_not_run_is_changed(host: testing.Host) -> None:
    async def work(old: Old) -> None:
        await old.post("/xend/domain", "new", config=CONFIG.replace("(memory 64)", "(memory 64) (maxmem 96)"))
        for op, form, body in (
            ("mem_target_set", {"target": 32}, b""),
            ("maxmem_set", {"memory": 48}, b""),
            ("set_vcpus", {"vcpus": 3}, b""),
            ("pincpu", {"vcpu": 1, "cpumap": "2,0"}, b"0"),
            ("domain_sched_credit_set", {"weight": 512, "cap": 50}, b"0"),
        ):
            done = await old.op(op, **form)
            assert (done.status, done.body) == (200, body), (op, done.body)
        shown = (await old.get("/xend/domain/web")).body
        for pair in (
            b"(memory 32)",
            b"(maxmem 48)",
            b"(vcpus 3)",
            b"(cpus (() (0 2) ()))",
            b"(cpu_weight 512)",
            b"(cpu_cap 50)",
        ):
            assert pair in shown, pair
        assert (await old.op("domain_sched_credit_get")).body == b"\"{'cap': 50, 'weight': 512}\""
        assert (await old.op("set_vcpus", vcpus=1)).status == 200
        assert (await old.op("pincpu", vcpu="all", cpumap="1")).status == 200
        assert b"(cpus ((1)))" in (await old.get("/xend/domain/web")).body
        text = (await old.xend.call("definition_text", "web")).text
        for op, form, words in (
            ("mem_target_set", {"target": 49}, "target: expected 1 to 48 MiB"),
            ("maxmem_set", {"memory": 0}, "memory: expected at least 1 MiB"),
            ("set_vcpus", {"vcpus": 0}, "vcpus: expected 1 to"),
            ("set_vcpus", {"vcpus": 10**30}, "vcpus: expected 1 to"),
            ("pincpu", {"vcpu": 1, "cpumap": "0"}, "vcpu: expected 0 to 0, found 1"),
            ("pincpu", {"vcpu": 0, "cpumap": "-1"}, "cpumap: expected"),
            ("domain_sched_credit_set", {"weight": 0}, "weight: expected 1 to 65535"),
            ("domain_sched_credit_set", {"cap": -1}, "cap: expected 0 to"),
        ):
            assert words in error(await old.op(op, **form))
            assert (await old.op(op, caller=READER, **form)).status == 403
        assert (await old.xend.call("definition_text", "web")).text == text

    on(host, work)


def test_what_a_definition_says_of_a_domain_that_runs_is_shown(host: testing.Host) -> None:
    async def work(old: Old) -> None:
        await old.post("/xend/domain", "new", config=CONFIG)
        await old.op("start")
        for target in ("/xend/domain/web", "/xend/domain?detail=1"):
            shown = (await old.get(target)).body
            for pair in (
                b"(status 2)",
                b"(on_reboot restart)",
                b"(kernel /boot/vmlinuz)",
                b"(on_crash destroy)",
            ):
                assert pair in shown, (target, pair)

    on(host, work)


def test_a_domain_that_is_saved_to_go_on_later_is_not_deleted(host: testing.Host) -> None:
    async def work(old: Old) -> None:
        await old.post("/xend/domain", "new", config=CONFIG)
        await old.op("start")
        await old.xend.done("managed_save", "web")
        assert [await old.names(state) for state in ("halted", "suspended")] == [b"()", b"(web)"]
        for target in ("/xend/domain/web", "/xend/domain?state=suspended&detail=1"):
            assert b"(status 3)" in (await old.get(target)).body
        refused = await old.op("delete")
        assert refused.status == 500
        assert "saved state" in error(refused)
        assert (await old.op("start")).status == 202
        await old.op("destroy")
        assert (await old.op("delete")).status == 202

    on(host, work)


VM = "(vm (name web) (memory 64) (image (linux (kernel /boot/vmlinuz))))"


def asked(double: Double, *requests: Request) -> list[Response]:
    """What one face answers to one after the other."""

    async def run() -> list[Response]:
        face = ClassicFace(double, HostFiles("/nowhere"), keep=0.0)
        return [await face(request) for request in requests]

    return asyncio.run(run())


def web(revision: int = 1) -> Definition:
    handle = UUID(UUID_TEXT).bytes
    return Definition(handle, "web", revision, "xen-sxpr", DomainType.PV, 65536, 65536, 1, 1)


def test_a_definition_is_read_once_for_each_revision() -> None:
    double = Double([], definitions=[web()], texts={"web": VM})
    listing = Request("GET", "/xend/domain?state=all&detail=1", (), b"", ADMIN)

    async def run() -> list[bytes]:
        face = ClassicFace(double, HostFiles("/nowhere"), keep=0.0)
        bodies = [(await face(listing)).body for _ in range(3)]
        assert double.reads.count("definition_text") == 1
        double.definitions[0] = web(2)._replace(autostart=True)
        double.texts["web"] = VM.replace("64", "32")
        bodies.append((await face(listing)).body)
        assert double.reads.count("definition_text") == 2
        double.definitions.clear()
        bodies.append((await face(listing)).body)
        return bodies

    first, second, third, changed, gone = asyncio.run(run())
    assert first == second == third
    assert b"(memory 64)" in first
    assert b"(on_xend_start ignore)" in first
    assert b"(memory 32)" in changed
    assert b"(on_xend_start start)" in changed
    assert gone == b"()"


def test_a_domain_that_is_being_torn_down_hides_no_definition() -> None:
    dying = Guest(3, UUID_TEXT, "web", 0, 64, 1, 0, "--ps-d")
    double = Double([dying], definitions=[web()], texts={"web": VM}, answers={"start": _ended()})
    shown, halted, started = asked(
        double,
        Request("GET", "/xend/domain/web", (), b"", ADMIN),
        Request("GET", "/xend/domain?state=halted", (), b"", ADMIN),
        Request("POST", "/xend/domain/web?op=start", (), b"", ADMIN),
    )
    assert b"(status 0)" in shown.body
    assert halted.body == b"(web)"
    assert started.status == 202


def _ended() -> Job:
    return Job(1, JobKind.START, UUID(UUID_TEXT), "web", JobState.DONE, 1, 0.0)


def test_a_domain_that_is_deleted_meanwhile_is_not_changed() -> None:
    double = Double([], definitions=[web()], texts={"web": VM})
    double.failing["definition_text"] = NoSuchDomain("the Xen daemon has no definition of domain web")
    config = urlencode({"config": "(vbd (dev xvdb) (uname file:/b))"})
    for asking in (f"op=device_create&{config}", "op=set_vcpus&vcpus=2"):
        (answer,) = asked(double, Request("POST", f"/xend/domain/web?{asking}", (), b"", ADMIN))
        assert (answer.status, "no definition of domain web" in error(answer)) == (500, True)
    assert double.changes == []


def test_whoever_was_slower_at_changing_a_definition_is_told() -> None:
    double = Double([], definitions=[web()], texts={"web": VM})
    double.failing["define"] = Conflict(
        "the definition of web has changed meanwhile: it is of revision 2, not 1"
    )
    (answer,) = asked(double, Request("POST", "/xend/domain/web?op=set_vcpus&vcpus=2", (), b"", ADMIN))
    assert answer.status == 500
    assert "changed meanwhile" in error(answer)


def test_an_interface_is_the_same_one_live_and_in_the_definition(host: testing.Host) -> None:
    """Numbers in the guest are given again, and are not the places in a definition."""

    def vif(last: int) -> str:
        return f"(vif (mac 00:16:3e:00:00:0{last}) (bridge xenbr0))"

    async def macs(old: Old) -> tuple[dict[str | None, int], list[str | None]]:
        live = {nic.mac: nic.number for nic in await old.xend.call("interfaces", "web")}
        text = (await old.xend.call("definition_text", "web")).text
        return live, [nic.mac for nic in vm.parse(text).description.interfaces]

    async def work(old: Old) -> None:
        one, two, three = (f"00:16:3e:00:00:0{last}" for last in (1, 2, 3))
        await old.post("/xend/domain", "new", config=f"{CONFIG[:-1]} (device {vif(1)}))")
        await old.op("start")
        assert (await old.op("device_create", config=vif(2))).status == 200
        assert await macs(old) == ({one: 0, two: 1}, [one, two])
        assert (await old.op("device_destroy", type="vif", dev=0, force=1, rm_cfg=1)).status == 200
        assert await macs(old) == ({two: 1}, [two])
        # of an expression without an address, `dev` says which it is about
        moved = await old.op("device_configure", config="(vif (bridge xenbr1))", dev=1)
        assert moved.status == 200, moved.body
        assert await macs(old) == ({two: 1}, [two])
        assert "xenbr1" in (await old.xend.call("definition_text", "web")).text
        assert (
            error(await old.op("device_configure", config=vif(3), dev=1)) == f"dev: 1 is {two}, not {three}"
        )
        assert "7 not connected" in error(await old.op("device_configure", config=vif(3), dev=7))
        assert (await old.op("device_create", config=vif(3))).status == 200
        live, kept = await macs(old)
        assert kept == [two, three]
        gone = await old.op("device_destroy", type="vif", dev=live[two], force=1, rm_cfg=1)
        assert gone.status == 200, gone.body
        assert await macs(old) == ({three: live[three]}, [three])
        # one without an address is given one, which the definition then has
        assert (await old.op("device_create", config="(vif (bridge xenbr0))")).status == 200
        live, kept = await macs(old)
        assert (len(live), None in kept, set(kept)) == (2, False, set(live))
        gone = await old.op("device_destroy", type="vif", dev=three, force=1, rm_cfg=1)
        assert gone.status == 200, gone.body
        live, kept = await macs(old)
        assert (len(live), list(live)) == (1, kept)

    on(host, work)


def test_what_is_wrong_is_said_and_leaves_nothing(host: testing.Host) -> None:
    async def work(old: Old) -> None:
        for op in ("create", "new"):
            for config, words in (
                ("(vm (name web) (memory many))", "memory"),
                ("(domains)", "vm"),
                (CONFIG.replace("(name web) ", ""), "name"),
            ):
                refused = await old.post("/xend/domain", op, config=config)
                assert refused.status == 500, (op, config)
                assert words in error(refused)
            assert (await old.post("/xend/domain", op, READER, config=CONFIG)).status == 403
        for op in ("create", "new"):
            huge = CONFIG.replace("(memory 64)", f"(memory {10**30})")
            assert "memory.kib: a domain has at most" in error(
                await old.post("/xend/domain", op, config=huge)
            )
        large = CONFIG.replace("(memory 64)", "(memory 99999999)")
        assert "memory" in error(await old.post("/xend/domain", "create", config=large))
        assert await old.names("all") == b"(Domain-0 test)"
        await old.post("/xend/domain", "new", config=CONFIG)
        assert "one of the kinds vbd" in error(await old.op("device_create", config="(nothing (a b))"))
        assert "kind of device" in error(await old.op("device_destroy", type="x", dev="0", force=0, rm_cfg=1))
        migrate: dict[str, Any] = {"live": 1, "node": -1, "ssl": 0, "change_home_server": "no"}
        assert "ssh" in error(await old.op("migrate", destination="other", port=8002, **migrate))
        there = {**migrate, "node": 1}
        assert "node" in error(await old.op("migrate", destination="other", port=0, **there))
        assert (
            await old.op("migrate", caller=OPERATOR, destination="other", port=0, **migrate)
        ).status == 403

    on(host, work)


_WORDS = (
    "vm name web memory 64 vcpus 1 uuid image linux hvm kernel /boot/vmlinuz device vbd vif pci dev xvda uname "
    "file:/images/web mode w mac bridge xenbr0 on_crash -1 99999999999 '' domain"
)
_ATOMS = st.sampled_from(_WORDS.split())
_TREES: st.SearchStrategy[str] = st.deferred(
    lambda: _ATOMS | st.lists(_TREES, max_size=5).map(lambda of: f"({' '.join(of)})")
)


_KNOWN = (
    "name memory maxmem vcpus vcpu_avail cpus uuid on_crash on_xend_start bootloader cpu_weight image device"
)
_KEYS = st.sampled_from(_KNOWN.split())
_PAIRS = st.lists(st.tuples(_KEYS, _TREES).map(lambda pair: f"({pair[0]} {pair[1]})"), max_size=4).map(
    " ".join
)
_NEARLY = st.one_of(
    _PAIRS.map(lambda more: f"(vm (name other) (memory 8) (image (linux (kernel /boot/vmlinuz))) {more})"),
    _PAIRS.map(lambda more: f"(vm {more} (name other) (memory 8) (image (linux (kernel /boot/vmlinuz))))"),
    _TREES.map(lambda tree: f"(vbd (dev xvdb) (uname file:/images/b) (mode w) {tree})"),
    _TREES.map(lambda tree: f"(vif {tree})"),
)


def test_any_body_is_answered(host: testing.Host) -> None:
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(["create", "new", "device_create", "device_configure"]), _TREES | _NEARLY
            ),
            max_size=20,
        )
    )
    def fuzz(bodies: list[tuple[str, str]]) -> None:
        async def work(old: Old) -> None:
            await old.post("/xend/domain", "new", config=CONFIG)
            for op, config in bodies:
                if op.startswith("device"):
                    answer = await old.op(op, config=config, dev="xvda")
                else:
                    answer = await old.post("/xend/domain", op, config=config)
                assert answer.status in (200, 201, 404, 500)
                assert answer.status != 500 or error(answer)
            assert (await old.get("/xend/domain?state=all&detail=1")).status == 200

        on(host, work)

    fuzz()


class Slow(Double):
    """A supervisor whose job takes many looks."""

    looks = 0
    end = JobState.DONE

    def read_job(self) -> Job:
        self.looks += 1
        state = JobState.RUNNING if self.looks < 50 else self.end
        words = None if state is not JobState.FAILED else "xvda: the hotplug script failed"
        return Job(7, JobKind.SAVE, UUID(UUID_TEXT), "web", state, self.looks, 0.0, message=words)


@pytest.mark.parametrize("end", [JobState.DONE, JobState.FAILED, JobState.CANCELLED])
def test_a_job_is_waited_for_however_long_it_takes_and_its_error_is_told(end: JobState) -> None:
    """Fifty looks, of which each may last 20 s: longer than any call of the supervisor may."""
    begun = Job(7, JobKind.SAVE, UUID(UUID_TEXT), "web", JobState.RUNNING, 0, 0.0)
    double = Slow([Guest(1, UUID_TEXT, "web", 64, 64, 1, 0, "-b----")], answers={"save": begun})
    double.end = end
    form = urlencode({"op": "save", "file": "/x"}).encode()
    headers = (("content-type", "application/x-www-form-urlencoded"),)
    request = Request("POST", "/xend/domain/web", headers, form, ADMIN)
    answer = asyncio.run(ClassicFace(double, HostFiles("/nowhere"))(request))
    assert double.looks == 50
    if end is JobState.DONE:
        assert answer.status == 202
    else:
        words = {JobState.FAILED: "xvda: the hotplug script failed"}
        assert (answer.status, error(answer)) == (500, words.get(end, "save of domain web was cancelled"))
