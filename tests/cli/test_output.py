"""How results are printed."""

from __future__ import annotations

import json
from uuid import UUID

import pytest

from purevirt.cli import output
from purevirt.model import DomainState, InterfaceStats


def test_a_table_is_aligned_and_has_a_rule(capsys: pytest.CaptureFixture[str]) -> None:
    output.table(("Id", "Name", "Memory"), [(0, "Domain-0", "1 KiB"), (12, "x", None)], right=("Memory",))
    assert capsys.readouterr().out == (
        " Id   Name       Memory\n------------------------\n 0    Domain-0    1 KiB\n 12   x               -\n"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (True, "yes"),
        (0, "0"),
        (DomainState.RUNNING, "running"),
        ("plain näme", "plain näme"),
        ("esc\x1b[31m", "esc\\x1b[31m"),
        ("line\nbreak", "line\\x0abreak"),
        ("raw\udcff", "raw\\udcff"),
    ],
)
def test_no_value_can_play_with_the_terminal(value: object, shown: str) -> None:
    assert output.text(value) == shown


@pytest.mark.parametrize(
    ("cpus", "shown"), [((), "-"), ((3,), "3"), ((0, 1, 2), "0-2"), ((0, 2, 3, 7), "0,2-3,7")]
)
def test_cpu_sets_are_ranges(cpus: tuple[int, ...], shown: str) -> None:
    assert output.cpu_ranges(cpus) == shown


def test_json_has_fields_names_and_lists() -> None:
    value = {
        "uuid": UUID(int=1),
        "state": DomainState.NOSTATE,
        "cpus": frozenset({2, 1}),
        "stats": InterfaceStats(1, 2, 3, 4, 5, 6, 7, 8),
        "raw": "x\udcff",
        "none": None,
    }
    assert json.loads(json.dumps(output.jsonable(value))) == {
        "uuid": "00000000-0000-0000-0000-000000000001",
        "state": "nostate",
        "cpus": [1, 2],
        "stats": {
            "rx_bytes": 1,
            "rx_packets": 2,
            "rx_errors": 3,
            "rx_dropped": 4,
            "tx_bytes": 5,
            "tx_packets": 6,
            "tx_errors": 7,
            "tx_dropped": 8,
        },
        "raw": "x\\udcff",
        "none": None,
    }


def test_unknown_is_never_a_number() -> None:
    assert (output.kib(None), output.seconds(None)) == ("-", "-")
    assert (output.kib(0), output.seconds(0)) == ("0 KiB", "0.0s")
