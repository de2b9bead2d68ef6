"""Some rounds of `python -m tests.faults.rounds`: the daemon is killed at random points while clients do things."""

from __future__ import annotations

from tests.faults.daemon import Lives
from tests.faults.rounds import rounds


def test_nothing_is_lost_or_doubled_when_the_daemon_is_killed() -> None:
    with Lives() as lives:
        found, done = rounds(lives, 20, seed=7)
    assert found == []
    assert done["define"] > 10
