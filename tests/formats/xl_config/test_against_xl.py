"""What we read in a file and what we write, against the real xl: `xl create -n -d` of Xen 4.17, run without Xen.

xl's answer is libxl's record as JSON, so that these tests hold `xl_config` and `libxl_json` against each other as well.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from purevirt.errors import ConfigError
from purevirt.formats import libxl_json, xl_config
from purevirt.formats.xl_config.vif import read_rate
from purevirt.model.description import (
    Boot,
    Cpus,
    Disk,
    DiskFormat,
    DomainDescription,
    Interface,
    Rate,
    differences,
)
from purevirt.model.domain import DomainType
from tests import peers
from tests.support.descriptions import descriptions
from tests.support.xl_effect import disk_in_effect, in_effect, left_out, spelled_out

pytestmark = pytest.mark.peers

DATA = Path(__file__).parents[2] / "data" / "descriptions"
BASE = 'name = "w"\nkernel = "/k"\nmemory = 64\n'


@pytest.fixture(autouse=True, scope="module")
def installed() -> None:
    peers.need()


def asked(text: str) -> DomainDescription:
    """What xl makes of a file."""
    return libxl_json.parse(json.dumps(peers.xl_create_dry_run(text))).description


@pytest.mark.parametrize("path", sorted(DATA.glob("*.cfg")), ids=lambda path: path.name)
def test_xl_understands_the_golden_files_as_we_do(path: Path) -> None:
    text = path.read_text()
    said = xl_config.parse(text)._said
    said = said._replace(cpus=said.cpus._replace(affinity=tuple(map(spelled_out, said.cpus.affinity))))
    xl = asked(text)
    assert differences(in_effect(said, xl), xl) == []


HVM_ONLY: dict[str, Any] = {
    "type": DomainType.HVM,
    "io_memory": (),
    "displays": (),
    "usb_devices": (),
    "usb_controllers": (),
    "cpus": Cpus(online=2, maximum=4),
    "device_tree_devices": (),
}


def meant_for_hvm(description: DomainDescription) -> DomainDescription:
    """Without what is for other domains, and what xl refuses since it does not fit together."""
    boot: Boot = description.boot._replace(shim=None, bootloader=None, bootloader_arguments=())
    return description._replace(
        **HVM_ONLY,
        directories=description.directories[:1],  # xl 4.17 gives the backend of one to those after it as well
        boot=boot,
        memory=description.memory._replace(max_kib=None),
        features=description.features._replace(
            e820_host=None, viridian=tuple(one for one in description.features.viridian if one == "base")
        ),
        reserved_memory=description.reserved_memory._replace(policy=None),  # libxlutil 4.17 refuses any
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(descriptions.map(meant_for_hvm))
def test_xl_understands_what_we_write_as_we_do(description: DomainDescription) -> None:
    text = xl_config.format(description).text()
    said = xl_config.parse(text)._said
    xl = asked(text)
    found = differences(in_effect(said, xl), xl)
    assert [one for one in found if not left_out(one.path, one.old)] == [], text


PARTS = [
    "/dev/vg/a", "/b,c", "", "raw", "qcow2", "xvda", "hdc", "hdc:cdrom", "rw", "r", "w", "ro", "cdrom", "devtype=cdrom",
    "vdev=xvdb", "format=raw", "format=qcow2", "format=", "access=ro", "access=x", "target=/t, x", "target=", "phy:",
    "phy:/dev/a", "file:/f", "tap:aio:/x", "ioemu:hda", "raw:/r", "drbd:res", "foo:/x", "script=block-x",
    "backendtype=qdisk", "backendtype=zip", "discard", "no-discard", "direct-io-safe", "new=1", "vdev=", "a:b",
    "specification=virtio", "backend=dom", "colo", "colo-host=h", "colo-port=5", "colo-port=z",
]  # fmt: skip


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(PARTS), min_size=1, max_size=6), st.sampled_from([",", ", "]))
def test_disks_are_understood_and_refused_as_by_xl(words: list[str], comma: str) -> None:
    text = f'{BASE}disk = [ "{comma.join(words)}" ]\n'
    try:
        xl: tuple[Disk, ...] | None = asked(text).disks
    except peers.PeerError:
        xl = None
    try:
        ours: tuple[Disk, ...] | None = tuple(map(disk_in_effect, xl_config.parse(text)._said.disks))
    except ConfigError:
        ours = None
    if xl is not None and (
        xl[0].target == "" or (xl[0].source is None and xl[0].format is not DiskFormat.EMPTY)
    ):
        return  # xl leaves it to libxl to refuse these
    if xl is not None and ours is not None:
        xl = tuple(disk_in_effect(one)._replace(colo=ours[0].colo) for one in xl)
    assert ours == xl


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.from_regex(
        r"(0|[1-9][0-9]{0,11}|0[0-7]{1,3})[KMGk]?[Bb]/s(@(0[0-7]{1,3}|[1-9][0-9]{0,4}|0)(us|ms|s|m)?)?",
        fullmatch=True,
    )
)
def test_rates_are_understood_and_refused_as_by_xl(text: str) -> None:
    try:
        xl: Rate | None = asked(f"{BASE}vif = [ 'rate={text}' ]\n").interfaces[0].rate
    except peers.PeerError:
        xl = None
    try:
        ours: Rate | None = read_rate(text)
    except ValueError:
        ours = None
    assert ours == xl


@pytest.mark.parametrize(
    "spec",
    ["", " ", "mac=00-16-3e-1-2-3", "bridge=a,bridge=b", "untrusted,devid=3", ",,ip=1 2", "netdev=e,foo"],
)
def test_interfaces_are_understood_as_by_xl(spec: str) -> None:
    text = f"{BASE}vif = [ '{spec}' ]\n"
    ours: tuple[Interface, ...] = xl_config.parse(text).description.interfaces
    assert ours == asked(text).interfaces


TOKENS = [
    "a", "b", "name", "=", "+=", "1", "0x1f", "1x", "0xF", "'s'", '"t"', "'a\\'b'", '"\\n"', '"\\x41"', "'", "[", "]",
    ",", ";", "\n", " ", "\t", "# c\n", "-1", "A", "a.b",
]  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(TOKENS), max_size=12))
def test_the_grammar_is_xls(tokens: list[str]) -> None:
    text = f"{BASE}{' '.join(tokens)}\n"
    try:
        peers.xl_create_dry_run(text)
        accepted = True
    except peers.PeerError as error:
        accepted = "config parsing error" not in str(error)  # else it is about what is said
        if "Assertion" in str(error):
            return  # libxlutil ends itself over some lone quotes
    try:
        xl_config.syntax.read(text)
        ours = True
    except ConfigError:
        ours = False
    assert ours == accepted
