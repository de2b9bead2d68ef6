"""libxl's records of domains: real ones from the lab, every row of the table, and whatever else a file may hold."""

from __future__ import annotations

import contextlib
import json
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import ConfigError, InvalidConfig
from purevirt.formats import carried
from purevirt.formats.libxl_json import parse
from purevirt.formats.libxl_json.table import TABLE, Row
from purevirt.model.description import (
    Action,
    Disk,
    DiskFormat,
    DomainDescription,
    Graphics,
    GraphicsType,
    Interface,
    Keyboard,
    PciDevice,
    Unknown,
)
from purevirt.model.domain import DomainType

DATA = Path(__file__).parents[1] / "data/descriptions"

COMMAND_LINE = "console=hvc0 quiet loglevel=3 mitigations=off random.trust_cpu=on"
GUEST = [
    "memory.kib = 98304",
    'boot.kernel = "/boot/guest-kernel"',
    'boot.ramdisk = "/lab/guest.cpio"',
]
SAID = {
    "xl-pv": [
        'name = "e2e-pv" instead of ""',
        'uuid = "1d5c6d0a-c2a9-40be-88b5-cb7ea74c60c7"',
        *GUEST,
        f'boot.command_line = "{COMMAND_LINE} lab.ip=10.77.0.29/24"',
        'lifecycle.on_crash = "preserve"',
        'disks[xvda] = {"target": "xvda", "source": "/tmp/e2e-pv-0.img", "format": "raw"}',
        'interfaces[0] = {"mac": "00:16:3e:70:1b:16", "bridge": "xenbr0", "emulated": false}',
    ],
    "xl-pvh": [
        'name = "e2e-pvh" instead of ""',
        'type = "pvh"',
        'uuid = "75816080-5ddc-4995-8461-2aacdc099867"',
        *GUEST,
        f'boot.command_line = "{COMMAND_LINE}"',
        'lifecycle.on_crash = "preserve"',
    ],
    "libvirt-pv": [
        'name = "lv-mini1" instead of ""',
        'uuid = "92289e60-4ea5-4684-8e0c-a2f318fc6b56"',
        "memory.kib = 4096",
        "memory.shadow_kib = 1056",
        'boot.kernel = "/lab/mini.elf"',
        'lifecycle.on_soft_reset = "destroy"',
    ],
}


def record(config: dict[str, Any] | None = None, kind: str = "pv", /, **build: Any) -> str:
    create = {"type": kind, "name": "web"}
    return json.dumps({"c_info": create, "b_info": build, **(config or {})})


def read(*arguments: Any, **build: Any) -> DomainDescription:
    return parse(record(*arguments, **build), file="record").description


# --- what real ones say


@pytest.mark.parametrize("name", SAID)
def test_a_record_that_libxl_wrote_says_what_the_domain_was_made_of(name: str) -> None:
    description = parse((DATA / f"{name}.libxl-json").read_text()).description
    lines = [carried.line(item) for item in carried.missing(DomainDescription(""), description)]
    assert lines == SAID[name]


def test_what_xl_lists_is_the_record_and_the_share_of_the_cpus() -> None:
    listed = parse((DATA / "xl-pv.xl-list.json").read_text()).description
    kept = parse((DATA / "xl-pv.libxl-json").read_text()).description
    shares = kept.scheduling._replace(weight=256, cap=0)
    assert listed == kept._replace(scheduling=shares)


def test_a_record_is_given_back_as_it_is_and_is_not_changed() -> None:
    text = (DATA / "xl-pv.libxl-json").read_text()
    document = parse(text)
    assert document.text() == text
    assert document.updated(document.description) is document
    with pytest.raises(InvalidConfig, match="a record that libxl writes"):
        document.updated(document.description._replace(name="other"))


# --- the table


def _written(row: Row) -> tuple[Any, Any]:
    """Something a row can say, as libxl writes it and as the model has it."""
    if not isinstance(row.kind, str):
        word, value = next((word, value) for word, value in row.kind.items() if value is not None)
        return word, value
    return {
        "text": ("some", "some"),
        "texts": (["a", "b"], ("a", "b")),
        "number": (77, 77),
        "flag": ("True", True),
        "inverted": ("True", False),
        "numbers": ([4, 5], (4, 5)),
    }[row.kind]


def _holding(row: Row, value: object) -> str:
    config: dict[str, Any] = {"c_info": {"type": "hvm", "name": "web"}, "b_info": {}}
    place = config
    keys = row.place.replace(".type.", ".type:").split(".")
    for key in keys:
        place = place.setdefault(key.replace("type:", "type."), {})
    place[row.key] = value
    if row.place.startswith("b_info.type.pv"):
        config["c_info"]["type"] = "pv"
    return json.dumps(config)


def _found(description: Any, row: Row) -> Any:
    return getattr(getattr(description, row.record) if row.record else description, row.field)


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.place}.{row.key}")
def test_every_row_of_the_table_is_read(row: Row) -> None:
    written, meant = _written(row)
    if (row.key, row.place) == ("altp2m", "b_info"):
        written, meant = "external", row.kind["external"]  # type: ignore[index]
    description = parse(_holding(row, written)).description
    assert _found(description, row) == meant
    assert description.unknown == ()


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.place}.{row.key}")
def test_a_wrong_type_is_refused_by_its_place(row: Row) -> None:
    with pytest.raises(ConfigError, match=f"^record: {row.place}.{row.key}: expected ") as caught:
        parse(_holding(row, {"a": 1}), file="record")
    assert caught.value.file == "record"


@pytest.mark.parametrize(
    "row", [row for row in TABLE if not isinstance(row.kind, str)], ids=lambda row: row.key
)
def test_every_member_of_an_enum_of_ours_has_a_word(row: Row) -> None:
    assert not isinstance(row.kind, str)
    members = [value for value in row.kind.values() if isinstance(value, Enum)]
    if members:
        assert set(members) == set(type(members[0]))


# --- what is not one to one


def test_what_stands_at_the_new_place_counts() -> None:
    assert read(kernel="/new", **{"type.pv": {"kernel": "/old"}}).boot.kernel == "/new"


def test_memory_without_a_maximum_of_its_own() -> None:
    assert read(max_memkb=2048, target_memkb=1024).memory[:2] == (1024, 2048)
    assert read(max_memkb=2048, target_memkb=2048).memory[:2] == (2048, None)
    assert read(max_memkb=2048).memory[:2] == (2048, None)


def test_vcpus_that_are_offline_at_the_start() -> None:
    assert read(max_vcpus=4, avail_vcpus=[0, 1]).cpus[:2] == (2, 4)
    assert read(max_vcpus=4, avail_vcpus=[0, 1, 2, 3]).cpus[:2] == (4, None)


def test_affinity_of_all_alike_or_of_each() -> None:
    assert read(max_vcpus=2, avail_vcpus=[0, 1], vcpu_hard_affinity=[[0, 1, 2, 5]] * 2).cpus.affinity == (
        "0-2,5",
    )
    assert read(max_vcpus=2, avail_vcpus=[0, 1], vcpu_hard_affinity=[[0], [1]]).cpus.affinity == ("0", "1")


def test_actions_that_are_left_out_are_destroy() -> None:
    assert read().lifecycle == (None, Action.DESTROY, None, None, Action.DESTROY)
    assert read(
        {"on_reboot": "restart", "on_soft_reset": "soft_reset", "on_poweroff": "restart_rename"}
    ).lifecycle == (
        Action.RENAME_RESTART,
        None,
        None,
        None,
        None,
    )


def test_disks() -> None:
    disks = [
        {"pdev_path": "/dev/vg/a", "vdev": "xvda", "format": "raw", "readwrite": 1, "removable": 1},
        {"vdev": "hdc", "format": "empty", "is_cdrom": 1, "removable": 1, "backend_domid": 3},
    ]
    first, second = read({"disks": disks}).disks
    assert first == Disk("xvda", "/dev/vg/a", DiskFormat.RAW, removable=True)
    assert (second.source, second.device.value, second.read_only, second.removable) == (
        None,
        "cdrom",
        True,
        None,
    )
    assert second.backend_domain == "3"


def test_interfaces_are_numbered_where_their_place_does_not_say_it() -> None:
    nics = [{"devid": 0, "mac": "00:16:3e:00:00:01", "nictype": "vif"}, {"devid": 5, "nictype": "vif_ioemu"}]
    assert read({"nics": nics}).interfaces == (
        Interface("00:16:3e:00:00:01", emulated=False),
        Interface(emulated=True, number=5),
    )


def test_a_frame_buffer_is_a_screen_and_has_a_keyboard() -> None:
    config = {
        "vfbs": [{"vnc": {"enable": "True", "display": 3, "passwd": "s"}, "keymap": "de"}],
        "vkbs": [{}, {"width": 9}],
    }
    described = read(config)
    assert described.graphics == (Graphics(GraphicsType.VNC, port=5903, password="s", keymap="de"),)
    assert described.keyboards == (Keyboard(width=9),)


def test_a_pci_device() -> None:
    device = {"domain": 0, "bus": 3, "dev": 0x1F, "func": 2, "vdevfn": 0x28, "permissive": True}
    assert read({"pcidevs": [device]}).pci_devices == (PciDevice("0000:03:1f.2", slot=5, permissive=True),)


# --- what is not known, and what is no record


def test_what_is_not_known_is_kept_with_its_place() -> None:
    described = read({"later": [1], "disks": [{"vdev": "xvda", "speed": 3}]}, bootloader_restrict="True")
    assert set(described.unknown) == {
        Unknown("libxl-json", "later", "[1]"),
        Unknown("libxl-json", "b_info.bootloader_restrict", '"True"'),
        Unknown("libxl-json", "disks[0].speed", "3"),
    }
    assert read({"vfbs": [{"devid": 0}]}, "hvm").unknown == (Unknown("libxl-json", "vfbs", '[{"devid": 0}]'),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"^r:1:2: no JSON: "),
        ("[]", "expected one domain's record"),
        ("3", "expected one domain's record"),
        ("{}", "an object with c_info"),
        ('{"c_info": 3}', "r: c_info: expected an object, found 3"),
        ('{"c_info": {}}', "r: c_info.name: expected the name of a domain, found None"),
        ('{"c_info": {"name": "a", "type": "vm"}}', "r: c_info.type: expected one of .*, found 'vm'"),
        ('{"c_info": {"name": "a", "uuid": "x"}}', "r: c_info.uuid: expected a UUID, found 'x'"),
        ('{"c_info": {"name": "a"}, "disks": [3]}', r"r: disks: expected a list of objects, found \[3\]"),
        (
            '{"c_info": {"name": "a"}, "disks": [{"vdev": 3}]}',
            r"r: disks\[0\].vdev: expected a string, found 3",
        ),
        ("[" * 100_000, "nested too deep"),
        ("9" * 5000, "a number in it is too long"),
    ],
)
def test_what_is_no_record_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(text, file="r")


_KEYS = sorted(
    {row.key for row in TABLE}
    | {
        "vdev",
        "mac",
        "vnc",
        "enable",
        "display",
        "cpuid",
        "leaf",
        "ms_vm_genid",
        "vnuma_nodes",
        "ioports",
        "first",
    }
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.floats() | st.sampled_from(["", "True", "a", "/x"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=4),
    max_leaves=12,
)


@given(
    st.dictionaries(st.sampled_from(_KEYS), _JSON, max_size=4),
    st.sampled_from(["b_info", "b_info.type.hvm", "disks", "nics", "vfbs", "pcidevs", "vsnds", "channels"]),
    st.sampled_from(DomainType),
)
def test_whatever_it_holds_only_a_config_error_is_raised(
    values: dict[str, Any], place: str, kind: DomainType
) -> None:
    config: dict[str, Any] = {"c_info": {"name": "a", "type": kind.value}, "b_info": {}}
    if place == "b_info.type.hvm":
        config["b_info"]["type.hvm"] = values
    else:
        config[place] = values if place == "b_info" else [values]
    with contextlib.suppress(ConfigError):
        assert parse(json.dumps(config)).description.name == "a"
