"""What xl says of its progress, as it said it in the lab."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from purevirt.daemons.xend.toolstack.builder import Report
from purevirt.daemons.xend.toolstack.xl import progress
from purevirt.daemons.xend.toolstack.xl.progress import Progress

DATA = Path(__file__).parents[3] / "data" / "xl"


def told(kind: Callable[[Report], Progress], name: str) -> list[tuple[str | None, float | None]]:
    found: list[tuple[str | None, float | None]] = []
    steps = kind(lambda step, done: found.append((step, done)))
    for line in (DATA / f"{name}.txt").read_text().splitlines():
        steps.line(line)
    return found


@pytest.mark.parametrize("version", ["4.17", "4.20"])
def test_making_a_domain_goes_through_its_steps_in_order(version: str) -> None:
    found = told(progress.making, f"{version}-ok")
    names = [step for step, _ in found]
    wanted = ["beginning", "reading the kernel", "allocating memory", "loading the kernel", "adding devices"]
    wanted += ["setting up disks", "setting up interfaces"]
    assert [name for name in wanted if name in names] == wanted
    parts = [done for _, done in found]
    assert parts == sorted(parts, key=lambda done: done or 0)


def test_a_saved_domain_is_counted_in_pages() -> None:
    found = told(progress.sending, "4.17-save")
    assert found[0] == (None, 1024 / 24576)
    assert found[-1] == (None, 1.0)
    assert len(found) == 24


def test_a_migration_tells_where_it_is() -> None:
    steps = [(step, done) for step, done in told(progress.migrating, "4.17-migrate") if step]
    assert steps == [
        ("copying memory", 0.05),
        ("handing over", 0.9),
        ("letting it run there", 0.95),
        ("done", 1.0),
    ]
