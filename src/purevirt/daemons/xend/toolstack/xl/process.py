"""`xl` as a process that is looked after: started in a session of its own, listened to, ended with all it has started.

Where systemd runs, it also gets a scope of its own: whatever `xl` leaves running for the domain (QEMU) must not end
when the daemon's unit is stopped. Everything that is started carries a mark in its environment, one for each run, which
children inherit however they detach themselves: that is how they are found again, by this daemon or by the next. A run
that ended well is over, so what it left running on purpose is never looked for.

What it says goes to memory, not into a pipe. A program that stays would keep a pipe open, and a daemon that is killed
would take `xl` with it, by SIGPIPE, at an instant of nobody's choosing. Nothing tells when something was written there,
so it is looked at a few times a second; the end is told at once, by a pidfd.

Where `xl` is sending a domain's state away, it must not be killed as long as anything else helps: the guest would stay
suspended. The process that does the sending, libxl's helper, takes SIGTERM as an error of the file it writes to; `xl`
then lets the guest go on, and ends. See libxl_save_helper.c.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import NamedTuple, TypeVar

from purevirt.daemons.xend.toolstack.xl.output import Said

__all__ = ["MARK", "Ended", "end_all", "marked", "run", "to_its_end"]

MARK = "PUREVIRT_BUILD"
"""The variable of the environment that says which run a process belongs to."""

R = TypeVar("R")

_GRACE = 3.0  # seconds between SIGTERM and SIGKILL
_HELPERS_GRACE = 75.0  # for `xl` to let a guest go on: it gives a guest 60 s to answer, and asks it no less
_PATIENCE = 10.0  # for processes to be gone after SIGKILL; one in an uninterruptible call takes its time
_LOOK = 0.1
_CHUNK = 1 << 16
_TRUNCATED_AT = 1 << 20  # bytes; what was read is given back
_MOST = 64 << 20  # bytes that are not read yet; then what was said in the middle is lost
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_KEPT_VARIABLES = ("HOME", "LOGNAME", "SSH_AUTH_SOCK", "USER")  # what ssh, the way to another host, goes by
_SYSTEMD = "/run/systemd/system"


class Ended(NamedTuple):
    """How it ended: its status (negative: the signal), and what it said, without the middle of very much."""

    status: int
    output: str


async def run(
    arguments: Sequence[str],
    mark: str,
    on_line: Callable[[str], None],
    *,
    seconds: float | None = None,
    sends: bool = False,
    path: str = _PATH,
) -> Ended:
    """Run it to its end. TimeoutError: it took longer than `seconds`; OSError: it cannot be started.

    When this raises, or its task is cancelled, nothing of what was started runs any more, but for device models.
    `sends`: it sends a domain's state away, and is ended as said above. `path` is where programs are looked for.
    """
    environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    environment.update({"PATH": path, "LC_ALL": "C", MARK: mark})
    fd = os.memfd_create("xl")
    try:
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
        process = subprocess.Popen(  # noqa: ASYNC220 - returns when the program has been started
            [*_scope(path, mark), *arguments],
            env=environment,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=fd,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(seconds):
                output = await _follow(process.pid, fd, on_line)
            return Ended(process.wait(), output)
        except BaseException:
            await to_its_end(_end(process, mark, sends))
            raise
    finally:
        os.close(fd)


async def _follow(pid: int, fd: int, on_line: Callable[[str], None]) -> str:
    said = Said(on_line)
    offset = 0
    with _watched(pid) as gone:
        over = False
        while not over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await gone.wait()
            over = gone.is_set()
            while data := os.pread(fd, _CHUNK, offset):
                offset += len(data)
                said.feed(data)
                await asyncio.sleep(0)  # a flood is not to keep others waiting
                if os.fstat(fd).st_size > _MOST:
                    os.ftruncate(fd, 0)
                    offset = 0
            if offset > _TRUNCATED_AT and not over:  # all was read, but for what came this instant
                os.ftruncate(fd, 0)
                offset = 0
    return said.finish()


@contextlib.contextmanager
def _watched(pid: int) -> Iterator[asyncio.Event]:
    """An event that is set when the process has ended (Linux 5.3). ProcessLookupError: there is none."""
    loop = asyncio.get_running_loop()
    gone = asyncio.Event()
    fd = os.pidfd_open(pid)
    loop.add_reader(fd, gone.set)
    try:
        yield gone
    finally:
        loop.remove_reader(fd)
        os.close(fd)


def _scope(path: str, mark: str) -> tuple[str, ...]:
    """What to put before the command: systemd-run becomes the command, once the scope is there."""
    program = shutil.which("systemd-run", path=path) if os.path.isdir(_SYSTEMD) else None
    if program is None:
        return ()
    return (program, "--scope", "--quiet", "--collect", f"--description=purevirt: {mark}", "--")


# --- ending


async def to_its_end(work: Coroutine[object, object, R]) -> R:
    """Await work that must be finished, however often the task is cancelled meanwhile; then that is told."""
    task = asyncio.ensure_future(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except BaseException:  # the task's own, raised below
            break
    if cancelled is not None and not task.cancelled() and task.exception() is None:
        raise cancelled
    return task.result()


async def _end(process: subprocess.Popen[bytes], mark: str, sends: bool) -> None:
    """End a child of ours, its group, and whatever else belongs to the run."""
    if sends:
        await _let_go_on(mark, lambda: process.poll() is None)
    for number, patience in ((signal.SIGTERM, _GRACE), (signal.SIGKILL, _PATIENCE)):
        if process.poll() is None:
            os.killpg(process.pid, number)
            await _reap(process, patience)
    await end_all(mark)


async def _reap(process: subprocess.Popen[bytes], patience: float) -> None:
    if process.poll() is None:
        with _watched(process.pid) as gone, contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await gone.wait()
        process.poll()


async def end_all(mark: str, *, sends: bool = False) -> None:
    """End every process of that run, its device model excepted; they are gone when this returns.

    TimeoutError: one is not, not even after SIGKILL. `sends`: as for `run`.
    """
    if sends:
        await _let_go_on(mark, lambda: bool(marked(mark)))
    await _signal(marked(mark), signal.SIGTERM, _GRACE)
    left: list[int] = []
    for _ in range(3):  # what is being started this moment may be missed once
        left = await _signal(marked(mark), signal.SIGKILL, _PATIENCE)
        if not marked(mark):
            return
    raise TimeoutError(f"processes that do not end: {', '.join(map(str, left or marked(mark)))}")


async def _let_go_on(mark: str, going_on: Callable[[], bool]) -> None:
    """Stop the helpers that send a state away, those that are still to come as well, and give `xl` time to end."""
    stopped: set[int] = set()
    clock = asyncio.get_running_loop().time
    end = clock() + _HELPERS_GRACE
    while going_on() and clock() < end:
        for pid in marked(mark):
            with contextlib.suppress(OSError):
                if pid not in stopped and b"--save-domain" in _words(pid, "cmdline"):
                    os.kill(pid, signal.SIGTERM)
                    stopped.add(pid)
        await asyncio.sleep(_LOOK)


async def _signal(pids: Sequence[int], number: int, patience: float) -> list[int]:
    """Send it to each, and wait for them together; those that are still there."""
    events = {}
    late = []
    with contextlib.ExitStack() as stack:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                event = stack.enter_context(_watched(pid))
                os.kill(pid, number)
                events[pid] = event
        end = asyncio.get_running_loop().time() + patience
        for pid, gone in events.items():
            try:
                async with asyncio.timeout_at(end):
                    await gone.wait()
            except TimeoutError:
                late.append(pid)
    return late


def marked(mark: str) -> list[int]:
    """The processes of that run, in order of their ids; not a device model, which ends with its domain.

    What cannot be read belongs to others, or has ended.
    """
    wanted = f"{MARK}={mark}".encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            pid = int(name)
            with contextlib.suppress(OSError):
                if wanted in _words(pid, "environ") and b"-xen-domid" not in _words(pid, "cmdline"):
                    found.append(pid)
    return sorted(found)


def _words(pid: int, file: str) -> list[bytes]:
    with open(f"/proc/{pid}/{file}", "rb") as opened:
        return opened.read().split(b"\0")
