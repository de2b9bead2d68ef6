"""Run in Domain 0 by test_xl_builder: what a builder with `xl` does there, step by step, told as JSON.

Each step tells what it saw, or the error it met; the test says what should have been seen. The builder has the daemon's
own link and toolstack, and no daemon: nobody else acts on these domains.
"""

# ruff: noqa: ASYNC230, ASYNC240 - nobody else waits for this loop

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from uuid import UUID

from purevirt.daemons.xend.link import Link
from purevirt.daemons.xend.toolstack.builder import Dump, Migration
from purevirt.daemons.xend.toolstack.native import NativeToolstack
from purevirt.daemons.xend.toolstack.xl import XlBuilder
from purevirt.errors import InvalidConfig, XenError
from purevirt.model import DomainInfo, DomainType
from purevirt.model.description import Boot, Disk, DiskFormat, DomainDescription, Interface, Memory

KERNEL = "console=hvc0 quiet loglevel=3 mitigations=off random.trust_cpu=on"
PV = DomainDescription(
    "built",
    uuid=UUID("6695a0c4-0000-4000-8000-00000000b001"),
    memory=Memory(96 << 10),
    boot=Boot(kernel="/boot/guest-kernel", ramdisk="/lab/guest.cpio", command_line=KERNEL),
    disks=(Disk("xvda", "/tmp/built.img", DiskFormat.RAW),),
    interfaces=(Interface(bridge="xenbr0"),),
)
PVH = PV._replace(
    name="moved",
    uuid=UUID("6695a0c4-0000-4000-8000-00000000b002"),
    type=DomainType.PVH,
    disks=(),
    interfaces=(),
)
FAILING = PV._replace(name="failing", uuid=UUID("6695a0c4-0000-4000-8000-00000000b003"))
HANGING = FAILING._replace(interfaces=(Interface(bridge="xenbr0", script="vif-hang"),))
MINI = DomainDescription(
    "mini",
    uuid=UUID("6695a0c4-0000-4000-8000-00000000b004"),
    memory=Memory(4 << 10),
    boot=Boot(kernel="/lab/mini.elf"),
)
SMALL = "/tmp/small"
SAVED = "/tmp/built.save"

Seen = dict[str, object]


def output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


def processes() -> list[str]:
    """Every `xl` there is: those that wait for other tests' domains as well."""
    return output("pgrep", "-a", "xl").splitlines()


def left() -> list[str]:
    """Everything in Domain 0 that has to do with a domain: processes, loop devices, nodes, libxl's files, runs."""
    shared = {"/libxl", "/vm", "/local/domain", "/local/domain/0/backend"}
    shared |= {f"/local/domain/0/backend/{kind}" for kind in ("vbd", "vif", "console")}
    nodes = {line.partition(" = ")[0] for line in output("xenstore-ls", "-f").splitlines()} - shared
    wanted = ("/libxl", "/vm", "/local/domain")
    files = [
        str(path)
        for path in (*Path("/var/lib/xen").glob("userdata-*"), *Path("/run/purevirt/build").glob("*"))
    ]
    ours = (
        node for node in nodes if node.startswith(wanted) and not node.startswith("/local/domain/0/control")
    )
    return sorted([*processes(), *output("losetup", "-a").splitlines(), *files, *ours])


class Steps:
    """What is told: a step's name, and what was seen in it."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.toolstack = NativeToolstack(link)
        self.builder = XlBuilder(link, self.toolstack)
        self.hasty = XlBuilder(link, self.toolstack, deadline=8)
        self.seen: dict[str, Seen] = {}
        self.said: list[tuple[str | None, float | None]] = []
        self.others = set(processes())

    def report(self, step: str | None, done: float | None) -> None:
        self.said.append((step, done))

    async def step(self, name: str, work: Callable[[], Awaitable[Seen | None]]) -> None:
        self.said.clear()
        began = time.monotonic()
        try:
            seen = await work() or {}
        except XenError as error:
            seen = {"error": error.kind, "message": str(error)}
            if isinstance(error, InvalidConfig):
                seen["problems"] = error.problems
        seen["xl"] = "\n".join(line for line in processes() if line not in self.others)
        seen["seconds"] = round(time.monotonic() - began, 1)
        self.seen[name] = seen
        print(f"{name}: {seen}", file=sys.stderr, flush=True)

    async def info(self, domid: int) -> DomainInfo | None:
        return next((one for one in await self.link.driver.list_domains() if one.domid == domid), None)

    async def found(self, domid: int) -> DomainInfo:
        info = await self.info(domid)
        assert info is not None, domid
        return info

    async def run_until_up(self, domid: int, name: str) -> bool:
        """Let it run, and wait until it says that it is up; whether it does."""
        log = f"/var/log/xen/console/guest-{name}.log"
        await self.link.hypercalls.unpause_domain(domid)
        script = 'until grep -q GUEST-UP "$1" 2>/dev/null; do sleep 0.1; done'
        waiting = await asyncio.create_subprocess_exec("timeout", "60", "sh", "-c", script, "sh", log)
        return await waiting.wait() == 0

    async def state(self, domid: int) -> Seen:
        info = await self.info(domid)
        return {"gone": True} if info is None else {"name": info.name, "flags": info.flags}

    # --- steps

    async def failing(self) -> None:
        """Nothing is left of any of these."""
        before = left()
        base = FAILING
        for name, description in (
            ("no disk", base._replace(disks=(Disk("xvda", "/tmp/nothere", DiskFormat.RAW),))),
            ("no kernel", base._replace(boot=Boot(kernel="/tmp/nothere"))),
            ("no bridge", base._replace(interfaces=(Interface(bridge="xenbr9"),))),
        ):
            await self.step(name, partial(self._create, self.builder, description))
            self.seen[name]["left"] = sorted(set(left()) ^ set(before))
        await self.step("hangs", lambda: self._create(self.hasty, HANGING))
        self.seen["hangs"]["left"] = sorted(set(left()) ^ set(before))
        await self.step("cancelled", self._cancelled)
        self.seen["cancelled"]["left"] = sorted(set(left()) ^ set(before))

    async def _create(self, builder: XlBuilder, description: DomainDescription) -> Seen:
        return {"domid": await builder.create(description, self.report)}

    async def _cancelled(self) -> Seen:
        reached = asyncio.Event()

        def report(step: str | None, done: float | None) -> None:
            if step == "setting up interfaces":
                reached.set()

        task = asyncio.create_task(self.builder.create(HANGING, report))
        await reached.wait()
        task.cancel()
        (how,) = await asyncio.gather(task, return_exceptions=True)
        return {"ended": type(how).__name__}

    async def checked(self, domid: int) -> None:
        bad = FAILING._replace(
            boot=Boot(kernel="/etc/passwd", ramdisk="/tmp"),
            disks=(Disk("xvda", "/tmp"), Disk("xvdb", "/tmp/built.img"), Disk("foo9", "/tmp/nothere")),
            interfaces=(Interface(bridge="xenbr9"), Interface(bridge="lo"), Interface(script="vif-nothere")),
        )
        await self.step("bad", lambda: self.builder.check(bad))
        await self.step("large", lambda: self.builder.check(MINI._replace(memory=Memory(99999 << 10))))
        await self.step("good", lambda: self.builder.check(PV))

    async def created(self) -> int:
        domid = -1

        async def work() -> Seen:
            nonlocal domid
            domid = await self.builder.create(PV, self.report)
            said = [one for one in self.said if one[0]]
            return {**await self.state(domid), "steps": said, "runs": os.listdir("/run/purevirt/build")}

        await self.step("created", work)
        assert await self.run_until_up(domid, PV.name)
        return domid

    async def saved(self, domid: int) -> None:
        info = await self.found(domid)
        await self.step("save to a full disk", lambda: self.builder.save(info, f"{SMALL}/x", self.report))
        self.seen["save to a full disk"] |= {**await self.state(domid), "files": os.listdir(SMALL)}
        await self.step("save to nowhere", lambda: self.builder.save(info, "/nowhere/x", self.report))
        self.seen["save to nowhere"] |= await self.state(domid)
        await self.step("save cancelled", lambda: self._save_cancelled(info))
        self.seen["save cancelled"] |= await self.state(domid)

        async def work() -> Seen:
            await self.builder.save(await self.found(domid), SAVED, self.report)
            mode = oct(os.stat(SAVED).st_mode & 0o777)
            counted = [done for _, done in self.said if done is not None]
            return {**await self.state(domid), "mode": mode, "last": counted[-1]}

        await self.step("saved", work)
        await self.step("inspected", partial(self._inspected, SAVED))
        Path("/tmp/cut.save").write_bytes(Path(SAVED).read_bytes()[:-100])
        await self.step("inspected cut", partial(self._inspected, "/tmp/cut.save"))
        os.unlink("/tmp/cut.save")
        again = -1

        async def back() -> Seen:
            nonlocal again
            again = await self.builder.restore(SAVED, None, self.report)
            return {**await self.state(again), "same": (await self.found(again)).uuid == PV.uuid}

        await self.step("restored", back)
        await self.link.hypercalls.unpause_domain(again)
        await self.dumped(again)

    async def _save_cancelled(self, info: DomainInfo) -> Seen:
        counting = asyncio.Event()

        def report(step: str | None, done: float | None) -> None:
            if done:
                counting.set()

        task = asyncio.create_task(self.builder.save(info, "/tmp/cancelled.save", report))
        await counting.wait()
        task.cancel()
        (how,) = await asyncio.gather(task, return_exceptions=True)
        names = [name for name in os.listdir("/tmp") if name.startswith("cancelled.save")]
        return {"ended": type(how).__name__, "files": names}

    async def _inspected(self, path: str) -> Seen:
        saved = await self.builder.inspect(path)
        said = saved.description
        return {
            "name": said.name,
            "uuid": str(said.uuid),
            "disks": [d.source for d in said.disks],
            "xen": saved.xen_version,
        }

    async def dumped(self, domid: int) -> None:
        async def work() -> Seen:
            await self.builder.dump(await self.found(domid), "/tmp/built.core", Dump(crash=True), self.report)
            with open("/tmp/built.core", "rb") as file:
                magic = file.read(4).decode("latin-1")
            mode = oct(os.stat("/tmp/built.core").st_mode & 0o777)
            return {**await self.state(domid), "magic": magic, "mode": mode}

        await self.step("dumped", work)
        mini = await self.builder.create(MINI, self.report)
        info = await self.found(mini)
        await self.step("dumped mini", lambda: self.builder.dump(info, "/tmp/mini.core", Dump(), self.report))
        await self.toolstack.destroy(info)

    async def moved(self) -> None:
        domid = await self.builder.create(PVH, self.report)
        while not await self.run_until_up(domid, PVH.name):  # emulation lets some die as they boot
            await self.toolstack.destroy(await self.found(domid))
            domid = await self.builder.create(PVH, self.report)

        async def there() -> Seen:
            where = Migration("localhost", ("/tmp/here.sh",))
            await self.builder.migrate(await self.found(domid), where, self.report)
            now = [one for one in await self.link.driver.list_domains() if one.uuid == PVH.uuid]
            return {"then": await self.state(domid), "now": [[one.name, one.flags] for one in now]}

        await self.step("moved", there)
        (now,) = [one for one in await self.link.driver.list_domains() if one.uuid == PVH.uuid]
        nowhere = Migration("localhost", ("/bin/false",))
        await self.step("moved nowhere", lambda: self.builder.migrate(now, nowhere, self.report))
        assert now.domid is not None
        self.seen["moved nowhere"] |= await self.state(now.domid)
        await self.toolstack.destroy(now)

    async def abandoned(self) -> None:
        """Another process builds, and is killed in the middle of it."""
        before = left()

        async def work() -> Seen:
            child = await asyncio.create_subprocess_exec(
                sys.executable, __file__, "hang", stdout=asyncio.subprocess.PIPE
            )
            assert child.stdout is not None
            await child.stdout.readline()
            child.send_signal(signal.SIGKILL)
            await child.wait()
            working = len(output("pgrep", "-f", "vif-hang").split())
            assert FAILING.uuid is not None
            await self.builder.abandon(FAILING.uuid.bytes)
            for info in await self.link.driver.list_domains():
                if info.uuid == FAILING.uuid:
                    await self.toolstack.destroy(info)
            return {"working": working > 0, "left": sorted(set(left()) ^ set(before))}

        await self.step("abandoned", work)


def prepare() -> None:
    for log in Path("/var/log/xen/console").glob("guest-*.log"):
        if log.name in (f"guest-{PV.name}.log", f"guest-{PVH.name}.log"):
            log.unlink()  # a log begins anew with its guest
    for path in ("/tmp/built.img",):
        with open(path, "wb") as file:
            file.truncate(16 << 20)
    os.makedirs(SMALL, exist_ok=True)
    subprocess.run(["umount", "-q", SMALL], check=False)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", SMALL], check=True)
    for path, text in (
        ("/etc/xen/scripts/vif-hang", "#!/bin/sh\n[ $1 != online ] || sleep 300\n"),
        ("/tmp/here.sh", '#!/bin/sh\nshift\nexec "$@"\n'),
    ):
        Path(path).write_text(text)
        os.chmod(path, 0o755)


async def hang(link: Link) -> None:
    def report(step: str | None, done: float | None) -> None:
        if step == "setting up interfaces":
            print(step, flush=True)

    await XlBuilder(link, NativeToolstack(link)).create(HANGING, report)


async def in_the_end(before: list[str]) -> list[str]:
    """What is there that was not, or the reverse: the kernel lets go of a loop device when udev has looked at it."""
    end = time.monotonic() + 10
    while (found := sorted(set(left()) ^ set(before))) and time.monotonic() < end:
        pause = await asyncio.create_subprocess_exec("sleep", "0.2")
        await pause.wait()
    return found


async def main() -> None:
    link = Link("")
    await link.open()
    if sys.argv[1:] == ["hang"]:
        await hang(link)
        return
    prepare()
    steps = Steps(link)
    before = left()
    if "failing" in sys.argv:
        await steps.failing()
        await steps.abandoned()
    if "saving" in sys.argv:
        domid = await steps.created()
        await steps.checked(domid)
        await steps.saved(domid)
    if "moving" in sys.argv:
        await steps.moved()
    steps.seen["end"] = {"left": await in_the_end(before)}
    await link.close()
    print(json.dumps(steps.seen))


if __name__ == "__main__":
    asyncio.run(main())
