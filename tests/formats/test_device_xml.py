"""One device as libvirt's XML, for attaching it."""

from __future__ import annotations

import pytest

from purevirt.errors import ConfigError, InvalidConfig
from purevirt.formats import device_xml
from purevirt.model.description import Disk, DiskFormat, Interface, PciDevice, Vtpm


def test_a_disk() -> None:
    text = """<disk type='file' device='disk'>
  <driver type='qcow2'/>
  <source file='/a.qcow2'/>
  <target dev='xvdb' bus='xen'/>
</disk>
"""
    disk = Disk("xvdb", "/a.qcow2", DiskFormat.QCOW2)
    assert device_xml.parse(text) == ("disks", disk)
    assert device_xml.format("disks", disk) == text


def test_a_part_that_cannot_be_said_is_named() -> None:
    with pytest.raises(InvalidConfig, match="no words for number, trusted of this one of interfaces"):
        device_xml.format("interfaces", Interface(bridge="b", trusted=False, number=3))


@pytest.mark.parametrize(
    ("field", "record"),
    [("tpms", Vtpm("0")), ("pci_devices", PciDevice(name="gpu")), ("disks", Disk("xvda"))],
)
def test_a_device_that_cannot_be_said(field: str, record: object) -> None:
    with pytest.raises(InvalidConfig, match=f"no words for this one of {field}"):
        device_xml.format(field, record)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<rng model='virtio'/>", "d.xml:1:1: <rng> is no device that is known, expected one of disk, "),
        ("<disk type='network'/>", "d.xml:1:1: <disk> is no device that is known"),
        ("<disk type='file'>\n</disk>", "d.xml:1:1: <disk> names no target, expected one like <target"),
        (
            "<disk><target dev='a' bus='pci'/></disk>",
            "d.xml:1:7: <target>: bus is 'pci', expected one of ide",
        ),
        (
            "<interface type='bridge'/>",
            "d.xml:1:1: <interface type='bridge'> names none, expected <source bridge",
        ),
        (
            "<interface type='ethernet'><mac address='1'/></interface>",
            "<mac>: address is '1', expected six groups of hexadecimal digits",
        ),
        ("<disk", "d.xml:1:1: this is no XML"),
    ],
)
def test_what_is_no_device_says_what_was_expected(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        device_xml.parse(text, file="d.xml")
    assert message in str(caught.value)
