"""What a format cannot say, as lines."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.formats import carried
from purevirt.formats.carried import Carried
from purevirt.model.description import Boot, Disk, DiskFormat, DomainDescription, Memory, Shim
from tests.support.descriptions import descriptions

WEB = DomainDescription("web", memory=Memory(kib=999424), disks=(Disk("xvda", "/a"),))


@pytest.mark.parametrize(
    ("item", "line"),
    [
        (Carried("title", "A “web” server", None), 'title = "A “web” server"'),
        (Carried("title", "it's\ntwo", None), 'title = "it\\u0027s\\ntwo"'),
        (Carried("memory.kib", 1000001, 999424), "memory.kib = 1000001 instead of 999424"),
        (Carried("disks[xvda].discard", False, None), "disks[xvda].discard = false"),
        (Carried("disks[xvda].read_only", True, False), "disks[xvda].read_only = true"),
        (
            Carried("disks[xvda].format", DiskFormat.QCOW2, DiskFormat.RAW),
            'disks[xvda].format = "qcow2" instead of "raw"',
        ),
        (Carried("boot.shim", Shim(extra="x"), None), 'boot.shim = {"extra": "x"}'),
        (Carried("disks[hdc]", Disk("hdc"), None), 'disks[hdc] = {"target": "hdc"}'),
        (Carried("disks[hdc]", None, Disk("hdc")), 'disks[hdc] = null instead of {"target": "hdc"}'),
    ],
)
def test_a_line_and_back(item: Carried, line: str) -> None:
    assert carried.line(item) == line
    assert carried.parse_line(line) == item


@given(descriptions, descriptions)
def test_what_is_missing_makes_the_description_whole(
    said: DomainDescription, wanted: DomainDescription
) -> None:
    lines = [carried.line(item) for item in carried.missing(said, wanted)]
    assert all(line.isprintable() and "'" not in line for line in lines)
    assert carried.apply(said, [carried.parse_line(line) for line in lines]) == (wanted, [])


def test_an_edit_by_hand_wins() -> None:
    items = carried.missing(WEB, WEB._replace(memory=Memory(kib=1000001), title="shop"))
    edited = WEB._replace(memory=Memory(kib=2048))
    description, stale = carried.apply(edited, items)
    assert description == edited._replace(title="shop")
    assert [item.path for item in stale] == ["memory.kib"]


def test_what_is_said_of_a_device_goes_with_it() -> None:
    wanted = WEB._replace(disks=(Disk("xvda", "/a", discard=True),), boot=Boot(kernel="/k"))
    description, stale = carried.apply(WEB._replace(disks=()), carried.missing(WEB, wanted))
    assert description == WEB._replace(disks=(), boot=Boot(kernel="/k"))
    assert [item.path for item in stale] == ["disks[xvda].discard"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("title", "is not PATH = VALUE"),
        ("colour = 1", "there is no colour"),
        ("title = 1", "title.*1 is not text"),
        ("title = ", "Expecting value"),
        ('title = "a" b', "after the value"),
        ("memory.kib = true", "True is not an integer"),
        ("disks[xvda] = {}", "target is missing"),
        ("disks = 1", "1 is not a list"),
        ("disks[xvda.x = 1", "no path"),
        ("name.first = 1", "there is no name.first"),
        ("title = " + "[" * 100_000, "title"),
    ],
)
def test_a_line_that_is_none(line: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        carried.parse_line(line)


@given(st.text())
def test_any_text_is_a_line_or_a_clear_error(text: str) -> None:
    for line in (text, f"title = {text}", f"{text} = 1", f"disks[{text}] = {{}}"):
        with contextlib.suppress(ValueError):
            carried.line(carried.parse_line(line))
