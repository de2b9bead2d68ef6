"""What this host refuses to give a domain, before anything is touched; on a real host's own files and bridges."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from purevirt.daemons.xend.toolstack.base import Host
from purevirt.daemons.xend.toolstack.devices.existing import Existing, find_interface
from purevirt.daemons.xend.toolstack.devices.planning import Plan, plan
from purevirt.errors import InvalidConfig, NoSuchDevice, OperationError, Unsupported
from purevirt.model import DomainInfo, DomainState, DomainType, StateReason
from purevirt.model.description import Disk, DiskBackend, DiskDevice, DiskFormat, Interface, Rate


class _Store:
    """Where no QEMU runs for the domain, or one does."""

    def __init__(self, qemu: bytes | None) -> None:
        self.qemu = qemu

    async def read_many(self, paths: list[str]) -> list[bytes | None]:
        assert paths == ["/local/domain/0/device-model/3/state"]
        return [self.qemu]


DOMAIN = DomainInfo(
    3, bytes(16), "web", DomainType.PV, DomainState.RUNNING, StateReason.UNKNOWN, 65536, 65536, 1, 1, 0
)
THERE = Existing({51712: "vbd"}, {0: "00:16:3e:00:00:00", 4: "00:16:3e:00:00:04"})


def planned(device: Disk | Interface, *, root: str = "/nowhere", qemu: bytes | None = None) -> Plan:
    host = cast(Host, SimpleNamespace(root=root, store=_Store(qemu)))
    return asyncio.run(plan(host, DOMAIN, device, THERE))


@pytest.mark.parametrize(
    ("disk", "kind", "words"),
    [
        (Disk("xvda", "/x"), OperationError, "disk xvda of domain web: there is one already"),
        (Disk("floppy", "/x"), InvalidConfig, "target: 'floppy' is no disk's name"),
        (
            Disk("xvdb", None, device=DiskDevice.CDROM),
            InvalidConfig,
            "source: a running domain gets no empty drive",
        ),
        (Disk("xvdb", "x"), InvalidConfig, "source: 'x' is no absolute path"),
        (Disk("xvdb", "/x\n"), InvalidConfig, "source: it holds what cannot be printed"),
        (Disk("xvdb", "/x", DiskFormat.QCOW2), Unsupported, "a qcow2 disk is served by QEMU, and none runs"),
        (
            Disk("xvdb", "/x", DiskFormat.QCOW2, DiskBackend.PHY),
            InvalidConfig,
            "format: the kernel's backend",
        ),
        (Disk("xvdb", "/x", backend=DiskBackend.TAP), Unsupported, "a backend tap cannot be added"),
        (Disk("xvdb", "/x", backend_domain="storage"), Unsupported, "domain 'storage' serves"),
        (Disk("xvdb", "/x", device=DiskDevice.LUN), Unsupported, "a lun cannot be added"),
        (Disk("xvdb", "/x", specification="virtio"), Unsupported, "virtio disks cannot be added"),
    ],
)
def test_a_disk_that_cannot_be(disk: Disk, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        planned(disk)


@pytest.mark.parametrize(
    ("nic", "kind", "words"),
    [
        (Interface("00:16:3E:00:00:04"), OperationError, "there is one already"),
        (Interface(number=4), OperationError, "interface 4 of domain web: there is one already"),
        (Interface("ff:ff:ff:ff:ff:ff"), InvalidConfig, "mac: .* is no address of a card"),
        (Interface(network="default"), InvalidConfig, "network: 'default': no networks are defined here"),
        (Interface(emulated=True), Unsupported, "an emulated card"),
        (Interface(mtu=20), InvalidConfig, "mtu: 20 is none"),
        (Interface(vlan=7), InvalidConfig, "vlan: only Open vSwitch tags"),
        (Interface(bridge="../x"), InvalidConfig, "bridge: '../x' is no name"),
        (Interface(bridge="br0; reboot"), InvalidConfig, "bridge: .* is no name of an interface or a bridge"),
        (Interface(name="a-name-that-is-too-long"), InvalidConfig, "name: .* is no name"),
        (Interface(gateway_device="$(id)"), InvalidConfig, "gateway_device: .* is no name"),
        (Interface(addresses=("10.0.0.1", "`id`")), InvalidConfig, "addresses: '`id`' is no address"),
        (Interface(number=70000), InvalidConfig, "number: 70000 is too large"),
        (Interface(backend_domain="net"), Unsupported, "domain 'net' serves"),
    ],
)
def test_an_interface_that_cannot_be(nic: Interface, kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        planned(nic)


def test_defaults_of_an_interface() -> None:
    made = planned(Interface(rate=Rate(1, 2)))
    assert isinstance(made.device, Interface)
    assert (made.place.number, made.device.bridge, made.device.number) == (5, "xenbr0", 5)
    assert made.answer.name == "vif3.5"
    assert (made.answer.mac or "").startswith("00:16:3e:")
    switched = planned(Interface(script="vif-openvswitch", bridge="ovs0", vlan=100))
    assert switched.answer.source == "ovs0.100"


def test_qemu_serves_a_disk_where_it_runs() -> None:
    made = planned(Disk("xvdb", "/x", DiskFormat.QCOW2), qemu=b"running")
    values = {node.path: node.value for node in made.nodes}
    home = "/local/domain/0/backend/qdisk/3/51728"
    assert (values[f"{home}/params"], values[f"{home}/type"]) == ("qcow2:/x", "qdisk")
    assert f"{home}/script" not in values


def test_what_a_real_host_has_not(tmp_path: Path) -> None:
    file = tmp_path / "disk.img"
    with pytest.raises(InvalidConfig, match=r"disk\.img: No such file or directory"):
        planned(Disk("xvdb", str(file)), root="")
    with pytest.raises(InvalidConfig, match="is neither a file nor a block device"):
        planned(Disk("xvdb", str(tmp_path)), root="")
    with pytest.raises(InvalidConfig, match="neither"):
        planned(Disk("xvdb", "/dev/null"), root="")
    file.write_bytes(b"")
    assert planned(Disk("xvdb", str(file)), root="").answer.source == str(file)
    assert planned(Disk("xvdb", "tank/vol", script="block-zfs"), root="").answer.source == "tank/vol"
    with pytest.raises(InvalidConfig, match="bridge: lo is no bridge"):
        planned(Interface(bridge="lo"), root="")
    with pytest.raises(InvalidConfig, match="bridge: nobr9 does not exist on this host"):
        planned(Interface(bridge="nobr9"), root="")


def test_which_interface_is_meant() -> None:
    assert find_interface(DOMAIN, THERE, "00:16:3E:00:00:04", None) == 4
    assert find_interface(DOMAIN, THERE, None, 0) == 0
    with pytest.raises(NoSuchDevice, match="no interface 7"):
        find_interface(DOMAIN, THERE, None, 7)
    with pytest.raises(OperationError, match="numbers 0, 4"):
        find_interface(DOMAIN, THERE, None, None)
    with pytest.raises(NoSuchDevice):
        find_interface(DOMAIN, Existing({}, {}), None, None)
