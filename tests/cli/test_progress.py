"""What is shown while a job is waited for, and what Ctrl-C leaves behind."""

from __future__ import annotations

import io
import sys
import uuid
from collections.abc import Callable

import pytest

from purevirt import Job, JobKind, JobState
from purevirt.cli.progress import followed

JOB = Job(7, JobKind.SAVE, uuid.UUID(int=1), "web", JobState.RUNNING, 2, 0.0, progress=0.5, step="memory")


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_shows_a_bar_and_is_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "80")

    def work(look: Callable[[Job], None]) -> str:
        look(JOB)
        return "done"

    assert followed(work) == "done"
    line, blank, rest = screen.getvalue().split("\r")[1:]
    assert line == f"save web [{'#' * 15}{'.' * 15}]  50% memory"
    assert (blank, rest) == (" " * len(line), "")


def test_a_narrow_terminal_shows_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", "20")
    followed(lambda look: look(JOB._replace(progress=None, name="a\x1bb")))
    shown = screen.getvalue().split("\r")[1]
    assert len(shown) == 19
    assert "\x1b" not in shown


def test_a_file_gets_no_bar(capsys: pytest.CaptureFixture[str]) -> None:
    followed(lambda look: look(JOB))
    assert capsys.readouterr().err == ""


def test_ctrl_c_says_how_to_call_the_job_off(capsys: pytest.CaptureFixture[str]) -> None:
    def work(look: Callable[[Job], None]) -> None:
        look(JOB)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        followed(work)
    assert "job 7 goes on without you; 'purevirt job-cancel 7' calls it off" in capsys.readouterr().err


def test_ctrl_c_before_there_is_a_job_says_nothing_of_one(capsys: pytest.CaptureFixture[str]) -> None:
    def work(look: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        followed(work)
    assert capsys.readouterr().err == ""
