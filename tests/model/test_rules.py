"""What a described domain may be."""

from __future__ import annotations

import pytest

from purevirt.description import (
    Boot,
    BootDevice,
    Cpus,
    Disk,
    DiskDevice,
    DiskFormat,
    DomainDescription,
    DomainType,
    Graphics,
    GraphicsType,
    Interface,
    Memory,
    NumaNode,
    Serial,
    Shim,
    problems,
)

WEB = DomainDescription("web", boot=Boot(kernel="/boot/vmlinuz"), disks=(Disk("xvda", "/dev/vg0/web"),))
HVM = DomainDescription(
    "old", DomainType.HVM, disks=(Disk("hda", "/a"), Disk("hdc", device=DiskDevice.CDROM))
)


@pytest.mark.parametrize(
    "description",
    [
        WEB,
        HVM,
        WEB._replace(type=DomainType.PVH, boot=Boot(kernel="/k", shim=Shim())),
        WEB._replace(boot=Boot(bootloader="pygrub")),
        WEB._replace(memory=Memory(2048, 4096), cpus=Cpus(2, 4, affinity=("0", "1"))),
        WEB._replace(memory=Memory(4096), cpus=Cpus(2, numa=(NumaNode(1024, "0"), NumaNode(3072, "1")))),
        HVM._replace(serials=(Serial("pty"),), graphics=(Graphics(GraphicsType.VNC),)),
    ],
)
def test_what_can_be(description: DomainDescription) -> None:
    assert problems(description) == []


@pytest.mark.parametrize(
    ("description", "path", "message"),
    [
        (WEB._replace(name=""), "name", "needs a name"),
        (WEB._replace(name="12"), "name", "not only digits"),
        (WEB._replace(name="a/b"), "name", "no slash"),
        (WEB._replace(name="x" * 256), "name", "at most 255"),
        (WEB._replace(memory=Memory(100)), "memory.kib", "at least 1024 KiB"),
        (WEB._replace(memory=Memory((1 << 54) + 1)), "memory.kib", "at most 18014398509481984 KiB"),
        (WEB._replace(memory=Memory(1024, 1 << 70)), "memory.max_kib", "at most 18014398509481984 KiB"),
        (WEB._replace(memory=Memory(4096, 2048)), "memory.max_kib", "2048 KiB, is below the 4096"),
        (WEB._replace(cpus=Cpus(0)), "cpus.online", "at least one"),
        (WEB._replace(cpus=Cpus(4, 2)), "cpus.maximum", "below the 4"),
        (HVM._replace(cpus=Cpus(200)), "cpus.online", "at most 128"),
        (WEB._replace(cpus=Cpus(1, affinity=("0", "1"))), "cpus.affinity", "2 lists of CPUs for 1"),
        (WEB._replace(cpus=Cpus(numa=(NumaNode(1, "0"),))), "cpus.numa", "not the domain's"),
        (WEB._replace(boot=Boot()), "boot", "needs a kernel"),
        (WEB._replace(boot=Boot(kernel="/k", bootloader="pygrub")), "boot.bootloader", "beside a kernel"),
        (WEB._replace(boot=Boot(bootloader="pygrub"), disks=()), "boot.bootloader", "needs a disk"),
        (WEB._replace(boot=Boot(kernel="/k", order=(BootDevice.DISK,))), "boot.order", "for HVM"),
        (WEB._replace(boot=Boot(kernel="/k", shim=Shim())), "boot.shim", "for PVH"),
        (HVM._replace(boot=Boot(bootloader="pygrub")), "boot.bootloader", "has firmware"),
        (WEB._replace(disks=WEB.disks * 2), "disks[xvda]", "two of the disks"),
        (WEB._replace(disks=(Disk("xvda"),)), "disks[xvda].source", "only a drive may be empty"),
        (
            HVM._replace(disks=(Disk("hdc", None, DiskFormat.RAW, device=DiskDevice.CDROM),)),
            "disks[hdc].source",
            "format",
        ),
        (
            WEB._replace(interfaces=(Interface("00:16:3E:00:00:01"), Interface("00:16:3e:00:00:01"))),
            "interfaces[1].mac",
            "two interfaces",
        ),
        (
            WEB._replace(interfaces=(Interface(bridge="b", network="n"),)),
            "interfaces[0].network",
            "not on both",
        ),
        (WEB._replace(serials=(Serial("pty"),)), "serials", "for HVM"),
        (WEB._replace(type=DomainType.PVH, graphics=(Graphics(GraphicsType.VNC),)), "graphics", "no screen"),
    ],
)
def test_what_cannot_be(description: DomainDescription, path: str, message: str) -> None:
    ((found, words),) = problems(description)
    assert found == path
    assert message in words
