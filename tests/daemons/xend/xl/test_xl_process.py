"""How a program is looked after: shell scripts that hang, flood, leave others behind or do not want to end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar

import pytest

from purevirt.daemons.xend.toolstack.xl import process
from purevirt.daemons.xend.toolstack.xl.output import Said

R = TypeVar("R")


def run(work: Coroutine[object, object, R]) -> R:
    return asyncio.run(asyncio.wait_for(work, 30))


@pytest.fixture
def mark(tmp_path: Path) -> str:
    return f"test.{tmp_path.name}.{os.getpid()}"


async def until(line: str, script: str, mark: str, *, sends: bool = False) -> asyncio.Task[process.Ended]:
    """A script that runs, and has said that line."""
    said = asyncio.Event()

    def heard(text: str) -> None:
        if text == line:
            said.set()

    task = asyncio.create_task(process.run(["sh", "-c", script], mark, heard, sends=sends))
    await said.wait()
    return task


def test_lines_are_told_as_they_come_and_all_is_kept(mark: str) -> None:
    lines: list[str] = []
    ended = run(
        process.run(["sh", "-c", "echo one; echo two >&2; printf '3\\r4'; exit 5"], mark, lines.append)
    )
    assert lines == ["one", "two", "3", "4"]
    assert ended == process.Ended(5, "one\ntwo\n3\r4")


def test_the_program_has_no_input_and_few_variables(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    ended = run(process.run(["sh", "-c", 'cat; echo "$SECRET$PUREVIRT_BUILD"; pwd'], mark, lambda _: None))
    assert ended == process.Ended(0, f"{mark}\n/\n")


def test_a_program_that_cannot_be_started_is_an_oserror(mark: str) -> None:
    with pytest.raises(FileNotFoundError):
        run(process.run(["/nowhere/xl"], mark, lambda _: None))


def test_a_program_that_stays_keeps_nobody_waiting(mark: str) -> None:
    async def body() -> None:
        ended = await process.run(["sh", "-c", "sleep 60 & echo $!"], mark, lambda _: None)
        assert process.marked(mark) == [int(ended.output)]
        await process.end_all(mark)
        assert process.marked(mark) == []

    run(body())


def test_a_deadline_ends_all_that_was_started(mark: str) -> None:
    script = "setsid sleep 61 & sleep 62 & sleep 63"
    with pytest.raises(TimeoutError):
        run(process.run(["sh", "-c", script], mark, lambda _: None, seconds=0.2))
    assert process.marked(mark) == []


def test_cancelling_ends_all_that_was_started(mark: str) -> None:
    async def body() -> None:
        task = await until("up", "setsid sleep 61 & echo up; sleep 62", mark)
        assert len(process.marked(mark)) == 3
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert process.marked(mark) == []

    run(body())


def test_what_does_not_hear_sigterm_is_killed(mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_GRACE", 0.1)

    async def body() -> None:
        task = await until("up", "trap '' TERM; echo up; while :; do sleep 60; done", mark)
        task.cancel()
        task.get_loop().call_later(0.05, task.cancel)  # the second one does not get in the way either
        with pytest.raises(asyncio.CancelledError):
            await task
        assert process.marked(mark) == []

    run(body())


def test_a_helper_that_sends_is_stopped_first_and_xl_ends_by_itself(mark: str, tmp_path: Path) -> None:
    """As libxl's does: SIGTERM reaches the helper alone, whose parent then puts things right."""
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\ntrap 'exit 1' TERM\necho up\nwhile :; do sleep 0.01; done\n")
    helper.chmod(0o755)
    witness = tmp_path / "witness"
    script = f"trap 'echo killed > {witness}' TERM; {helper} --save-domain; echo resumed > {witness}"

    async def body() -> None:
        task = await until("up", script, mark, sends=True)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(body())
    assert witness.read_text() == "resumed\n"


@pytest.mark.parametrize("abandoned", [False, True])
def test_a_helper_that_is_still_to_come_is_stopped_too(mark: str, tmp_path: Path, abandoned: bool) -> None:
    """Cancelled before it begins to send; and by a daemon that comes later."""
    helper = tmp_path / "helper"
    helper.write_text("#!/bin/sh\ntrap 'exit 1' TERM\nwhile :; do sleep 0.01; done\n")
    helper.chmod(0o755)
    witness = tmp_path / "witness"
    script = f"echo up; sleep 0.3; {helper} --save-domain; echo resumed > {witness}"

    async def body() -> None:
        task = await until("up", script, mark, sends=True)
        if abandoned:
            await process.end_all(mark, sends=True)
            assert (await task).status == 0
            return
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(body())
    assert witness.read_text() == "resumed\n"


def test_a_device_model_is_left_alone(mark: str, tmp_path: Path) -> None:
    pid, fifo = tmp_path / "pid", tmp_path / "fifo"
    os.mkfifo(fifo)
    model = f"echo $$ > {pid}; echo up; read x < {fifo}"  # in a session of its own, as libxl starts it
    script = f"setsid sh -c '{model}' qemu -xen-domid 7 & sleep 60"

    async def body() -> None:
        task = await until("up", script, mark)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(body())
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_only_the_run_that_is_meant_is_ended(mark: str) -> None:
    async def body() -> None:
        one = await until("up", "echo up; sleep 60", f"{mark}.1")
        other = await until("up", "echo up; sleep 61", f"{mark}.2")
        await process.end_all(f"{mark}.1")
        assert (await one).status == -signal.SIGTERM
        assert process.marked(f"{mark}.2") != []
        other.cancel()
        with pytest.raises(asyncio.CancelledError):
            await other

    run(body())


def test_a_flood_is_cut_in_the_middle_and_others_go_on(mark: str) -> None:
    turns = 0
    heard: list[int] = []

    async def body() -> process.Ended:
        nonlocal turns
        script = "echo first; yes | head -c 20000000; echo; echo last"
        task = asyncio.create_task(process.run(["sh", "-c", script], mark, lambda _: heard.append(turns)))
        while not task.done():
            await asyncio.sleep(0)
            turns += 1
        return await task

    ended = run(body())
    assert ended.status == 0
    assert ended.output.startswith("first\ny\n")
    assert ended.output.endswith("y\n\nlast\n")
    assert "[...]" in ended.output
    assert heard[-1] - heard[0] > 100  # 20 MB in pieces of 64 KiB, with a turn for others after each
    assert len(ended.output) < 1 << 18


def test_a_line_without_end_is_told_in_pieces() -> None:
    lines: list[str] = []
    said = Said(lines.append)
    for _ in range(100):
        said.feed(b"x" * 1000)
    said.feed(b"\xff\n")
    assert said.finish().endswith("x\\xff\n")
    assert all(len(line) <= 4096 for line in lines)
    assert len(lines) > 10


def test_work_that_must_be_finished_is_whatever_comes() -> None:
    done = []

    async def work() -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        done.append(True)

    async def body() -> None:
        task = asyncio.create_task(process.to_its_end(work()))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(body())
    assert done == [True]


def test_under_systemd_it_gets_a_scope(mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A systemd-run that says what it was told to do, and does it."""
    program = tmp_path / "systemd-run"
    program.write_text('#!/bin/sh\necho "$@"\nwhile [ "$1" != -- ]; do shift; done\nshift\nexec "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(process, "_SYSTEMD", str(tmp_path))
    path = f"{tmp_path}:/usr/bin:/bin"
    ended = run(process.run(["echo", "hello"], mark, lambda _: None, path=path))
    assert ended.output == f"--scope --quiet --collect --description=purevirt: {mark} -- echo hello\nhello\n"
