"""libxl's records: those of a real host (Xen 4.17, two guests made by xl), what they say, and what is no record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import ConfigError, InvalidConfig
from purevirt.formats import libxl_json, xl_config
from purevirt.model.description import (
    DomainDescription,
    Graphics,
    GraphicsType,
    Unknown,
)

DATA = Path(__file__).parents[1] / "data" / "descriptions"


@pytest.mark.parametrize("kind", ["pv", "pvh"])
def test_a_record_becomes_a_configuration_file_that_says_all_of_it(kind: str) -> None:
    found = libxl_json.parse((DATA / f"xl-{kind}.libxl-json").read_text()).description
    document = xl_config.format(found)
    assert document.carried == ()
    assert xl_config.parse(document.text()).description == found


def test_one_domain_of_a_listing_is_read() -> None:
    listed: list[dict[str, Any]] = json.loads((DATA / "xl-list.json").read_text())
    assert [libxl_json.parse(json.dumps(one)).description.name for one in listed] == [
        "Domain-0",
        "one-pv",
        "one-pvh",
    ]
    with pytest.raises(ConfigError, match="expected one domain's record"):
        libxl_json.parse(json.dumps(listed))


def read(**build: Any) -> DomainDescription:
    return libxl_json.parse(json.dumps({"c_info": {"name": "w", "type": "hvm"}, "b_info": build})).description


def test_numbers_of_c_are_what_they_mean() -> None:
    found = read(
        rtc_timeoffset=2**32 - 3600,
        vcpu_hard_affinity=[[0, 1, 2, 5], [0, 1, 2, 5]],
        max_vcpus=2,
        avail_vcpus=[0],
        ioports=[{"first": 0x2F8, "number": 8}],
        **{"type.hvm": {"ms_vm_genid": list(range(16)), "viridian_enable": [0, 8], "viridian_disable": [1]}},
    )
    assert found.clock.offset_seconds == -3600
    assert found.cpus.affinity == ("0-2,5",)
    assert (found.cpus.online, found.cpus.maximum) == (1, 2)
    assert found.io_ports == ((0x2F8, 0x2FF),)
    assert found.generation_id == "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert found.features.viridian == ("base", "stimer", "!freq")


def test_screens_of_an_hvm_domain() -> None:
    hvm = {"vnc": {"enable": "True", "listen": "0.0.0.0:7"}, "sdl": {"enable": "True"}, "keymap": "de"}
    assert read(**{"type.hvm": hvm}).graphics == (
        Graphics(GraphicsType.VNC, "0.0.0.0", 5907, keymap="de"),
        Graphics(GraphicsType.SDL),
    )
    assert read(**{"type.hvm": {"vnc": {}, "sdl": {}, "spice": {}}}).graphics == ()


def test_what_is_not_known_is_kept_with_its_place() -> None:
    found = read(new=1, **{"type.hvm": {"rdm": {"newer": [2]}}})
    assert set(found.unknown) == {
        Unknown("libxl-json", "b_info.new", "1"),
        Unknown("libxl-json", "b_info.type.hvm.rdm.newer", "[2]"),
    }


def test_a_record_cannot_be_changed() -> None:
    document = libxl_json.parse((DATA / "xl-pv.libxl-json").read_text())
    assert document.updated(document.description) is document
    with pytest.raises(InvalidConfig):
        document.updated(DomainDescription("other"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", "r.json:1:2: no JSON"),
        ("[]", "r.json: expected one domain's record of libxl"),
        ('{"c_info": {}}', "r.json: c_info.name: expected the name of a domain"),
        ('{"c_info": 5}', "r.json: c_info: expected an object, found 5"),
        (
            '{"c_info": {"name": "w", "type": "vm"}}',
            "r.json: c_info.type: expected one of pv, pvh, hvm, found 'vm'",
        ),
        ('{"c_info": {"name": "w", "hap": "No"}}', "r.json: c_info.hap: expected True or False, found 'No'"),
        (
            '{"c_info": {"name": "w"}, "b_info": {"max_memkb": "1"}}',
            "r.json: b_info.max_memkb: expected a number, found '1'",
        ),
        (
            '{"c_info": {"name": "w"}, "disks": [{"format": "zip"}]}',
            "r.json: disks[0].format: expected one of raw, qcow",
        ),
        ("[" * 100_000, "r.json: no JSON: it is nested too deep"),
    ],
)
def test_errors_say_where_and_what_was_expected(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        libxl_json.parse(text, file="r.json")
    assert caught.value.message.startswith(expected)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["True", "pv", "raw", "x", "acd"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["enable", "vdev", "leaf"]), inner)
    ),
    max_leaves=6,
)
KEYS = ["cpuid", "avail_vcpus", "type.hvm", "vnuma_nodes", "vcpu_hard_affinity", "irqs", "ioports", "kernel"]


@given(
    st.dictionaries(st.sampled_from(KEYS), JSON),
    st.dictionaries(st.sampled_from(["disks", "nics", "vfbs"]), JSON),
)
def test_any_json_is_read_or_refused(build: dict[str, Any], others: dict[str, Any]) -> None:
    record = {"c_info": {"name": "w", "type": "pv"}, "b_info": build, **others}
    try:
        found = libxl_json.parse(json.dumps(record))
    except ConfigError:
        return
    assert found.description.name == "w"
