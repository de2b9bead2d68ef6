"""Run in Domain 0 by test_managed_killed: the daemon is killed in the middle of one deed after the other, and started
again; what there is then is looked at by other means than its own. Told as JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import purevirt
from purevirt.errors import XenError

UUID = "6695a0c4-0000-4000-8000-00000000d001"
NAME = "killed"
IMAGE = "/var/lib/xen/images/killed.img"
SAVED = "/tmp/killed.save"
WORDS = "console=hvc0 quiet loglevel=3 mitigations=off random.trust_cpu=on sysrq_always_enabled"
TEXT = f"""name = "{NAME}"
uuid = "{UUID}"
memory = 96
kernel = "/boot/guest-kernel"
ramdisk = "/lab/guest.cpio"
cmdline = "{WORDS}"
disk = ["{IMAGE},raw,xvda,rw"]
vif = ["bridge=xenbr0"]
on_crash = "restart"
"""


class Daemon:
    """A life of it, and the next."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def begin(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "purevirt", "xend"], stdout=subprocess.PIPE, stderr=sys.stderr, text=True
        )
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == "ready":
                return
        raise SystemExit("the daemon does not start")

    def kill(self) -> None:
        assert self._process is not None
        with self._process as process:
            process.kill()


def deeds(host: purevirt.Connection) -> list[tuple[str, Callable[[], object]]]:
    """What is done in each round, and when it is cut off in it: each finds what the one before has left, or is
    refused."""

    def web() -> purevirt.Domain:
        return host.lookup(NAME)

    return [
        ("start", lambda: web().start()),
        ("start", lambda: web().start()),
        ("managed save", lambda: web().managed_save()),
        ("managed save", lambda: web().managed_save()),
        ("start from it", lambda: web().start()),
        ("start from it", lambda: web().start()),
        ("save", lambda: web().save(SAVED)),
        ("restore", lambda: host.restore(SAVED)),
        ("reboot", lambda: web().reboot()),
        ("crash", lambda: web().send_sysrq("c")),
        ("dump", lambda: web().dump(f"/tmp/killed-{time.monotonic_ns()}.core")),
        ("destroy", lambda: web().destroy()),
    ]


def settled() -> None:
    """Wait until no job is under way, and the domain is not one that has stopped and is still there."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        with purevirt.open() as host:
            busy = host.jobs(active=True)
            for job in busy:
                with contextlib.suppress(XenError):
                    host.wait_for_job(job)
            stopped = [
                info
                for info in host.domain_infos()
                if info.name == NAME and info.state.name in ("CRASHED", "SHUTDOWN")
            ]
            if not busy and not stopped:
                return
        threading.Event().wait(0.3)
    raise SystemExit("the host does not come to rest")


def wrong() -> list[str]:
    """What is not as it should be, by xl, the store, the processes and the files."""
    found = []
    known = json.loads(
        subprocess.run(["xl", "list", "-l"], capture_output=True, text=True, check=True).stdout
    )
    ours = [each for each in known if each["config"]["c_info"].get("name") == NAME]
    domids = {str(each["domid"]) for each in known}
    if len(ours) > 1:
        found.append(f"there are {len(ours)} of it")
    with purevirt.open() as host:
        domain = host.lookup(NAME)
        info, definition = domain.info(), domain.definition()
        if (info.domid is None) is not (not ours):
            found.append(f"the daemon says {info.domid}, and xl {ours!r}"[:300])
        if info.domid is not None and "p" in (info.flags or ""):
            found.append("it is paused, and nobody asked for that")
        if definition.managed_save and info.domid is not None:
            found.append("it runs, and has a saved state")
        there = (
            set(os.listdir("/var/lib/purevirt/save")) if os.path.isdir("/var/lib/purevirt/save") else set()
        )
        if there != ({f"{UUID}.save"} if definition.managed_save else set()):
            found.append(f"saved states are {there}")
        if domain.definition_text().text != TEXT:
            found.append("its definition is another")
        if any(job.state.name == "RUNNING" for job in host.jobs()):
            found.append("a job is not resolved")
        for path in ("/local/domain", "/libxl"):
            left = set(host.store.list(path)) - domids if host.store.exists(path) else set()
            if left:
                found.append(f"{path} has {left}, which are gone")
    pattern = "xl (-vvv )?(create -e|restore|save|migrate|dump)"
    running = subprocess.run(["pgrep", "-af", pattern], check=False, capture_output=True, text=True)
    if running.stdout:
        found.append(f"left running: {running.stdout}")
    if list(Path("/var/lib/xen/images").glob("*.part")) + list(Path("/tmp").glob("*.part")):
        found.append("a file is left half written")
    return found


def main() -> None:
    chance = random.Random(int(sys.argv[1]))
    Path(IMAGE).parent.mkdir(parents=True, exist_ok=True)
    with open(IMAGE, "wb") as image:
        image.truncate(16 << 20)
    daemon = Daemon()
    daemon.begin()
    with purevirt.open() as host:
        host.define(TEXT)
    rounds: list[dict[str, Any]] = []
    for number in range(12):
        host = purevirt.open()
        name, deed = deeds(host)[number]
        said: list[str] = []

        def act(deed: Callable[[], object] = deed, said: list[str] = said) -> None:
            try:
                deed()
                said.append("done")
            except XenError as error:
                said.append(f"{error.kind}: {error}")

        thread = threading.Thread(target=act)
        thread.start()
        seconds = chance.uniform(0.3, 5.0)
        threading.Event().wait(seconds)
        daemon.kill()
        thread.join()
        host.close()
        daemon.begin()
        settled()
        with purevirt.open() as again:
            job = again.jobs()[-1] if again.jobs() else None
        rounds.append(
            {
                "deed": name,
                "killed after": round(seconds, 1),
                "said": said[0][:120],
                "job": None if job is None else [job.kind.value, job.state.value, job.message],
                "wrong": wrong(),
            }
        )
        print(rounds[-1], file=sys.stderr, flush=True)
    with purevirt.open() as host:
        domain = host.lookup(NAME)
        with contextlib.suppress(XenError):
            domain.destroy()
        domain.undefine(managed_save=True)
    daemon.kill()
    print(json.dumps(rounds))


if __name__ == "__main__":
    main()
