"""A dozen times the daemon is killed in the middle of what it does on a real Xen: nothing is lost, nothing doubled."""

from __future__ import annotations

import json

import pytest

import lab


@pytest.mark.timeout(900)
def test_nothing_is_lost_or_doubled(dom0: lab.Host) -> None:
    output = dom0.python(["tests/e2e/killing.py", "1"], timeout=800).stdout
    rounds = json.loads(output.splitlines()[-1])
    assert len(rounds) == 12
    assert [(each["deed"], each["wrong"]) for each in rounds] == [(each["deed"], []) for each in rounds]
    interrupted = [each["job"] for each in rounds if each["job"] and each["job"][1] == "interrupted"]
    assert interrupted
    assert all(message for _, _, message in interrupted)
