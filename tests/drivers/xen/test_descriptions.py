"""The description of a running domain: the record and the facts laid over it, and who sees what of it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import purevirt
from purevirt import errors, testing
from purevirt.channels.files.libxl import record, record_path
from purevirt.drivers.xen import overlaid
from purevirt.drivers.xen.overlaid import Facts
from purevirt.model import BlockDevice, DomainInfo, DomainState, DomainType, Interface, Role, StateReason
from purevirt.model import description as described
from purevirt.model.description import (
    Cpus,
    Disk,
    DiskBackend,
    DiskFormat,
    DomainDescription,
    Graphics,
    GraphicsType,
    Memory,
    Unknown,
)
from tests.support.rpc_peer import RpcPeer

HANDLE = UUID("66958a4b-3f0c-4d3e-9a51-d3c0ffee0042")
INFO = DomainInfo(
    3, HANDLE.bytes, "web", DomainType.PV, DomainState.RUNNING, StateReason.UNKNOWN, 2048, 4096, 2, 4, 1
)
FACTS = Facts(2048, 4096, 0, 4, 2, None, None, (), ())
BLOCK = BlockDevice("xvdb", 51728, "/img", "cdrom", "qcow2", "qdisk", True, 7, True)
NIC = Interface(
    "vif3.1", 1, "00:16:3e:00:00:02", "bridge", "br1", None, "/etc/xen/scripts/vif-route", 0, True
)
RECORD = DomainDescription("old", boot=described.Boot(kernel="/k"), cpus=Cpus(1, 8, affinity=("0",)))


# --- the overlay


def test_what_is_true_now_counts_and_the_rest_stays() -> None:
    now = overlaid.description(RECORD, INFO, FACTS)
    assert (now.name, now.uuid, now.boot) == ("web", HANDLE, RECORD.boot)
    assert now.memory == Memory(2048, 4096)
    assert now.cpus == Cpus(2, 4, affinity=("0",))


def test_equal_sizes_are_said_once() -> None:
    now = overlaid.description(RECORD, INFO._replace(max_vcpus=2), FACTS._replace(max_kib=2048))
    assert now.memory == Memory(2048)
    assert now.cpus[:2] == (2, None)


def test_the_graphics_memory_of_an_hvm_domain_is_its_own() -> None:
    facts = FACTS._replace(video_kib=100)
    assert overlaid.description(None, INFO._replace(type=DomainType.HVM), facts).memory.kib == 2148
    assert overlaid.description(None, INFO, facts).memory.kib == 2048


def test_disks_that_came_and_went() -> None:
    record = RECORD._replace(
        disks=(Disk("xvda", "/a"), Disk("xvdz", specification="virtio"), Disk("xvdb", "/b"))
    )
    assert overlaid.description(record, INFO, FACTS).disks == (Disk("xvdz", specification="virtio"),)
    found = overlaid.description(record, INFO, FACTS._replace(disks=(BLOCK,))).disks
    assert found == (Disk("xvdz", specification="virtio"), Disk("xvdb", "/b"))
    (alone,) = overlaid.description(RECORD, INFO, FACTS._replace(disks=(BLOCK,))).disks
    assert alone[:6] == (
        "xvdb",
        "/img",
        DiskFormat.QCOW2,
        DiskBackend.QDISK,
        described.DiskDevice.CDROM,
        True,
    )
    assert alone.backend_domain == "7"


def test_interfaces_that_came_and_went() -> None:
    first, second = (
        described.Interface("00:16:3e:00:00:01"),
        described.Interface("00:16:3e:00:00:02", mtu=9000),
    )
    record = RECORD._replace(interfaces=(first, second))
    now = FACTS._replace(interfaces=(NIC,))
    assert overlaid.description(record, INFO, now).interfaces == (second._replace(number=1),)
    both = FACTS._replace(interfaces=(NIC._replace(number=0, mac="00:16:3e:00:00:01"), NIC))
    assert overlaid.description(record, INFO, both).interfaces == (first, second)
    (alone,) = overlaid.description(RECORD, INFO, now).interfaces
    assert alone == described.Interface("00:16:3e:00:00:02", "br1", script="vif-route", number=1)


def test_what_was_plugged_out_is_no_part_of_how_a_domain_was_made() -> None:
    """libxl leaves the device in its record, and takes it for gone since the store has none."""
    nics = (described.Interface("00:16:3e:00:00:01"), described.Interface("00:16:3e:00:00:02"))
    record = RECORD._replace(disks=(Disk("xvda", "/a"), Disk("xvdb", "/b")), interfaces=nics)
    there = FACTS._replace(disks=(BLOCK, BLOCK._replace(target="xvdc")), interfaces=(NIC,))
    kept = overlaid.remaining(record, there)
    assert kept == record._replace(disks=(Disk("xvdb", "/b"),), interfaces=(nics[1]._replace(number=1),))


def test_a_running_domain_has_more() -> None:
    facts = FACTS._replace(interfaces=(NIC,), console_tty="/dev/pts/4", vnc_port=5901)
    live = overlaid.active(RECORD, INFO, facts).live
    assert live == (3, "/dev/pts/4", 5901, ("vif3.1",), 2)


def test_no_password_is_left_wherever_it_stood() -> None:
    secret = RECORD._replace(
        graphics=(Graphics(GraphicsType.VNC, password="s3cret"),),
        unknown=(
            Unknown("libxl-json", "vfbs", '[{"vnc": {"passwd": "s3cret"}}]'),
            Unknown("libxl-json", "later", "1"),
        ),
    )
    cleaned = described.without_secrets(secret)
    assert "s3cret" not in repr(cleaned)
    assert cleaned.unknown == (Unknown("libxl-json", "later", "1"),)


# --- the operation


def rewrite(host: testing.Host, change: Any) -> None:
    """Change the record of `test`."""
    path = Path(record_path(host.root, 1, "6695eb01-f6a4-8304-79aa-97f2502e193f"))
    known = json.loads(path.read_text().rstrip("\0"))
    change(known)
    path.write_text(json.dumps(known))


def add_secret(known: dict[str, Any]) -> None:
    known["vfbs"] = [{"vnc": {"passwd": "s3cret"}}]
    known["b_info"]["kernel"] = "/k"


def test_the_record_of_a_domain_goes_with_it_and_takes_its_new_name() -> None:
    with testing.Host(xend=False) as host, purevirt.open(host.uri) as connection:
        domain = connection.lookup_by_name("test")
        host.rename("test", "other")
        assert domain.description().name == domain.description(live=False).name == "other"
        host.destroy("other")
        assert record(host.root, 1, str(domain.uuid)) is None
        with pytest.raises(errors.NoSuchDomain):
            domain.description()


def test_a_domain_that_another_tool_renamed_has_its_name_of_now() -> None:
    with testing.Host() as host, purevirt.open(host.uri) as connection:
        domain = connection.lookup_by_name("test")
        domain.rename("other")
        assert (domain.description().name, domain.description(live=False).name) == ("other", "test")


def test_passwords_are_told_to_root_who_asks() -> None:
    with testing.Host(xend=False) as host, purevirt.open(host.uri) as connection:
        rewrite(host, add_secret)
        domain = connection.lookup_by_name("test")
        assert domain.description().graphics == (Graphics(GraphicsType.VNC),)
        (screen,) = domain.description(security_info=True).graphics
        assert screen.password == "s3cret"
        with purevirt.open_read_only(host.uri) as user:
            with pytest.raises(errors.Denied, match="no passwords are told"):
                user.lookup_by_name("test").description(security_info=True)
            assert user.lookup_by_name("test").description().boot.kernel is None


def test_as_it_was_made_is_the_record_alone() -> None:
    with testing.Host(xend=False) as host, purevirt.open(host.uri) as connection:
        rewrite(host, lambda known: known["b_info"].update(target_memkb=1024, max_memkb=4096))
        domain = connection.lookup_by_name("test")
        assert domain.description(live=False).memory == Memory(1024, 4096)
        assert domain.description().memory.kib == 262144


def test_without_a_record_hypervisor_and_store_tell() -> None:
    with testing.Host(xend=False) as host, purevirt.open(host.uri) as connection:
        domain = connection.lookup_by_name("test")
        recorded = domain.description()
        os.unlink(record_path(host.root, 1, str(domain.uuid)))
        told = domain.description()
        assert told == domain.description(live=False)
        assert [told.name, told.uuid, told.type, told.memory, told.cpus] == [
            recorded.name,
            recorded.uuid,
            recorded.type,
            recorded.memory,
            recorded.cpus,
        ]
        assert told.disks[0][:3] == recorded.disks[0][:3]
        assert [nic[:2] for nic in told.interfaces] == [nic[:2] for nic in recorded.interfaces]


def test_a_record_that_makes_no_sense_is_an_error_with_its_path() -> None:
    with testing.Host(xend=False) as host, purevirt.open(host.uri) as connection:
        rewrite(host, lambda known: known["b_info"].update(max_memkb="much"))
        with pytest.raises(
            errors.ConfigError, match=r"libxl-json: b_info.max_memkb: expected a number, found 'much'"
        ) as caught:
            connection.lookup_by_name("test").description()
        assert (caught.value.operation, caught.value.channel) == ("description", "files")


def test_the_daemon_tells_a_reader_all_but_passwords() -> None:
    with testing.Host(xend=False) as host:
        rewrite(host, add_secret)
        with RpcPeer(host.root, role=Role.READER), purevirt.open_read_only(host.uri) as user:
            told = user.lookup_by_name("test").description()
            assert (told.boot.kernel, told.graphics) == ("/k", (Graphics(GraphicsType.VNC),))
