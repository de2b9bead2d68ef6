"""Disks and interfaces from the store: three exchanges, and no belief in what a guest wrote."""

from __future__ import annotations

from uuid import UUID

import pytest

from purevirt._run import run_blocking
from purevirt.drivers.xen import devices
from purevirt.wire.xenstore.domainnodes import Disk, Interface, domain_nodes
from tests.support.memory_store import memory_store

UUID_1 = UUID("12345678-1234-5678-1234-567812345678")


def store_of(*domids: int, disks: tuple[Disk, ...] = (), nics: tuple[Interface, ...] = ()) -> dict[str, str]:
    nodes: dict[str, str] = {}
    for domid in domids:
        for node in domain_nodes(
            domid,
            UUID_1,
            f"d{domid}",
            "pv",
            memory_kib=1024,
            max_memory_kib=1024,
            vcpus=1,
            disks=disks,
            interfaces=nics,
        ):
            nodes[node.path] = "4" if node.path.endswith("/state") else node.value  # as if a guest ran
    return nodes


def test_disks_are_found_with_source_mode_and_number() -> None:
    store, _ = memory_store(store_of(3, disks=(Disk("xvdb", "/dev/vg/b", True), Disk("xvda", "/img a"))))
    first, second = run_blocking(devices.block_devices(store, [3]))[3]
    assert (first.target, first.number, first.source, first.read_only) == ("xvda", 51712, "/img a", False)
    assert (second.target, second.number, second.source, second.read_only) == (
        "xvdb",
        51728,
        "/dev/vg/b",
        True,
    )
    assert (first.format, first.backend, first.connected) == ("raw", "phy", True)


def test_a_hundred_domains_cost_three_exchanges() -> None:
    store, transport = memory_store(store_of(*range(1, 101), disks=(Disk("xvda", "/a"),)))
    found = run_blocking(devices.block_devices(store, range(1, 101)))
    assert all(len(disks) == 1 for disks in found.values())
    assert transport.exchanges == 3


def test_a_format_in_the_source_of_a_qdisk_is_taken_apart() -> None:
    nodes = store_of(1, disks=(Disk("xvda", "qcow2:/images/a:b.qcow2"),))
    nodes["/local/domain/0/backend/vbd/1/51712/type"] = "qdisk"
    store, _ = memory_store(nodes)
    (disk,) = run_blocking(devices.block_devices(store, [1]))[1]
    assert (disk.format, disk.source, disk.backend) == ("qcow2", "/images/a:b.qcow2", "qdisk")


def test_an_empty_drive_has_no_source() -> None:
    nodes = store_of(1, disks=(Disk("xvdc", ""),))
    store, _ = memory_store(nodes)
    (disk,) = run_blocking(devices.block_devices(store, [1]))[1]
    assert disk.source is None


def test_without_libxls_record_the_frontends_are_believed_as_far_as_they_are_plausible() -> None:
    nodes = store_of(1, disks=(Disk("xvda", "/a"),))
    nodes = {path: value for path, value in nodes.items() if not path.startswith("/libxl")}
    store, _ = memory_store(nodes)
    (disk,) = run_blocking(devices.block_devices(store, [1]))[1]
    assert disk.target == "xvda"


@pytest.mark.parametrize(
    "backend",
    [
        "/local/domain/0/backend/vbd/2/51712",  # another domain's
        "/local/domain/0/backend/vbd/1/51728",  # another device
        "/local/domain/0/backend/vbd/1/51712/..",
        "/local/domain/x/backend/vbd/1/51712",
        "/local/domain/0/backend/a-b/1/51712",
        "/tool/secret",
        "",
    ],
)
def test_a_guest_cannot_point_us_elsewhere(backend: str) -> None:
    nodes = store_of(1, disks=(Disk("xvda", "/a"),)) | store_of(2, disks=(Disk("xvda", "/b"),))
    nodes = {path: value for path, value in nodes.items() if not path.startswith("/libxl/1")}
    nodes["/local/domain/1/device/vbd/51712/backend"] = backend
    store, _ = memory_store(nodes)
    assert run_blocking(devices.block_devices(store, [1]))[1] == ()


def test_interfaces_have_mac_bridge_and_device_name() -> None:
    nics = (Interface("00:16:3e:00:00:01", "br0"), Interface("00:16:3e:00:00:02", ""))
    store, _ = memory_store(store_of(7, nics=nics))
    first, second = run_blocking(devices.interfaces(store, [7]))[7]
    assert (first.device, first.mac, first.type, first.source) == (
        "vif7.0",
        "00:16:3e:00:00:01",
        "bridge",
        "br0",
    )
    assert (second.device, second.type, second.source) == ("vif7.1", "ethernet", None)


def test_a_disk_is_found_by_target_number_or_source() -> None:
    store, _ = memory_store(store_of(1, disks=(Disk("xvda", "/a"), Disk("xvdb", "/b"))))
    disks = run_blocking(devices.block_devices(store, [1]))[1]
    assert [devices.find_block(disks, wanted) for wanted in ("xvdb", "51712", "/b", "hda")] == [
        disks[1],
        disks[0],
        disks[1],
        None,
    ]


def test_a_disk_served_by_qemu_has_its_backend_elsewhere() -> None:
    nodes = store_of(1, disks=(Disk("xvda", "qcow2:/a.qcow2"),))
    nodes = {path.replace("/backend/vbd/", "/backend/qdisk/"): value for path, value in nodes.items()}
    nodes["/libxl/1/device/vbd/51712/backend"] = "/local/domain/0/backend/qdisk/1/51712"
    nodes["/local/domain/0/backend/qdisk/1/51712/type"] = "qdisk"
    store, _ = memory_store(nodes)
    (disk,) = run_blocking(devices.block_devices(store, [1]))[1]
    assert (disk.source, disk.backend) == ("/a.qcow2", "qdisk")
