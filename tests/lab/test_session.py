"""Booting without booting: the second try, and that no emulator outlives its starter."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest

import lab
from lab import apt, image, qemu, session
from lab.image import Image


class Stuck:
    """An emulator that never gets anywhere."""

    def __init__(self, text: str, tmp_path: Path) -> None:
        self.console = tmp_path / "console.log"
        self.console.write_text(text)
        self.stopped = False

    def ended(self) -> bool:
        return False

    def stop(self) -> None:
        self.stopped = True

    def console_tail(self) -> str:
        return self.console.read_text()


@pytest.mark.parametrize(
    ("console", "why"),
    [
        ("(XEN) Brought up 2 CPUs\n", "did not answer within 0"),
        ("Kernel panic - not syncing", "'Kernel panic'"),
    ],
)
def test_a_boot_that_does_not_answer_is_tried_once_more_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    console: str,
    why: str,
) -> None:
    made: list[Stuck] = []

    def start(*_: object, **__: object) -> Stuck:
        made.append(Stuck(console, tmp_path))
        return made[-1]

    monkeypatch.setattr(session, "_start", start)
    monkeypatch.setattr(image, "ensure", lambda _recipe: Image(tmp_path))
    monkeypatch.setattr(apt, "ensure", lambda _tools: None)
    deadline = 0 if "answer" in why else 5
    with (
        pytest.raises(lab.LabError, match="the second boot failed too") as failure,
        lab.boot(deadline=deadline),
    ):
        pass
    assert len(made) == 2
    assert all(attempt.stopped for attempt in made)
    assert why in str(failure.value)
    assert console.strip() in str(failure.value)
    said = capsys.readouterr().err
    assert said.count("trying once more") == 1
    assert why in said


STARTER = """
import sys
from pathlib import Path
from lab import qemu
from lab.image import Image
qemu.command_line = lambda *_, **__: ["sh", "-c", "echo $$ > pid; echo started; exec sleep 600"]
run_dir = Path(sys.argv[1])
machine = qemu.Qemu(Image(run_dir / "image"), run_dir, memory_mb=1, dom0_memory_mb=1, share=None)
while not (run_dir / "pid").exists() or not (run_dir / "pid").read_text().endswith("\\n"):
    pass
print((run_dir / "pid").read_text(), flush=True)
sys.stdin.read()
"""


def test_an_emulator_dies_with_a_starter_that_is_killed(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    argv = [sys.executable, "-c", STARTER, str(tmp_path)]
    with subprocess.Popen(
        argv, cwd=root, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pidfd = os.pidfd_open(int(starter.stdout.readline()))
        try:
            starter.kill()
            assert select.select([pidfd], [], [], 20)[0], "the emulator still runs"
        finally:
            os.close(pidfd)


def test_stopping_an_emulator_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(qemu, "command_line", lambda *_, **__: ["sleep", "600"])
    machine = qemu.Qemu(Image(tmp_path / "image"), tmp_path, memory_mb=1, dom0_memory_mb=1, share=None)
    assert not machine.ended()
    machine.stop()
    assert machine.ended()


def test_unknown_versions_and_daemons_are_refused_at_once() -> None:
    with pytest.raises(lab.LabError, match=r"no recipe for Xen 3\.0; the lab knows 4\.17"), lab.boot("3.0"):
        pass
    with pytest.raises(lab.LabError, match="unknown XenStore daemon"), lab.boot(store="nostored"):
        pass
