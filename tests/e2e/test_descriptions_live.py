"""On a real Xen: a running domain's description is what `xl list -l` says of it, whoever made it and whoever asks."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

import lab
from purevirt import formats

from .conftest import Guests
from .daemon import READER, Program, as_user

SECRET = "s3cret"

# A password in the record, as it is there where a domain has a screen.
GIVE_SECRET = """
import glob, json, sys
path, = glob.glob(f"/var/lib/xen/userdata-d.{sys.argv[1]}.*.libxl-json")
known = json.loads(open(path).read().rstrip("\\0"))
known["vfbs"] = [{"vnc": {"passwd": sys.argv[2]}}] if sys.argv[2] else []
open(path, "w").write(json.dumps(known) + "\\0")
"""


def listed(dom0: lab.Host, name: str) -> dict[str, Any]:
    """What xl says of it: its record, as libxl brings it up to date."""
    (entry,) = json.loads(dom0.run(["xl", "list", "-l", name]).stdout)
    config: dict[str, Any] = entry["config"]
    return config


def described(dom0: lab.Host, name: str, *options: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(dom0.purevirt(["dumpxml", name, "--json", *options]).stdout)
    return found


def agree(said: dict[str, Any], config: dict[str, Any]) -> None:
    """A description says what xl does, in every part that a guest of ours has."""
    create, build = config["c_info"], config["b_info"]
    old = build.get(f"type.{create['type']}", {})  # where libvirt puts the kernel
    assert [said["name"], said["uuid"], said["type"]] == [create["name"], create["uuid"], create["type"]]
    assert said["memory"]["kib"] == build["target_memkb"]
    assert said["memory"]["max_kib"] in (None, build["max_memkb"])
    assert said["cpus"]["online"] == len(build["avail_vcpus"])
    assert (said["cpus"]["maximum"] or said["cpus"]["online"]) == build["max_vcpus"]
    boot = said["boot"]
    assert boot["kernel"] == build.get("kernel", old.get("kernel"))
    assert (boot["ramdisk"], boot["command_line"]) == (build.get("ramdisk"), build.get("cmdline"))
    assert said["lifecycle"]["on_crash"] == (
        None if config.get("on_crash", "destroy") == "destroy" else config["on_crash"]
    )
    assert [
        (disk["target"], disk["source"], disk["format"], disk["read_only"]) for disk in said["disks"]
    ] == [
        (disk["vdev"], disk["pdev_path"], disk["format"], not disk.get("readwrite"))
        for disk in config.get("disks", [])
    ]
    assert [(nic["mac"], nic["bridge"]) for nic in said["interfaces"]] == [
        (nic["mac"], nic["bridge"]) for nic in config.get("nics", [])
    ]
    assert said["unknown"] == []


@pytest.mark.parametrize("kind", ["pv", "pvh"])
def test_a_domain_of_xls(dom0: lab.Host, guests: Guests, kind: str) -> None:
    name = getattr(guests, kind).name
    agree(described(dom0, name), listed(dom0, name))
    agree(described(dom0, name, "--inactive"), listed(dom0, name))


@pytest.mark.parametrize("options", [(), ("--inactive",)])
def test_domain_0_whose_record_says_next_to_nothing(dom0: lab.Host, options: tuple[str, ...]) -> None:
    said = described(dom0, "Domain-0", *options)
    assert (said["name"], said["uuid"]) == ("Domain-0", "00000000-0000-0000-0000-000000000000")
    assert abs(said["memory"]["kib"] - listed(dom0, "Domain-0")["b_info"]["target_memkb"]) < 1024


def test_a_disk_that_is_plugged_in_and_out(dom0: lab.Host, guests: Guests) -> None:
    name = guests.pv.name
    dom0.shell(
        'truncate -s 4M /tmp/more.img; xl block-attach "$1" format=raw,vdev=xvdk,target=/tmp/more.img', name
    )
    said = described(dom0, name)
    assert [disk["target"] for disk in said["disks"]] == ["xvda", "xvdk"]
    agree(said, listed(dom0, name))
    dom0.run(["xl", "block-detach", name, "xvdk"])
    for options in ((), ("--inactive",)):
        assert [disk["target"] for disk in described(dom0, name, *options)["disks"]] == ["xvda"]


def test_a_balloon_is_seen(dom0: lab.Host, guests: Guests) -> None:
    name = guests.pv.name
    dom0.run(["xl", "mem-set", name, "80m"])
    said = described(dom0, name)
    assert (said["memory"]["kib"], said["memory"]["max_kib"]) == (80 * 1024, 96 * 1024)
    agree(said, listed(dom0, name))
    assert dom0.run(["xl", "mem-set", name, "96m"]).status == 0


@pytest.fixture
def made_by_libvirt(dom0: lab.Host) -> Iterator[str]:
    """A domain that xl had no part in. libvirtd ends with it."""
    dom0.create_mini_guests(1, by="libvirt", prefix="described")
    yield "described1"
    dom0.run(["virsh", "-q", "-c", "xen:///", "destroy", "described1"])
    dom0.shell("kill $(cat /run/libvirtd.pid)")


@pytest.mark.full
def test_a_domain_of_libvirts(dom0: lab.Host, made_by_libvirt: str) -> None:
    said = described(dom0, made_by_libvirt)
    agree(said, listed(dom0, made_by_libvirt))
    assert said["boot"]["kernel"] == "/lab/mini.elf"


def test_a_reader_is_told_the_same_by_the_daemon_but_for_passwords(
    dom0: lab.Host, guests: Guests, xend: Program
) -> None:
    name, domid = guests.pv.name, str(guests.pv.domid)
    known = described(dom0, name)
    dom0.run(["python3", "-c", GIVE_SECRET, domid, SECRET])
    try:
        (screen,) = described(dom0, name, "--security-info")["graphics"]
        assert screen["password"] == SECRET
        done = as_user(dom0, READER, "-r", "dumpxml", name, "--json", check=True)
        assert SECRET not in done.stdout
        told = json.loads(done.stdout)
        assert len(told["graphics"]) == 1
        assert {**told, "graphics": []} == known
        shown = as_user(dom0, READER, "-r", "dumpxml", name, check=True).stdout
        assert SECRET not in shown
        assert formats.parse(shown).description.uuid == UUID(known["uuid"])
        refused = as_user(dom0, READER, "-r", "dumpxml", name, "--json", "--security-info")
        assert (refused.status, refused.stdout) == (4, "")
        assert "passwords are told to administrators only" in refused.stderr
    finally:
        dom0.run(["python3", "-c", GIVE_SECRET, domid, ""])
