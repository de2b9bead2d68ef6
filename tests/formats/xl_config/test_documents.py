"""Whole files: what they say, what is written, what changes when the description does, and what stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import ConfigError
from purevirt.formats import carried, libxl_json, xl_config
from purevirt.formats.xl_config.binding import LAYOUT, canonical
from purevirt.formats.xl_config.devices import LISTS
from purevirt.formats.xl_config.groups import GROUPS
from purevirt.formats.xl_config.settings import SETTINGS
from purevirt.model.description import (
    Disk,
    DiskFormat,
    DomainDescription,
    Graphics,
    GraphicsType,
    Interface,
    Memory,
    Unknown,
)
from purevirt.model.domain import DomainType
from tests.support.descriptions import descriptions
from tests.support.golden import golden

DATA = Path(__file__).parents[2] / "data" / "descriptions"
FILES = sorted(path for path in DATA.glob("*.cfg") if not path.name.endswith(".fresh.cfg"))
WEB = 'name = "web"\nkernel = "/k"\nmemory = 64\n'


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_files_say_and_are_written_as_recorded(path: Path) -> None:
    text = path.read_text()
    document = xl_config.parse(text, file=path.name)
    assert document.text() == text
    empty = DomainDescription(document.description.name)
    said = [carried.line(item) for item in carried.missing(empty, document.description)]
    assert "".join(f"{line}\n" for line in said) == golden(
        path.with_suffix(".cfg.said"), "".join(f"{x}\n" for x in said)
    )
    fresh = xl_config.format(document.description)
    assert fresh.text() == golden(path.with_suffix(".fresh.cfg"), fresh.text())
    assert xl_config.parse(fresh.text()).description == document.description


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_change_leaves_every_other_line_alone(path: Path) -> None:
    document = xl_config.parse(path.read_text())
    description = document.description
    changed = document.updated(description._replace(memory=description.memory._replace(kib=3 << 20)))
    before, after = document.text().splitlines(), changed.text().splitlines()
    assert [line for line in after if line not in before] == [
        line for line in after if line.replace(" ", "") == "memory=3072"
    ]
    assert len(before) == len(after)
    assert changed.description.memory.kib == 3 << 20
    assert xl_config.parse(changed.text()).description == changed.description


@given(descriptions)
def test_what_is_written_is_read_again(description: DomainDescription) -> None:
    document = xl_config.format(description)
    again = xl_config.parse(document.text())
    assert again.description == document.description == description
    assert again.carried == document.carried


@given(descriptions, descriptions)
def test_one_description_can_be_made_another_in_place(old: DomainDescription, new: DomainDescription) -> None:
    document = xl_config.format(old).updated(new)
    again = xl_config.parse(document.text())
    assert again.description == document.description == new
    assert document.carried == xl_config.format(new).carried


@given(st.sampled_from(FILES), descriptions)
def test_a_file_can_be_made_any_description(path: Path, new: DomainDescription) -> None:
    document = xl_config.parse(path.read_text()).updated(new)
    assert xl_config.parse(document.text()).description == new


def test_settings_are_bound_once_and_have_their_place_in_a_fresh_file() -> None:
    names = [
        *(setting.name for setting in SETTINGS),
        *(name for group in GROUPS for name in group.names),
        *(devices.name for devices in LISTS),
    ]
    assert len(names) == len(set(names))
    placed = [name for names in LAYOUT for name in names]
    assert len(placed) == len(set(placed))
    assert set(names) <= set(placed)


@given(descriptions)
def test_a_unit_writes_its_own_names_only(description: DomainDescription) -> None:
    for unit in canonical(description, xl_config.XEN):
        assert set(unit.written) <= set(unit.names)


def test_comments_and_items_that_stay_keep_their_places() -> None:
    text = 'name = "web"\nkernel = "/k"\nmemory = 64 # MiB\ndisk = [ "phy:/dev/a,xvda,w", # root\n  "/b,,xvdb" ]\n'
    document = xl_config.parse(text)
    root, data = document.description.disks
    more = document.updated(
        document.description._replace(disks=(root, data._replace(read_only=True), Disk("xvdc", "/c")))
    )
    assert more.text() == text.replace(
        '"/b,,xvdb" ]', '"vdev=xvdb, access=ro, target=/b",\n  "vdev=xvdc, target=/c" ]'
    )
    assert document.updated(document.description._replace(disks=(data,))).text() == text.replace(
        '"phy:/dev/a,xvda,w", # root', "# root"
    )


def test_what_xl_cannot_say_is_carried_and_an_edit_by_hand_wins() -> None:
    wanted = DomainDescription(
        "web", memory=Memory(kib=65 * 1024 + 1), title="The web", summary='it\'s "all"\n'
    )
    document = xl_config.format(wanted)
    assert "memory = 66" in document.text()
    assert [item.path for item in document.carried] == ["title", "summary", "memory.kib"]
    by_hand = xl_config.parse(document.text().replace("memory = 66", "memory = 99"))
    assert by_hand.description == wanted._replace(memory=Memory(kib=99 * 1024))
    assert "no longer holds: memory.kib" in by_hand.notes[0].text
    assert "purevirt" not in document.updated(DomainDescription("web")).text()


def test_what_is_unknown_stays_in_its_place_and_is_written_again() -> None:
    text = WEB + "vif = [ 'bridge=br0,foo=1' ]\nslice = 5\nnew_thing = [ [ 1 ] ]\n"
    document = xl_config.parse(text)
    assert document.description.unknown == (
        Unknown("xl", "vif[0]", "foo=1"),
        Unknown("xl", "slice", "slice = 5"),
        Unknown("xl", "new_thing", "new_thing = [ [ 1 ] ]"),
    )
    fresh = xl_config.format(document.description)
    assert not fresh.carried
    assert fresh.text().endswith('vif = [ "bridge=br0,foo=1" ]\n\nslice = 5\nnew_thing = [ [ 1 ] ]\n')
    without = document.updated(document.description._replace(unknown=document.description.unknown[:2]))
    assert without.text() == text.replace("new_thing = [ [ 1 ] ]\n", "")


def test_an_hvm_domain_has_vnc_unless_it_is_switched_off() -> None:
    def graphics(text: str) -> tuple[Graphics, ...]:
        return xl_config.parse(f'name = "w"\ntype = "hvm"\n{text}\n').description.graphics

    assert graphics("") == ()
    assert [one.type for one in graphics("sdl = 1")] == [GraphicsType.VNC, GraphicsType.SDL]
    assert [one.type for one in graphics("sdl = 1; vnc = 0")] == [GraphicsType.SDL]
    assert graphics("vnc = 0") == ()
    spice = DomainDescription("w", DomainType.HVM, graphics=(Graphics(GraphicsType.SPICE, port=6000),))
    assert "vnc = 0\nspice = 1\nspiceport = 6000\n" in xl_config.format(spice).text()


def test_a_device_that_xl_cannot_have_is_not_made_another() -> None:
    on_network = DomainDescription("w", interfaces=(Interface(network="default"), Interface(bridge="br0")))
    document = xl_config.format(on_network)
    assert 'vif = [ "bridge=br0" ]' in document.text()
    assert xl_config.parse(document.text()).description == on_network
    tape = DomainDescription("w", disks=(Disk("xvda", None, DiskFormat.RAW),))
    assert "disk = " not in xl_config.format(tape).text()


def test_later_versions_have_more_words() -> None:
    wanted = DomainDescription("w", disks=(Disk("xvda", "/a", trusted=False),))
    assert "disks[xvda].trusted = false" in xl_config.format(wanted).text()
    later = xl_config.format(wanted, xen=(4, 20))
    assert "untrusted, target=/a" in later.text()
    assert not later.carried


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("memory = 5\n", (1, 1), "expected a setting name"),
        ('name = [ "a" ]\n', (1, 8), "name: expected a string or a number, found a list"),
        (WEB + 'memory = "much"\n', (4, 10), "memory: expected a number that is not negative, found 'much'"),
        (WEB + "disk = 5\n", (4, 8), "disk: expected a list, as in disk = "),
        (WEB + "vif = [ [ 1 ] ]\n", (4, 9), "vif: expected a list of strings, found a list in it"),
        (WEB + 'acpi = "yes"\n', (4, 8), "acpi: expected a number"),
        (WEB + 'type = "xen"\n', (4, 8), "type: expected one of pv, pvh, hvm, found 'xen'"),
        (WEB + 'on_crash = "panic"\n', (4, 12), "on_crash: expected one of destroy, restart"),
        (WEB + 'uuid = "12"\n', (4, 8), "uuid: expected a UUID like"),
        (WEB + 'cpus = "1,x"\n', (4, 8), "cpus: expected a list of CPUs like 0-3,^2"),
        (
            WEB + "disk = [ '/a,,xvda',\n '/b,zip,xvdb' ]\n",
            (5, 6),
            "disk: format is 'zip', expected one of raw",
        ),
        (
            WEB + "vif = [ 'mac=00:16:3e:zz:00:01' ]\n",
            (4, 10),
            "vif: mac is '00:16:3e:zz:00:01', expected six",
        ),
        (WEB + 'purevirt = [ "nonsense" ]\n', (4, 14), "purevirt: 'nonsense' is not PATH = VALUE"),
        (WEB + 'boot = "cx"\n', (4, 8), "boot: expected letters of a (floppy), c (disk)"),
        (WEB + 'vnuma = [ [ "pnode=0", "size=1" ] ]\n', (4, 11), "vnuma: a node lacks vcpus"),
        (WEB + "vsnd = [ [ 'DRUM' ] ]\n", (4, 12), "vsnd: expected CARD, PCM or STREAM first"),
    ],
)
def test_errors_say_where_and_what_was_expected(text: str, place: tuple[int, int], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        xl_config.parse(text, file="web.cfg")
    assert (caught.value.line, caught.value.column) == place
    assert caught.value.message.startswith(f"web.cfg:{place[0]}:{place[1]}: {expected}")


def test_the_sample_of_a_record_is_read() -> None:
    record = {"c_info": {"name": "w", "type": "pv"}, "b_info": {"target_memkb": 1024, "new": 1}}
    document = libxl_json.parse(json.dumps(record))
    assert document.description.memory.kib == 1024
    assert document.description.unknown == (Unknown("libxl-json", "b_info.new", "1"),)
