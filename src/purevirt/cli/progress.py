"""A job of the Xen daemon, waited for: a bar on the terminal, and what Ctrl-C means."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from typing import TypeVar

import purevirt
from purevirt.cli import output

__all__ = ["followed"]

T = TypeVar("T")

_WIDTH = 30


def followed(work: Callable[[Callable[[purevirt.Job], None]], T]) -> T:
    """What the work gives, which is told of each look at its job. On Ctrl-C the job goes on, and it is said how to call
    it off."""
    bar = _Bar(sys.stderr.isatty())
    try:
        return work(bar.look)
    except KeyboardInterrupt:
        bar.end()
        if bar.job is not None:
            print(
                f"purevirt: job {bar.job.id} goes on without you; 'purevirt job-cancel {bar.job.id}' calls it off",
                file=sys.stderr,
            )
        raise
    finally:
        bar.end()


class _Bar:
    """One line, written over again and again."""

    def __init__(self, shown: bool) -> None:
        self.job: purevirt.Job | None = None
        self._shown = shown
        self._written = 0

    def look(self, job: purevirt.Job) -> None:
        self.job = job
        if not self._shown:
            return
        width = shutil.get_terminal_size().columns - 1
        done = job.progress
        bar = "?" * _WIDTH if done is None else "#" * round(done * _WIDTH)
        share = "    " if done is None else f"{done:4.0%}"
        line = f"{job.kind.value} {job.name} [{bar:.<{_WIDTH}}] {share} {job.step or ''}"
        line = output.text(line)[:width]
        print(f"\r{line:<{self._written}}", end="", file=sys.stderr, flush=True)
        self._written = len(line)

    def end(self) -> None:
        """Leave a clean line."""
        if self._written:
            print("\r" + " " * self._written + "\r", end="", file=sys.stderr, flush=True)
            self._written = 0
