"""What is refused before anything is touched: files of this machine stand in for a host's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from purevirt.channels.files import HostFiles
from purevirt.daemons.xend.toolstack.xl import checks, runs
from purevirt.daemons.xend.toolstack.xl.runs import Part
from purevirt.model import DomainType
from purevirt.model.description import (
    Boot,
    DeviceModel,
    Disk,
    DiskBackend,
    DiskFormat,
    DomainDescription,
    Interface,
    Memory,
)


@pytest.fixture
def good(tmp_path: Path) -> DomainDescription:
    """One that could be made of what is in `tmp_path`."""
    (tmp_path / "kernel").write_bytes(b"\x7fELF" + bytes(100))
    (tmp_path / "ramdisk").write_bytes(b"x")
    (tmp_path / "disk").write_bytes(bytes(512))
    (tmp_path / "text").write_text("hello\n")
    boot = Boot(kernel=f"{tmp_path}/kernel", ramdisk=f"{tmp_path}/ramdisk")
    disk = Disk("xvda", f"{tmp_path}/disk", DiskFormat.RAW)
    return DomainDescription("one", memory=Memory(4096), boot=boot, disks=(disk,))


def found(description: DomainDescription, root: Path) -> list[str]:
    files = HostFiles(str(root))
    return [f"{one.path}: {one.message}" for one in checks.problems(description, files, "4.17")]


def test_a_good_one_has_no_problems(good: DomainDescription, tmp_path: Path) -> None:
    assert found(good, tmp_path) == []


@pytest.mark.parametrize(
    ("head", "is_one"),
    [
        (b"\x7fELF", True),
        (b"\x1f\x8b\x08", True),
        (bytes(0x202) + b"HdrS", True),
        (bytes(512) + b"\x02\xb0\xad\x1b", True),
        (bytes(0x202) + b"HdrX", False),
        (b"", False),
        (bytes(9000) + b"\x02\xb0\xad\x1b", False),
    ],
)
def test_a_kernel_is_known_by_its_head(
    good: DomainDescription, tmp_path: Path, head: bytes, is_one: bool
) -> None:
    (tmp_path / "kernel").write_bytes(head)
    wrong = f"boot.kernel: kernel {tmp_path}/kernel: not a kernel, neither ELF nor bzImage"
    assert found(good, tmp_path) == ([] if is_one else [wrong])


def test_files_that_are_not_there_or_none_are_named_with_their_field(
    good: DomainDescription, tmp_path: Path
) -> None:
    bad = good._replace(
        boot=Boot(kernel="/nowhere/k", ramdisk=str(tmp_path), device_tree="/nowhere/d"),
        disks=(
            Disk("xvda", "/nowhere/x"),
            Disk("xvdb", str(tmp_path)),
            Disk("foo9", f"{tmp_path}/disk"),
            Disk("xvdc", f"{tmp_path}/disk", from_device=True),
            Disk("xvdd", "/dev/null"),
            Disk("xvde", "x", script="block-nothere"),
        ),
    )
    assert found(bad, tmp_path) == [
        "boot.kernel: kernel /nowhere/k: no such file or directory",
        f"boot.ramdisk: ramdisk {tmp_path}: a directory",
        "boot.device_tree: device tree /nowhere/d: no such file or directory",
        "disks[xvda].source: /nowhere/x: no such file or directory",
        f"disks[xvdb].source: {tmp_path}: a directory",
        "disks[foo9].target: 'foo9' is no name of a disk, such as xvda",
        f"disks[xvdc].source: {tmp_path}/disk: a file, not a block device",
        "disks[xvdd].source: /dev/null: neither a file nor a block device",
        "disks[xvde].script: hotplug script /etc/xen/scripts/block-nothere: no such file or directory",
    ]


def test_what_another_domain_serves_is_not_looked_at(good: DomainDescription, tmp_path: Path) -> None:
    elsewhere = good._replace(
        disks=(
            Disk("xvda", "/nowhere", backend_domain="storage"),
            Disk("xvdb", "nbd:host:1", DiskFormat.RAW),
        ),
        interfaces=(Interface(bridge="nowhere0", backend_domain="net"),),
    )
    assert found(elsewhere, tmp_path) == []


def test_bridges_have_to_be_there_and_be_bridges(good: DomainDescription, tmp_path: Path) -> None:
    bad = good._replace(
        interfaces=(
            Interface(bridge="nowhere0"),
            Interface(bridge="lo"),
            Interface(bridge=".."),
            Interface(network="default"),
            Interface(bridge="ovs0.100", script="/nowhere/vif-openvswitch"),
        )
    )
    assert found(bad, tmp_path) == [
        "interfaces[0].bridge: bridge nowhere0 does not exist",
        "interfaces[1].bridge: lo is no bridge",
        "interfaces[2].bridge: bridge .. does not exist",
        "interfaces[3].network: 'default' is a network of libvirt's: name a bridge",
        "interfaces[4].script: hotplug script /nowhere/vif-openvswitch: no such file or directory",
    ]


def test_what_qemu_has_to_serve_needs_qemu(good: DomainDescription, tmp_path: Path) -> None:
    disk = f"{tmp_path}/disk"
    image = good._replace(
        disks=(Disk("xvda", disk, DiskFormat.QCOW2), Disk("xvdb", disk, backend=DiskBackend.QDISK))
    )
    why = "QEMU would have to serve it (qemu-system-i386), which is not installed: use a raw image"
    assert found(image, tmp_path) == [f"disks[xvda]: {why}", f"disks[xvdb]: {why}"]
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/qemu-system-i386").write_text("")
    assert found(image, tmp_path) == []
    named = image._replace(device_model=DeviceModel(path="/nowhere/qemu"))
    assert found(named, tmp_path) == [
        "device_model.path: device model /nowhere/qemu: no such file or directory"
    ]


def test_an_hvm_domain_needs_what_it_is_made_of(good: DomainDescription, tmp_path: Path) -> None:
    hvm = good._replace(type=DomainType.HVM, boot=Boot())
    assert found(hvm, tmp_path) == [
        "type: an HVM domain needs hvmloader, which is not installed",
        "type: an HVM domain needs a device model (qemu-system-i386), which is not installed",
    ]


def test_a_boot_loader_has_to_be_a_program(good: DomainDescription, tmp_path: Path) -> None:
    loaded = good._replace(boot=Boot(bootloader=f"{tmp_path}/text"))
    os.chmod(tmp_path / "text", 0o644)
    assert found(loaded, tmp_path) == [f"boot.bootloader: boot loader {tmp_path}/text: may not be run"]


def test_the_models_rules_are_among_them(good: DomainDescription, tmp_path: Path) -> None:
    assert found(good._replace(name="a/b"), tmp_path)[0].startswith("name: ")


def test_a_run_is_noted_for_roots_eyes_until_it_is_over(tmp_path: Path) -> None:
    directory = str(tmp_path / "build")
    one, other = runs.begin(directory, "u-1"), runs.begin(directory, "u-1")
    runs.begin(directory, "u-2")
    assert one.mark != other.mark
    assert {run.mark for run in runs.left(directory, "u-1")} == {one.mark, other.mark}
    path = Path(one.write("config", "name='one'\n"))
    assert path.read_text() == "name='one'\n"
    assert path.stat().st_mode & 0o777 == 0o600
    assert Path(one.directory).stat().st_mode & 0o777 == 0o700
    assert one.noted() is None
    one.note(Part("/x.part", "/x", 7, True))
    assert one.noted() == Part("/x.part", "/x", 7, True)
    assert not one.sends()
    one.note_sending()
    assert one.sends()
    other.close()
    assert runs.left(directory, "u-1") == [one]
    assert runs.left(str(tmp_path / "none"), "u-1") == []
