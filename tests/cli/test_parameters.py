"""Sizes and lists of CPUs, as people write them."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.cli.output import cpu_ranges
from purevirt.cli.parameters import parse_cpus, parse_size


@pytest.mark.parametrize(
    ("text", "kib"),
    [
        ("524288", 524288),
        ("0", 0),
        ("512k", 512),
        ("512KiB", 512),
        ("512M", 524288),
        ("512mib", 524288),
        ("512MB", 500000),
        ("1G", 1 << 20),
        ("2 GiB", 2 << 20),
        ("1T", 1 << 30),
        ("1025b", 2),
        ("1024 bytes", 1),
    ],
)
def test_a_size_is_kib_unless_it_has_a_unit(text: str, kib: int) -> None:
    assert parse_size(text) == kib


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5G", "12X", "5MM", "1 2", "0x10", "999999999E", "²"])
def test_another_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no size|is more than any machine has"):
        parse_size(text)


@pytest.mark.parametrize(
    ("text", "cpus"),
    [
        ("0", [0]),
        ("0-3", [0, 1, 2, 3]),
        ("0-3,^2,5", [0, 1, 3, 5]),
        ("3,1", [1, 3]),
        (" 1 , 2 ", [1, 2]),
        ("r", [0, 1, 2, 3]),
    ],
)
def test_a_list_of_cpus(text: str, cpus: list[int]) -> None:
    assert parse_cpus(text, 4) == cpus


@pytest.mark.parametrize("text", ["", ",", "a", "3-1", "1-", "-1", "^1", "0,^0", "^0-1", "99999", "1..3"])
def test_another_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no list of CPUs|leaves no CPU"):
        parse_cpus(text, 4)


@given(st.sets(st.integers(0, 300), min_size=1))
def test_a_list_that_is_printed_is_read_as_the_same(cpus: set[int]) -> None:
    assert parse_cpus(cpu_ranges(cpus), 1) == sorted(cpus)


@given(st.text(max_size=20))
def test_any_other_text_is_one_clear_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        parse_size(text)
    with contextlib.suppress(ValueError):
        parse_cpus(text, 4)
