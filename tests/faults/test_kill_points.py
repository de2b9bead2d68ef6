"""The daemon dies in the middle of what it does, and the next life finds everything done or undone.

Here at some points of each deed; at all of them, some 350, with `python -m tests.faults.points`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.daemon import Lives
from tests.faults.points import every_point
from tests.faults.scenarios import SCENARIOS


@pytest.fixture(scope="module")
def lives() -> Iterator[Lives]:
    with Lives() as made:
        yield made


@pytest.mark.parametrize("name", SCENARIOS)
def test_whatever_was_begun_is_done_or_undone(lives: Lives, name: str) -> None:
    assert every_point(lives, name, step=7, first=sum(map(ord, name)) % 3) >= 0
