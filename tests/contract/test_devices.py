"""Disks and interfaces, attached to a running domain, changed and detached: the same on every host with a Xen daemon.

Each test leaves the domain as it was.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from purevirt.errors import InvalidConfig, NoSuchDevice, OperationError, ReadOnly, Unsupported, XenError

from .conftest import Caller, Facts

IMAGE = "/var/lib/xen/images/contract-extra.img"
MAC = "00:16:3E:5E:6C:77"


@pytest.fixture
def domain(do: Caller, changing: Any, facts: Facts) -> Any:
    return do(changing.lookup_by_name, facts.subject.name)


@pytest.fixture
def image(facts: Facts) -> str:
    """A disk of the host's. Behind those of a simulated host there need be none."""
    if facts.uri == "xen:///":
        Path(IMAGE).parent.mkdir(parents=True, exist_ok=True)
        with open(IMAGE, "wb") as file:
            os.truncate(file.fileno(), 1 << 20)
    return IMAGE


def nodes(do: Caller, connection: Any, domid: int) -> set[str]:
    """What the store has of a domain's devices."""
    found: set[str] = set()
    for path in (
        f"/libxl/{domid}/device",
        f"/local/domain/{domid}/device",
        f"/local/domain/0/backend/vbd/{domid}",
        f"/local/domain/0/backend/vif/{domid}",
    ):
        if do(connection.store.exists, path):
            found.update(do(connection.store.tree, path))
    shared = {f"/local/domain/0/backend/{kind}/{domid}" for kind in ("vbd", "vif")}
    shared |= {
        f"{home}/{kind}"
        for home in (f"/libxl/{domid}/device", f"/local/domain/{domid}/device")
        for kind in ("vbd", "vif")
    }
    return found - shared


def test_a_disk_comes_and_goes(do: Caller, changing: Any, domain: Any, image: str, facts: Facts) -> None:
    domid = facts.subject.domid
    before = nodes(do, changing, domid)
    made = do(domain.attach_disk, image, "xvdk", read_only=True)
    try:
        assert (made.kind, made.number, made.name, made.mac, made.source) == (
            "disk",
            202 << 8 | 10 << 4,
            "xvdk",
            None,
            image,
        )
        disk = next(disk for disk in do(domain.block_devices) if disk.target == "xvdk")
        assert (disk.source, disk.read_only, disk.connected, disk.backend) == (image, True, True, "phy")
        assert do(domain.block_stats, "xvdk").wr_req == 0
        for live in (True, False):
            described = do(domain.description, live=live).disks
            assert image in [one.source for one in described if one.target == "xvdk"]
        with pytest.raises(OperationError, match=r"disk xvdk of domain .*: there is one already"):
            do(domain.attach_disk, image, "xvdk")
        with pytest.raises(Unsupported, match="source"):
            do(domain.change_media, "xvdk", "/another.iso")
    finally:
        gone = do(domain.detach_disk, "xvdk")
    assert gone == made
    assert nodes(do, changing, domid) == before
    with pytest.raises(NoSuchDevice, match="no disk xvdk"):
        do(domain.detach_disk, "xvdk")


def test_an_interface_comes_changes_and_goes(do: Caller, changing: Any, domain: Any, facts: Facts) -> None:
    domid = facts.subject.domid
    before = nodes(do, changing, domid)
    made = do(domain.attach_interface, "xenbr0", mac=MAC)
    try:
        assert (made.kind, made.mac, made.source) == ("interface", MAC, "xenbr0")
        nic = next(nic for nic in do(domain.interfaces) if nic.number == made.number)
        assert (nic.device, nic.mac, nic.source, nic.connected) == (made.name, MAC, "xenbr0", True)
        assert do(domain.interface_stats, made.name).rx_errors == 0
        text = (
            f"<interface type='bridge'><mac address='{MAC.lower()}'/><source bridge='xenbr0'/>"
            "<bandwidth><outbound average='1000'/></bandwidth></interface>"
        )
        assert do(domain.update_device, text) == made
        backend = f"/local/domain/0/backend/vif/{domid}/{made.number}"
        assert do(changing.store.read, f"{backend}/rate") == "51200,50000"
        found = [one for one in do(domain.description).interfaces if one.mac == MAC]
        assert [one.rate.bytes for one in found] == [51200]
        with pytest.raises(Unsupported, match="its mtu cannot be changed"):
            do(domain.update_device, text.replace("<bandwidth>", "<mtu size='1234'/><bandwidth>"))
        with pytest.raises(OperationError, match="there is one already"):
            do(domain.attach_interface, "xenbr0", mac=MAC.lower())
    finally:
        do(domain.detach_interface, MAC.lower())
    assert nodes(do, changing, domid) == before


def test_an_interface_without_an_address_gets_one_of_xens(do: Caller, domain: Any) -> None:
    made = do(domain.attach_device, "bridge=xenbr0", format="xl-vif")
    try:
        assert made.mac.startswith("00:16:3e:")
    finally:
        assert do(domain.detach_interface, made.number) == made


WRONG = {
    "<disk><target dev='xvdk'/></disk>": (InvalidConfig, "source"),
    "<disk><source file='relative'/><target dev='xvdk'/></disk>": (InvalidConfig, "no absolute path"),
    "<disk><source file='/x'/><target dev='floppy'/></disk>": (InvalidConfig, "no disk's name"),
    "<disk><driver name='qemu' type='qcow2'/><source file='/x'/><target dev='xvdk'/></disk>": (
        Unsupported,
        "served by QEMU",
    ),
    "<disk><backenddomain name='storage'/><source file='/x'/><target dev='xvdk'/></disk>": (
        Unsupported,
        "only Domain 0",
    ),
    "<interface type='network'><source network='default'/></interface>": (InvalidConfig, "no networks"),
    "<interface type='bridge'><mac address='01:00:00:00:00:01'/><source bridge='xenbr0'/></interface>": (
        InvalidConfig,
        "no address of a card",
    ),
    "<serial type='pty'/>": (Unsupported, "only disks and interfaces"),
}


@pytest.mark.parametrize("text", WRONG)
def test_what_cannot_be_is_refused_before_anything_is_touched(
    do: Caller, changing: Any, domain: Any, facts: Facts, text: str
) -> None:
    kind, words = WRONG[text]
    before = nodes(do, changing, facts.subject.domid)
    with pytest.raises(kind, match=words) as caught:
        do(domain.attach_device, text)
    assert isinstance(caught.value, XenError)
    assert caught.value.operation == "attach_device"
    assert nodes(do, changing, facts.subject.domid) == before


def test_domain_0_has_no_such_devices(do: Caller, changing: Any, image: str) -> None:
    domain = do(changing.lookup_by_id, 0)
    with pytest.raises(Unsupported, match="Domain 0"):
        do(domain.attach_disk, image, "xvdk")
    with pytest.raises(Unsupported, match="Domain 0"):
        do(domain.detach_disk, "xvdk")


@pytest.mark.parametrize("operation", ["attach_device", "detach_device", "update_device"])
def test_a_read_only_connection_changes_no_device(do: Caller, ro: Any, facts: Facts, operation: str) -> None:
    domain = do(ro.lookup_by_name, facts.subject.name)
    with pytest.raises(ReadOnly):
        do(getattr(domain, operation), "<disk><source file='/x'/><target dev='xvdk'/></disk>")
