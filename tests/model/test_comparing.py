"""Where two descriptions differ, and values by their paths."""

from __future__ import annotations

import pytest
from hypothesis import given

from purevirt.model.description import (
    P9,
    Boot,
    Disk,
    DomainDescription,
    Features,
    Interface,
    Memory,
    Shim,
    differences,
    with_value,
)
from purevirt.model.description.comparing import value_at
from tests.support.descriptions import descriptions

WEB = DomainDescription(
    "web",
    memory=Memory(kib=1024),
    disks=(Disk("xvda", "/a"), Disk("xvdb", "/b")),
    interfaces=(Interface(), Interface()),
)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (WEB, []),
        (WEB._replace(name="shop"), [("name", "web", "shop")]),
        (WEB._replace(memory=Memory(kib=1024, max_kib=9)), [("memory.max_kib", None, 9)]),
        (
            WEB._replace(disks=(Disk("xvda", "/z", read_only=True), WEB.disks[1])),
            [("disks[xvda].source", "/a", "/z"), ("disks[xvda].read_only", False, True)],
        ),
        (WEB._replace(disks=WEB.disks[1:]), [("disks[xvda]", WEB.disks[0], None)]),
        (WEB._replace(disks=(*WEB.disks, Disk("xvdc"))), [("disks[xvdc]", None, Disk("xvdc"))]),
        (WEB._replace(disks=WEB.disks[::-1]), [("disks", WEB.disks, WEB.disks[::-1])]),
        (WEB._replace(disks=(Disk("a"), Disk("a"))), [("disks", WEB.disks, (Disk("a"), Disk("a")))]),
        (WEB._replace(interfaces=(Interface(), Interface(mtu=9000))), [("interfaces[1].mtu", None, 9000)]),
        (WEB._replace(boot=Boot(shim=Shim())), [("boot.shim", None, Shim())]),
        (WEB._replace(features=Features(viridian=("base",))), [("features.viridian", (), ("base",))]),
        (
            WEB._replace(directories=(P9("a'] =%", "/a"),)),
            [("directories[a%27%5D%20%3D%25]", None, P9("a'] =%", "/a"))],
        ),
    ],
)
def test_differences(changed: DomainDescription, expected: list[tuple[str, object, object]]) -> None:
    assert [tuple(found) for found in differences(WEB, changed)] == expected


@given(descriptions, descriptions)
def test_setting_every_difference_makes_them_equal(old: DomainDescription, new: DomainDescription) -> None:
    made = old
    for path, before, after in differences(old, new):
        try:
            assert value_at(old, path) == before
        except LookupError:
            assert before is None
        made = with_value(made, path, after)
    assert made == new


@pytest.mark.parametrize(
    "path",
    [
        "",
        "memory.",
        ".name",
        "memory.colour",
        "colour",
        "disks.0",
        "disks[xvdz].source",
        "disks[xvda",
        "disks[%4].a",
        "name.x",
    ],
)
def test_a_path_that_leads_nowhere(path: str) -> None:
    with pytest.raises(LookupError):
        with_value(WEB, path, 1)
