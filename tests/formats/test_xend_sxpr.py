"""xend's expressions and the model: every recorded answer survives both ways, byte for byte."""

from __future__ import annotations

import contextlib
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import RemoteProtocolError
from purevirt.formats import xend_sxpr
from purevirt.formats.xend_sxpr import Image, XendDevice, XendDomain, XendNode
from purevirt.model import (
    BlockDevice,
    DomainInfo,
    DomainState,
    DomainType,
    HypervisorVersion,
    Interface,
    NodeInfo,
    NumaCell,
    StateReason,
    Vcpu,
    VcpuState,
)
from purevirt.wire import sxp
from purevirt.wire.sxp import Node

DATA = Path(__file__).parents[1] / "data" / "xend"


def recorded(name: str) -> bytes:
    """The body of a recorded answer, without the empty string that xend put after many."""
    return (DATA / f"{name}.resp").read_bytes().partition(b"\r\n\r\n")[2].removesuffix(b"''")


LISTS = ["domain-list-detail", "list-detail-3", "list-inactive"]
DOMAINS = [
    "create-pv1",
    "dom0-detail",
    "dom0-nodetail",
    "pv1-detail-paused",
    "pv1-detail-paused2",
    "pv1-detail-running",
    "pv2-detail",
    "pv2-detail-running",
]


@pytest.mark.parametrize("name", DOMAINS)
def test_a_recorded_domain_is_read_and_written_again_byte_for_byte(name: str) -> None:
    domain = xend_sxpr.read_domain(sxp.parse_one(recorded(name)))
    assert xend_sxpr.domain_text(domain).encode() == recorded(name)


@pytest.mark.parametrize("name", LISTS)
def test_a_recorded_listing_is_read_and_written_again_byte_for_byte(name: str) -> None:
    domains = xend_sxpr.read_domains(sxp.parse_one(recorded(name)))
    written = f"({' '.join(map(xend_sxpr.domain_text, domains))})"
    assert written.encode() == recorded(name)


def test_what_a_recorded_domain_means() -> None:
    domain = xend_sxpr.read_domain(sxp.parse_one(recorded("pv2-detail-running")))
    assert domain.info == DomainInfo(
        domid=2,
        handle=UUID("0f0e0d0c-0b0a-0908-0706-050403020100").bytes,
        name="pv2",
        type=DomainType.PV,
        state=DomainState.BLOCKED,
        reason=StateReason.UNKNOWN,
        memory_kib=128 * 1024,
        max_memory_kib=256 * 1024,
        vcpus=2,
        max_vcpus=2,
        cpu_time_ns=1_770_098,
        flags="-b----",
    )
    assert (domain.cpu_weight, domain.cpu_cap, domain.pool_name) == (256, 0, "Pool-0")
    assert (domain.cpus, domain.vcpu_avail, domain.start_time) == (((), ()), 3, 1795355732.28)
    assert [device.kind for device in domain.devices] == ["vif", "console", "vbd"]
    assert ("mac", "00:16:3e:5d:c7:9e") in domain.devices[0].settings
    halted = xend_sxpr.read_domain(sxp.parse_one(recorded("pv2-detail")))
    assert (halted.info.domid, halted.info.state, halted.info.flags) == (None, DomainState.SHUTOFF, None)


def test_a_domain_that_xend_did_not_make_is_shown_without_what_nobody_knows() -> None:
    info = DomainInfo(
        domid=7,
        handle=bytes(15) + b"\x07",
        name=None,
        type=DomainType.HVM,
        state=DomainState.PAUSED,
        reason=StateReason.SUSPEND,
        memory_kib=65532,
        max_memory_kib=None,
        vcpus=1,
        max_vcpus=2,
        cpu_time_ns=2_000_000_000,
        flags="---s--",
    )
    disk = BlockDevice("xvda", 51712, "/img", "disk", "qcow2", "qdisk", True, 3, True)
    nic = Interface("vif7.0", 0, None, "bridge", None, "e1000", None, 0, True)
    domain = XendDomain(info, image=Image("hvm", ()), devices=(xend_sxpr.disk(disk), xend_sxpr.nic(nic)))
    assert xend_sxpr.domain_text(domain) == (
        "(domain (domid 7) (bootloader '') (vcpus 2) (uuid 00000000-0000-0000-0000-000000000007)"
        " (bootloader_args '') (name Domain-7) (memory 64) (features '') (on_xend_start ignore)"
        " (on_xend_stop ignore) (cpu_time 2.0) (online_vcpus 1) (image (hvm)) (status 3) (state ---s--)"
        " (device (vbd (dev xvda:disk) (uname tap:qcow2:/img) (mode r) (backend 3)))"
        " (device (vif (model e1000) (backend 0))))"
    )


@pytest.mark.parametrize(
    ("source", "format_", "backend", "uname"),
    [
        ("/dev/vg/lv", "raw", "phy", "phy:/dev/vg/lv"),
        ("/a.img", "raw", "phy", "file:/a.img"),  # xl's script puts a loop device in front of it
        ("/a.img", "raw", "qdisk", "file:/a.img"),
        ("/a.img", None, "qdisk", "file:/a.img"),
        ("/a.qcow2", "qcow2", "qdisk", "tap:qcow2:/a.qcow2"),
        (None, None, "qdisk", None),
    ],
)
def test_a_disk_has_the_uname_that_xend_would_have_needed(
    source: str | None, format_: str | None, backend: str, uname: str | None
) -> None:
    disk = xend_sxpr.disk(BlockDevice("hdc", 5632, source, "cdrom", format_, backend, True, 0, True))
    assert dict(disk.settings).get("uname") == uname


STATES = [
    (DomainState.RUNNING, StateReason.UNKNOWN, "r-----", 2),
    (DomainState.RUNNING, StateReason.UNKNOWN, "------", 2),
    (DomainState.BLOCKED, StateReason.UNKNOWN, "-b----", 2),
    (DomainState.PAUSED, StateReason.UNKNOWN, "-bp---", 1),
    (DomainState.PAUSED, StateReason.SUSPEND, "---s--", 3),
    (DomainState.SHUTDOWN, StateReason.UNKNOWN, "---s--", 4),
    (DomainState.CRASHED, StateReason.CRASH, "---sc-", 5),
    (DomainState.SHUTDOWN, StateReason.DYING, "--ps-d", 4),
    (DomainState.NOSTATE, StateReason.UNKNOWN, None, 6),
    (DomainState.SHUTOFF, StateReason.UNKNOWN, None, 0),
]


@pytest.mark.parametrize(("state", "reason", "flags", "number"), STATES)
def test_states_are_written_and_read(
    state: DomainState, reason: StateReason, flags: str | None, number: int
) -> None:
    info = DomainInfo(1, bytes(16), "a", None, state, reason, None, None, None, None, None, None, flags)
    written = xend_sxpr.domain_text(XendDomain(info))
    assert f"(status {number})" in written
    again = xend_sxpr.read_domain(sxp.parse_one(written.encode())).info
    assert (again.state, again.reason, again.flags) == (state, reason, flags)


def test_numbers_may_be_quoted_and_a_uuid_without_dashes() -> None:
    text = b"(domain (uuid 0f0e0d0c0b0a09080706050403020100) (domid '3') (memory '64')"
    text += b" (vcpu_avail '99999999999999999999'))"
    domain = xend_sxpr.read_domain(sxp.parse_one(text))
    assert (domain.info.domid, domain.info.memory_kib) == (3, 65536)
    assert domain.vcpu_avail == 99999999999999999999
    assert "(vcpu_avail '99999999999999999999')" in xend_sxpr.domain_text(domain)


WRONG: list[tuple[Node, str]] = [
    ("domain", "not answer"),
    (["xend.err", "no"], "not answer"),
    (["domain", ["name", "a"]], "UUID is None"),
    (["domain", ["uuid", "a"]], "UUID is 'a'"),
    (["domain", ["uuid", str(UUID(int=1))], ["device"]], "device of no kind"),
]


@pytest.mark.parametrize(("expression", "words"), WRONG)
def test_what_is_no_domain_is_refused(expression: Node, words: str) -> None:
    with pytest.raises(RemoteProtocolError, match=words):
        xend_sxpr.read_domain(expression)


def test_what_is_no_list_node_or_vcpus_is_refused() -> None:
    with pytest.raises(RemoteProtocolError, match="no list"):
        xend_sxpr.read_domains("x")
    with pytest.raises(RemoteProtocolError, match="not answer"):
        xend_sxpr.read_node(["domain"])
    with pytest.raises(RemoteProtocolError, match="not answer"):
        xend_sxpr.read_vcpus(["node"])
    with pytest.raises(RemoteProtocolError, match="without a number"):
        xend_sxpr.read_vcpus(["domain", ["vcpu", ["online", "1"]]])


def test_the_recorded_node_is_read_and_written_again_byte_for_byte() -> None:
    node = xend_sxpr.read_node(sxp.parse_one(recorded("node")))
    assert xend_sxpr.node_text(node).encode() == recorded("node")
    assert node.info == NodeInfo("x86_64", None, 4 << 20, 2, 2400, 1, 1, 2, 1)
    assert node.hypervisor == HypervisorVersion(4, 1, ".0-stub")
    assert node.cpu_topology == ((0, 0, 0), (1, 0, 0))
    assert node.xen_caps == "xen-3.0-x86_64 xen-3.0-x86_32p hvm-3.0-x86_32 hvm-3.0-x86_64 "


def test_a_node_of_which_little_is_known() -> None:
    assert xend_sxpr.node_text(XendNode()) == "(node (xend_config_format 4))"
    assert xend_sxpr.read_node(["node", ["nr_cpus", "many"], ["nr_cpus", "2"], ["new", "1"]]) == XendNode(
        xend_config_format=None
    )
    cells = (NumaCell(0, 4 << 20, 2 << 20, (0, 1), (10, 21)), NumaCell(1, 1024, None, (), (None, 10)))
    assert xend_sxpr.node_text(XendNode(numa_info=cells, xend_config_format=None)) == (
        r"(node (numa_info '\nnode:    memsize    memfree    distances\n   0:       4096       2048      10,21"
        r"\n   1:          1          -      -,10'))"
    )


def test_the_recorded_vcpus_are_read_and_written_again_byte_for_byte() -> None:
    vcpus = xend_sxpr.read_vcpus(sxp.parse_one(recorded("vcpuinfo")))
    both = frozenset({0, 1})
    assert vcpus == (Vcpu(0, VcpuState.BLOCKED, 123_456_789, 0, both, both),)
    assert xend_sxpr.vcpus_text(1, "pv1", vcpus).encode() == recorded("vcpuinfo")


def test_an_offline_vcpu_runs_nowhere() -> None:
    vcpu = Vcpu(1, VcpuState.OFFLINE, 0, None, frozenset(), frozenset())
    written = xend_sxpr.vcpus_text(None, "a b", [vcpu, vcpu._replace(state=VcpuState.RUNNING, cpu=3)])
    assert written == (
        "(domain (name 'a b') (vcpu_count 2)"
        " (vcpu (number 1) (online 0) (blocked 0) (running 0) (cpu_time 0.0) (cpu -1) (cpumap ()))"
        " (vcpu (number 1) (online 1) (blocked 0) (running 1) (cpu_time 0.0) (cpu 3) (cpumap ())))"
    )
    assert xend_sxpr.read_vcpus(sxp.parse_one(written.encode()))[0] == vcpu


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
sizes = st.none() | st.integers(0, 1 << 40)
infos = st.builds(
    DomainInfo,
    domid=st.none() | st.integers(0, 0x7FEF),
    handle=st.binary(min_size=16, max_size=16),
    name=names,
    type=st.just(None),
    state=st.just(DomainState.RUNNING),
    reason=st.just(StateReason.UNKNOWN),
    memory_kib=sizes.map(lambda size: None if size is None else size << 10),
    max_memory_kib=sizes.map(lambda size: None if size is None else size << 10),
    vcpus=st.none() | st.integers(0, 512),
    max_vcpus=st.none() | st.integers(0, 512),
    cpu_time_ns=st.none() | st.integers(0, 99_999_999_999),
    cpupool=st.none(),
    flags=st.none(),
    memory_target_kib=st.none(),
    outstanding_kib=st.none(),
)
settings = st.lists(st.tuples(names, names | st.tuples(names)), max_size=3).map(tuple)
domains = st.tuples(
    infos,
    st.none() | st.integers(1, 65535),
    st.none() | st.lists(st.lists(st.integers(0, 4095), max_size=3).map(tuple), max_size=3).map(tuple),
    st.none() | names,
    st.none() | st.integers(0, 1 << 128),
    st.lists(st.builds(XendDevice, names, settings), max_size=3).map(tuple),
).map(
    lambda drawn: XendDomain(
        drawn[0],
        cpu_weight=drawn[1],
        cpus=drawn[2],
        description=drawn[3],
        vcpu_avail=drawn[4],
        devices=drawn[5],
    )
)


@given(domains)
def test_any_domain_survives_being_written_and_read(domain: XendDomain) -> None:
    written = xend_sxpr.domain_text(domain)
    again = xend_sxpr.read_domain(sxp.parse_one(written.encode()))
    assert again == domain
    assert xend_sxpr.domain_text(again) == written


node_like = st.recursive(
    st.sampled_from(
        ["domain", "node", "vcpu", "uuid", str(UUID(int=5)), "1", "-1", "9" * 30, "x", "", "²", "inf"]
    ),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=30,
)


@given(st.sampled_from(["domain", "node"]), st.lists(node_like, max_size=8))
def test_any_expression_is_read_or_refused(head: str, rest: list[Node]) -> None:
    expression: Node = [head, ["uuid", str(UUID(int=1))], *rest]
    for read in (xend_sxpr.read_domain, xend_sxpr.read_domains, xend_sxpr.read_node, xend_sxpr.read_vcpus):
        with contextlib.suppress(RemoteProtocolError):
            read(expression)


KEYS = sorted(
    {*XendNode._fields, *(f for f in DomainInfo._fields), "state", "status", "cpus", "image", "device"}
)


@given(st.sampled_from(KEYS), node_like)
def test_any_value_of_a_known_key_is_read_or_refused(key: str, value: Node) -> None:
    for head, read in (("domain", xend_sxpr.read_domain), ("node", xend_sxpr.read_node)):
        with contextlib.suppress(RemoteProtocolError):
            read([head, [key, value], ["uuid", str(UUID(int=1))]])
