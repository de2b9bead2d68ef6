"""What is written for a new device: node for node what `xl` has written, by captures from a real Xen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from purevirt.daemons.xend.toolstack.devices.nodes import Node, Place, disk_nodes, interface_nodes
from purevirt.formats import device_text
from purevirt.wire.xenstore.disknames import disk_number

DATA = Path(__file__).parents[2] / "data" / "devices"
_LINE = re.compile(r'(\S+) = "(.*)"   \((.*)\)')

# What the backend's driver, its script and the guest have written by then.
THEIRS = re.compile(
    r"feature-\S+|discard-(alignment|granularity|secure)|physical-\S+|sector-size|sectors|info|node|max-ring-page-order|"
    r"multi-queue-\S+|event-channel\S*|\S*ring-ref|request-rx-copy|xdp-headroom|hotplug-error"
)

DISKS = {
    "disk": "format=raw,vdev=xvdb,access=rw,target=/root/a.img",
    "disk-script": "format=raw,vdev=xvde,access=ro,script=block-dump,no-discard,direct-io-safe,target=/root/b.img",
    "disk-device": "format=raw,vdev=xvdc,access=ro,discard,target=/dev/loop1",
    "disk-cdrom": "format=raw,vdev=xvdd,devtype=cdrom,access=ro,target=/root/a.img",
    "disk-qcow2": "format=qcow2,vdev=xvdg,target=/root/a.img",
    "disk-paused": "format=raw,vdev=xvdb,access=ro,target=/root/b.img",
}
INTERFACES = {
    "interface": (1, "mac=00:16:3e:12:42:1c,bridge=xenbr0"),
    "interface-full": (
        1,
        "script=vif-dump,mac=00:16:3e:11:22:33,bridge=xenbr0,rate=10Mb/s,mtu=1400,ip=10.77.0.9,model=e1000,vifname=tap9",
    ),
    "interface-routed": (
        3,
        "script=vif-route,gatewaydev=xenbr0,ip=10.77.0.99,mac=00:16:3e:4e:54:b8,bridge=xenbr0",
    ),
}


def captured(name: str) -> dict[str, tuple[str, str]]:
    """Path -> value and permissions, of what the toolstack writes."""
    found = {}
    for line in (DATA / f"{name}.txt").read_text().splitlines():
        match = _LINE.fullmatch(line)
        assert match is not None, line
        path, value, permissions = match.groups()
        key = path.rpartition("/")[2]
        # A script of Xen's writes a frontend's mtu.
        if not THEIRS.fullmatch(key) and not (key == "mtu" and "/device/" in path):
            found[path] = (value, permissions)
    return found


def made(nodes: list[Node]) -> dict[str, tuple[str, str]]:
    """The same of ours, with the permissions that nodes take from their parents."""
    found: dict[str, tuple[str, str]] = {}
    for node in nodes:
        _, inherited = found.get(node.path.rpartition("/")[0], ("", ""))
        found[node.path] = (node.value, ",".join(node.permissions) or inherited)
    return found


def compare(nodes: list[Node], name: str) -> None:
    wanted = captured(name)
    ours = made(nodes)
    for path in (path for path in list(ours) if path not in wanted and name == "interface-full"):
        del ours[path]  # of that one, the backend alone was captured
    moved = {
        path for path in wanted if path.endswith(("/state", "/hotplug-status")) and "/libxl/" not in path
    }
    for path in moved:  # these have moved on since
        wanted.pop(path)
        ours.pop(path, None)
    assert ours == wanted


@pytest.mark.parametrize("name", DISKS)
def test_the_nodes_of_a_disk_are_those_of_xl(name: str) -> None:
    _, disk = device_text.parse(DISKS[name], "xl-disk")
    served = "qdisk" if name == "disk-qcow2" else "vbd"
    place = Place(2 if name == "disk-paused" else 1, "vbd", served, disk_number(disk.target))
    compare(list(disk_nodes(place, disk)), name)


@pytest.mark.parametrize("name", INTERFACES)
def test_the_nodes_of_an_interface_are_those_of_xl(name: str) -> None:
    number, text = INTERFACES[name]
    _, nic = device_text.parse(text, "xl-vif")
    compare(list(interface_nodes(Place(1, "vif", "vif", number), nic)), name)
