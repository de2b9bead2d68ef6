"""Every request that was recorded from a real xend, sent to our server: the answer is the same, byte for byte, or the
test says in what it differs, and why, and that it differs in nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from uuid import UUID

import pytest

from purevirt.channels.files import HostFiles
from purevirt.daemons.xend.classic import ClassicFace
from purevirt.model import BlockDevice, Definition, DomainType, Interface, Job, JobKind, JobState
from purevirt.wire import sxp
from purevirt.wire.sxp import Node
from tests.daemons.xend.double import Double, Guest, host_files
from tests.daemons.xend.line import Line

DATA = Path(__file__).parents[2] / "data" / "xend"


def dom0(cpu_time: int = 0) -> Guest:
    return Guest(0, "00000000-0000-0000-0000-000000000000", "Domain-0", 1024, 1024, 2, cpu_time, "r-----")


def pv1(cpu_time: int = 123_456_789, flags: str = "-b----", memory: int = 64, maxmem: int = 64) -> Guest:
    return Guest(1, "596a5d21-71f4-8fb2-e068-e2386a5c413e", "pv1", memory, maxmem, 1, cpu_time, flags)


def pv2(cpu_time: int = 0) -> Guest:
    disk = BlockDevice("xvda", 51712, "/dev/loop0", "disk", "raw", "phy", False, 0, True)
    nic = Interface(
        "vif2.0", 0, "00:16:3e:5d:c7:9e", "bridge", "xenbr0", None, "/etc/xen/scripts/vif-bridge", 0, True
    )
    return Guest(
        2,
        "0f0e0d0c-0b0a-0908-0706-050403020100",
        "pv2",
        128,
        256,
        2,
        cpu_time,
        "-b----",
        disks=(disk,),
        nics=(nic,),
    )


# name -> the guests as they were when it was recorded. The answer is the same.
EQUAL: dict[str, list[Guest]] = {
    "root": [dom0()],
    "dmesg": [dom0()],
    "domain-list": [dom0()],
    "domain-list-detail": [dom0(47_632_989)],
    "dom0-detail": [dom0(49_201_931)],
    "dom0-nodetail": [dom0(50_951_690)],
    "nosuch": [dom0()],
    "list2": [dom0(), pv1(flags="--p---")],
    "list-end": [dom0()],
    "vcpuinfo": [dom0(), pv1()],
    "badop": [dom0(), pv1()],
    "pin": [dom0(), pv1()],
    "pause-pv1": [dom0(), pv1()],
    "unpause-pv1": [dom0(), pv1(flags="--p---")],
    "unpause-pv1b": [dom0(), pv1(flags="--p---")],
    "maxmem-pv1": [dom0(), pv1()],
    "mem-pv1": [dom0(), pv1()],
    "vcpus": [dom0(), pv1()],
    "wait-pv1": [dom0(), pv1()],
    "shutdown-pv1": [dom0(), pv1()],
    "destroy-pv1": [dom0(), pv1()],
    "destroy-pv2": [dom0(), pv2()],
}

# What the supervisor was asked for by the requests that change something.
ASKED: dict[str, tuple[str, str, dict[str, object]]] = {
    "pause-pv1": ("suspend", "pv1", {}),
    "unpause-pv1": ("resume", "pv1", {}),
    "unpause-pv1b": ("resume", "pv1", {}),
    "maxmem-pv1": ("set_max_memory", "pv1", {"kib": 128 * 1024}),
    "mem-pv1": ("set_memory", "pv1", {"kib": 32 * 1024}),
    "vcpus": ("set_vcpus", "pv1", {"count": 1}),
    "shutdown-pv1": ("shutdown", "pv1", {"mode": "poweroff"}),
    "destroy-pv1": ("destroy", "pv1", {}),
    "destroy-pv2": ("destroy", "pv2", {}),
}

# The old xend had made the domain itself and knew how; for one that was made by another toolstack nobody can tell its
# kernel, actions, start, ring pages and console, and the devices' own UUIDs.
UNKNOWN_KEYS = {
    "on_poweroff",
    "on_reboot",
    "on_crash",
    "description",
    "start_time",
    "store_mfn",
    "console_mfn",
}
UNKNOWN_OF_DEVICES = {"uuid", "protocol", "bootable", "VDI"}
FOUND_IMAGE = sxp.parse_one(b"(image (linux (kernel '') (superpages 0) (nomigrate 0) (tsc_mode 0)))")


def as_made_by_another(domain: Node) -> Node:
    """The recorded expression of a domain without what nobody could know of it."""
    assert isinstance(domain, list)
    if sxp.value(domain, "domid") == "0":
        return domain
    return [_known(pair) for pair in domain if not _unknown(pair)]


def _unknown(pair: Node) -> bool:
    console = sxp.head(pair) == "device" and isinstance(pair, list) and sxp.head(pair[1]) == "console"
    return console or sxp.head(pair) in UNKNOWN_KEYS


def _known(pair: Node) -> Node:
    if sxp.head(pair) == "image":
        return FOUND_IMAGE
    if sxp.head(pair) == "device" and isinstance(pair, list) and isinstance(pair[1], list):
        return ["device", [one for one in pair[1] if sxp.head(one) not in UNKNOWN_OF_DEVICES]]
    return pair


def by_another(body: bytes) -> bytes:
    (domain,) = sxp.parse(body.removesuffix(b"''"))
    return sxp.encode(as_made_by_another(domain)) + b"''"


def all_by_another(body: bytes) -> bytes:
    domains = sxp.parse_one(body)
    assert isinstance(domains, list)
    return sxp.encode([as_made_by_another(domain) for domain in domains])


def without_untold_facts(body: bytes) -> bytes:
    """No read of the supervisor, and no file, tells these of the node."""
    node = sxp.parse_one(body)
    untold = ("hw_caps", "cpu_topology", "xen_commandline", "cc_compile_domain")
    return sxp.encode([pair for pair in node if sxp.head(pair) not in untold])


# name -> the guests, why the body differs, and what of the recorded body is left. The head is the same but for the
# length.
PARTLY: dict[str, tuple[list[Guest], str, Callable[[bytes], bytes]]] = {
    "node": ([dom0()], "four keys are told by nothing", without_untold_facts),
    "pv1-detail-paused": ([dom0(), pv1(3_954_830, "--p---")], "made by another", by_another),
    "pv1-detail-paused2": ([dom0(), pv1(10_606_799, "-bp---")], "made by another", by_another),
    "pv1-detail-running": ([dom0(), pv1(7_451_579)], "made by another", by_another),
    "pv2-detail-running": ([dom0(), pv1(), pv2(1_770_098)], "made by another", by_another),
    "list-detail-3": (
        [pv2(4_233_570), dom0(86_013_381), pv1(30_558_519, memory=32, maxmem=128)],
        "made by another",
        all_by_another,
    ),
    "list-inactive": (
        [dom0(79_109_451), pv1(23_654_599, memory=32, maxmem=128)],
        "mended: xend listed what runs whatever `state` said; ours honours it, and nothing is halted",
        lambda body: b"()",
    ),
}

PV2 = Definition(UUID(pv2().uuid).bytes, "pv2", 1, "xen-sxpr", DomainType.PV, 131072, 262144, 2, 2)

VM2 = parse_qs((DATA / "define-pv2.req").read_bytes().partition(b"\r\n\r\n")[2].decode())["config"][0]


def done(kind: JobKind, guest: Guest) -> Job:
    return Job(1, kind, UUID(guest.uuid), str(guest.name), JobState.DONE, 2, 0.0, 1.0, 1.0)


# name -> the guests, what is defined, the supervisor's operation, and what that answers.
MADE: dict[str, tuple[list[Guest], list[Definition], str, object]] = {
    "create-pv1": ([dom0(), pv1(flags="--p---")], [], "create", done(JobKind.CREATE, pv1())),
    "define-pv2": ([dom0()], [], "define", PV2),
    "start-pv2": ([dom0()], [PV2], "start", done(JobKind.START, pv2())),
    "delete-pv2": ([dom0()], [PV2], "undefine", None),
}


def replay(name: str, guests: list[Guest], tmp_path: Path, **known: Any) -> tuple[bytes, bytes, Double]:
    """The recorded answer, ours, and what ours took of the supervisor."""
    double = Double(guests, **known)

    async def run() -> bytes:
        face = ClassicFace(double, HostFiles(host_files(tmp_path)))
        async with Line(tmp_path / "s", face) as line:
            return await line.talk((DATA / f"{name}.req").read_bytes())

    return (DATA / f"{name}.resp").read_bytes(), asyncio.run(run()), double


def split(message: bytes) -> tuple[list[bytes], bytes]:
    head, _, body = message.partition(b"\r\n\r\n")
    return head.split(b"\r\n"), body


@pytest.mark.parametrize("name", EQUAL)
def test_the_answer_is_the_recorded_one(name: str, tmp_path: Path) -> None:
    recorded, ours, double = replay(name, EQUAL[name], tmp_path)
    assert ours == recorded
    assert double.changes == ([ASKED[name]] if name in ASKED else [])


@pytest.mark.parametrize("name", PARTLY, ids=[f"{name}: {why[:24]}" for name, (_, why, _) in PARTLY.items()])
def test_the_answer_is_the_recorded_one_but_for_this(name: str, tmp_path: Path) -> None:
    guests, _, left = PARTLY[name]
    recorded, ours, _ = replay(name, guests, tmp_path)
    head, body = split(recorded)
    our_head, our_body = split(ours)
    assert our_body == left(body) != body
    assert our_head == [
        line if not line.startswith(b"Content-length") else b"Content-length: %d" % len(our_body)
        for line in head
    ]


@pytest.mark.parametrize("name", MADE)
def test_a_domain_is_made_and_kept_as_it_was_recorded(name: str, tmp_path: Path) -> None:
    """The answers are the recorded ones; of the domain that was created, the head, and that it is shown, paused."""
    guests, definitions, operation, answer = MADE[name]
    recorded, ours, double = replay(
        name, guests, tmp_path, definitions=definitions, answers={operation: answer}
    )
    assert [change[0] for change in double.changes] == [operation]
    if operation != "create":
        assert ours == recorded
        return
    head, body = split(ours)
    was, recorded_body = split(recorded)
    assert [line for line in head if b"length" not in line] == [line for line in was if b"length" not in line]
    assert sxp.value(sxp.parse_one(body), "state") == "--p---"  # as Xen has it; xend's did not know yet
    assert _as_made(body) == _as_made(recorded_body)


def _as_made(body: bytes) -> list[Node]:
    """What a description, and hypervisor and store, tell of a domain that has just been made."""
    domain = sxp.parse_one(body)
    untold = ("start_time", "store_mfn", "console_mfn", "state", "cpu_time", "online_vcpus")
    assert isinstance(domain, list)
    known = [pair for pair in domain if sxp.head(pair) not in untold and sxp.child(pair, "console") is None]
    return [_without_pci(pair) for pair in known]


def _without_pci(pair: Node) -> Node:
    """xend put an empty list of PCI devices into an image."""
    if sxp.head(pair) != "image" or not isinstance(pair, list) or not isinstance(pair[1], list):
        return pair
    return ["image", [one for one in pair[1] if sxp.head(one) != "pci"]]


def test_a_domain_that_does_not_run_is_shown_as_it_was_recorded(tmp_path: Path) -> None:
    """`pv2-detail` was recorded while xend kept pv2's description and it did not run. xend made up UUIDs for its
    devices, and wrote down that a disk is one to boot from and has a driver."""
    known = {"definitions": [PV2], "texts": {"pv2": VM2}}
    recorded, ours, double = replay("pv2-detail", [dom0(), pv1()], tmp_path, **known)
    head, body = split(ours)
    was, recorded_body = split(recorded)
    assert [line for line in head if b"length" not in line] == [line for line in was if b"length" not in line]
    (domain,) = sxp.parse(recorded_body.removesuffix(b"''"))
    assert isinstance(domain, list)
    expected = [_described(pair) for pair in domain]
    assert body.endswith(b"''")
    assert sxp.parse_one(body.removesuffix(b"''")) == expected
    assert double.changes == []


def _described(pair: Node) -> Node:
    if sxp.head(pair) != "device" or not isinstance(pair, list) or not isinstance(pair[1], list):
        return pair
    kept = [one for one in pair[1] if sxp.head(one) not in ("uuid", "bootable", "driver")]
    return ["device", [["dev", "xvda:disk"] if one == ["dev", "xvda"] else one for one in kept]]


def test_a_domain_that_is_not_defined_is_not_known(tmp_path: Path) -> None:
    _, ours, _ = replay("pv2-detail", [dom0(), pv1()], tmp_path)
    head, body = split(ours)
    assert (head[0], body) == (b"HTTP/1.1 404 Not found", b"<Fault 3: 'pv2'>")


def test_every_recording_is_accounted_for() -> None:
    named = {*EQUAL, *PARTLY, *MADE, "pv2-detail"}
    assert named == {path.stem for path in DATA.glob("*.req")} == {path.stem for path in DATA.glob("*.resp")}
