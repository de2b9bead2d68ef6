"""`boot`: from a recipe to a `Host` that answers, and to its end.

A boot under emulation can get stuck. One that does not answer within its deadline is tried once more, and the
lab says so; a second failure is an error with the end of the console.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lab import apt, image, initrd, recipe
from lab.client import Client
from lab.errors import LabError, say
from lab.host import Host
from lab.image import Image
from lab.qemu import Qemu

#: Xen's and Linux's own last words, and the agent's.
_FAILURES = ("LAB-FAILED", "Kernel panic", "Panic on CPU", "Domain 0 crashed")
_KEPT_RUNS = 5


class _BootFailedError(Exception):
    """One attempt failed; the text says how."""


@contextlib.contextmanager
def boot(
    xen: str = "4.17",
    *,
    memory_mb: int = 6144,
    dom0_memory_mb: int = 2048,
    share: str | Path | None = None,
    store: str = "oxenstored",
    deadline: float | None = None,
    xsave: bool = False,
) -> Iterator[Host]:
    """Boot Xen and a Domain 0 in QEMU; the context's value answers commands, its end is the machine's.

    `memory_mb` is the whole machine's, `dom0_memory_mb` Domain 0's part; the rest is for guests. The
    directory `share` appears in Domain 0 as /share, read-only. `store` is the XenStore daemon, "oxenstored"
    or "xenstored". `deadline` is in seconds, per attempt: default `$PUREVIRT_LAB_DEADLINE`, or 120. `xsave`:
    with the XSAVE that real hosts have, and with processes that die now and then (see `qemu`).
    """
    if store not in ("oxenstored", "xenstored"):
        raise LabError(f"unknown XenStore daemon {store!r}; there are oxenstored and xenstored")
    if share is not None and not Path(share).is_dir():
        raise LabError(f"cannot share {share}: it is no directory")
    if deadline is None:
        deadline = float(os.environ.get("PUREVIRT_LAB_DEADLINE", "120"))
    chosen = recipe.find(xen)
    built = image.ensure(chosen)
    apt.ensure(apt.BOOT_TOOLS)
    config = {"store": store, "token": secrets.token_hex(16), "share": "yes" if share is not None else ""}
    started = time.monotonic()
    client = None
    for attempt in (1, 2):
        qemu = _start(
            built,
            config,
            memory_mb=memory_mb,
            dom0_memory_mb=dom0_memory_mb,
            share=Path(share) if share is not None else None,
            xsave=xsave,
        )
        try:
            client = _wait_until_ready(qemu, config["token"], deadline)
            break
        except _BootFailedError as failure:
            tail = qemu.console_tail()
            qemu.stop()
            if attempt == 2:
                raise LabError(
                    f"the second boot failed too: {failure}; {qemu.console} ends:\n{tail}"
                ) from None
            say(f"the boot failed: {failure}; trying once more ({qemu.console})")
        except BaseException:
            qemu.stop()
            raise
    assert client is not None
    seconds = time.monotonic() - started
    say(f"Xen {xen} booted in {seconds:.0f} s")
    try:
        yield Host(built, qemu, client, xen=xen, boot_seconds=seconds)
    finally:
        qemu.stop()


def _start(
    built: Image,
    config: dict[str, str],
    *,
    memory_mb: int,
    dom0_memory_mb: int,
    share: Path | None,
    xsave: bool,
) -> Qemu:
    run_dir = _new_run_dir()
    with open(os.open(run_dir / "initrd.img", os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
        file.write(initrd.dom0(built, config))
    return Qemu(built, run_dir, memory_mb=memory_mb, dom0_memory_mb=dom0_memory_mb, share=share, xsave=xsave)


def _new_run_dir() -> Path:
    """A directory for this boot; those of the last few boots are kept for their console logs."""
    runs = recipe.cache_dir() / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    for old in sorted(runs.iterdir(), key=lambda path: path.name)[:-_KEPT_RUNS]:
        if not _in_use(old):
            shutil.rmtree(old, ignore_errors=True)
    return Path(tempfile.mkdtemp(prefix=time.strftime("%Y%m%d-%H%M%S-") + f"{os.getpid()}-", dir=runs))


def _in_use(run_dir: Path) -> bool:
    """Whether the process that made a run's directory still lives."""
    return Path("/proc", run_dir.name.split("-")[2]).exists()


def _wait_until_ready(qemu: Qemu, token: str, deadline: float) -> Client:
    """Watch the console until the agent says that it listens, then ask it something."""
    until = time.monotonic() + deadline
    position, text = 0, ""
    while "LAB-READY" not in text:
        if time.monotonic() > until:
            raise _BootFailedError(f"it did not answer within {deadline:g} s")
        if qemu.ended():
            raise _BootFailedError("QEMU ended")
        time.sleep(0.1)
        with open(qemu.console, "rb") as console:
            console.seek(position)
            text = text[-200:] + console.read().decode(errors="replace")
            position = console.tell()
        found = [failure for failure in _FAILURES if failure in text]
        if found:
            time.sleep(0.5)  # let the rest of the message reach the file
            raise _BootFailedError(f"its console says {found[0]!r}")
    client = Client(qemu.port, token)
    try:
        client.run(["true"], timeout=30)
    except LabError as error:
        raise _BootFailedError(str(error)) from error
    return client
