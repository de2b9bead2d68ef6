"""Die at every point of a deed, one after the other: `python -m tests.faults.points [SCENARIO …]`."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from tests.faults.daemon import Dead, Failed, Lives
from tests.faults.invariants import violations
from tests.faults.scenarios import SCENARIOS, clean

__all__ = ["died_at", "every_point"]


def died_at(lives: Lives, name: str, point: int) -> bool:
    """Do it in a life that dies at that point; whether it died. AssertionError: what the next life found is wrong."""
    scenario = SCENARIOS[name]
    lives.begin()
    clean(lives)
    scenario.prepare(lives)
    lives.settled()
    lives.arm(point)
    died = False
    try:
        scenario.act(lives)
    except Dead:
        died = True
    if died:
        lives.died()
        lives.begin()
        lives.settled()
        found = violations(lives)
        assert not found, f"{name}, dead at point {point}: {'; '.join(found)}\n{lives.log()[-3000:]}"
        assert scenario.agrees(lives), (
            f"{name}, dead at point {point}: neither done nor undone\n{lives.log()[-3000:]}"
        )
    lives.kill()
    return died


def every_point(lives: Lives, name: str, step: int = 1, first: int = 0) -> int:
    """Die at each `step`-th point; at how many."""
    point = first
    while died_at(lives, name, point):
        point += step
    return (point - first) // step


def main(names: Iterable[str]) -> int:
    wrong = 0
    for name in list(names) or SCENARIOS:
        point, more = 0, True
        while more:
            with Lives() as lives:  # another host after each violation, which would show again and again
                try:
                    while died_at(lives, name, point):
                        point += 1
                    more = False
                except (AssertionError, Failed) as error:
                    wrong += 1
                    print(f"  WRONG: {str(error).splitlines()[0]}", flush=True)
                    point += 1
        print(f"{name}: {point} points", flush=True)
    print(f"{wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
