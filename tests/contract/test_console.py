"""The text console: typed at, answered, and not shared."""

from __future__ import annotations

import time
from typing import Any

import pytest

from purevirt.errors import NoSuchDevice, ReadOnly, WrongState

from .conftest import Caller, Facts

PATIENCE = 60.0


def test_what_is_typed_is_echoed_and_answered(do: Caller, rw: Any, facts: Facts) -> None:
    console = do(do(rw.lookup_by_name, facts.subject.name).console)
    try:
        assert console.path.startswith("/dev/pts/")
        do(console.write, b"\recho contract-answer\r", timeout=PATIENCE)
        seen, end = b"", time.monotonic() + PATIENCE
        while seen.count(b"contract-answer") < 2 and time.monotonic() < end:
            seen += do(console.read, 1.0) or b""
        assert seen.count(b"contract-answer") >= 2
        assert do(console.read, 0.5) != b""
    finally:
        do(console.close)


def test_one_reader_at_a_time(do: Caller, rw: Any, facts: Facts) -> None:
    domain = do(rw.lookup_by_name, facts.subject.name)
    console = do(domain.console)
    with pytest.raises(WrongState):
        do(domain.console)
    do(console.close)
    do(do(domain.console).close)


def test_domain_0_has_none(do: Caller, rw: Any) -> None:
    with pytest.raises(NoSuchDevice):
        do(do(rw.lookup_by_id, 0).console)


def test_who_may_only_read_types_nothing(do: Caller, ro: Any, facts: Facts) -> None:
    with pytest.raises(ReadOnly):
        do(do(ro.lookup_by_name, facts.subject.name).console)
