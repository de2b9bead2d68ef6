"""Records made for simulated hosts: libxl's reader finds in them what was described."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given

from purevirt.formats import libxl_json
from purevirt.formats.libxl_json.table import TABLE
from purevirt.formats.libxl_json.writing import written
from purevirt.model.description import Action, Disk, DiskDevice, DomainDescription, Interface, Lifecycle, Rate
from purevirt.model.domain import DomainType
from tests.support.descriptions import descriptions

DATA = Path(__file__).parents[1] / "data" / "descriptions"


def read(description: DomainDescription) -> DomainDescription:
    return libxl_json.parse(written(description)).description


@given(descriptions)
def test_what_the_table_has_is_written_and_read(description: DomainDescription) -> None:
    found = read(description)
    for row in TABLE:
        owners = [getattr(one, row.record) if row.record else one for one in (description, found)]
        wanted, got = (getattr(owner, row.field) for owner in owners)
        if isinstance(row.kind, str) or wanted in row.kind.values():  # else libxl has no word for it
            assert got == wanted, row
    assert (found.type, found.uuid) == (description.type, description.uuid)


@given(descriptions)
def test_what_was_read_is_written_as_it_was(description: DomainDescription) -> None:
    found = read(description)
    assert read(found) == found
    assert found.unknown == ()


@pytest.mark.parametrize("kind", ["pv", "pvh"])
def test_a_record_of_libxl_s_own_says_the_same_when_it_is_made_anew(kind: str) -> None:
    theirs = libxl_json.parse((DATA / f"xl-{kind}.libxl-json").read_text()).description
    assert read(theirs) == theirs


def test_actions_are_written_where_they_are_not_libxl_s_own() -> None:
    for lifecycle in (
        Lifecycle(),
        Lifecycle(
            on_reboot=Action.DESTROY, on_crash=Action.COREDUMP_RESTART, on_poweroff=Action.RENAME_RESTART
        ),
    ):
        assert read(DomainDescription("w", lifecycle=lifecycle)).lifecycle == lifecycle


def test_devices_are_written() -> None:
    disks = (
        Disk("xvda", "/a", read_only=True, discard=False, direct_io_safe=True),
        Disk("hdc", device=DiskDevice.CDROM, read_only=True),
    )
    nics = (
        Interface("00:16:3e:00:00:01", "xenbr0", rate=Rate(1000, 50000), mtu=9000, addresses=("10.0.0.1",)),
    )
    found = read(DomainDescription("w", DomainType.HVM, disks=disks, interfaces=nics))
    assert [disk._replace(format=None) for disk in found.disks] == list(disks)
    assert found.interfaces == (nics[0]._replace(emulated=True),)


def test_the_file_ends_as_libxl_s_do() -> None:
    text = written(DomainDescription("wörld"))
    assert text.endswith("}\n\0")
    assert json.loads(text[:-1])["c_info"]["name"] == "wörld"
