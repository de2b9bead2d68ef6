"""What travels between library and daemon: every value comes back as it was, and nothing else gets through."""

from __future__ import annotations

import contextlib
import inspect
import json
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt import errors
from purevirt.drivers.base import Driver
from purevirt.formats import xend_json
from purevirt.formats.json_values import nothing
from purevirt.formats.xend_results import RESULTS
from purevirt.model import (
    AttachedDevice,
    BlockDevice,
    BlockStats,
    Caller,
    Capabilities,
    CpuPool,
    Definition,
    DefinitionText,
    DomainCapabilities,
    DomainInfo,
    DomainRef,
    DomainState,
    DomainStats,
    DomainType,
    Event,
    EventKind,
    EventSource,
    GuestCapabilities,
    HostCapabilities,
    HypervisorVersion,
    Interface,
    InterfaceStats,
    Job,
    JobKind,
    JobState,
    NodeInfo,
    NumaCell,
    Role,
    Scheduler,
    SchedulerParameters,
    StateReason,
    Vcpu,
    VcpuCount,
    VcpuState,
)
from purevirt.model.capabilities import Choice, CpuPlace, HostCell, HostCpu, Support, Toggle
from purevirt.model.description import (
    ActiveDescription,
    Disk,
    DiskBackend,
    DiskFormat,
    DomainDescription,
    Graphics,
    GraphicsType,
    LiveDescription,
    Unknown,
)
from purevirt.model.description import Interface as DescribedInterface

HANDLE = bytes.fromhex("66958a4b3f0c4d3e9a51d3c0ffee0042")
INFO = DomainInfo(
    3,
    HANDLE,
    "web \udcff",  # a name with a byte that is no UTF-8
    DomainType.PVH,
    DomainState.BLOCKED,
    StateReason.UNKNOWN,
    262_144,
    None,
    2,
    4,
    1_234_567_890_123,
    0,
    "-b----",
    None,
    0,
)
VCPU = Vcpu(1, VcpuState.BLOCKED, 99, None, frozenset({0, 3}), frozenset(range(4)))
DISK = BlockDevice("xvda", 51712, "/dev/vg/web", "disk", "raw", "phy", False, 0, True)
NIC = Interface("vif3.0", 0, "00:16:3e:11:22:33", "bridge", "xenbr0", None, None, 0, True)
EVENT = Event(7, 1.5, EventSource.XEND, EventKind.CHANGED, 3, UUID(bytes=HANDLE), "web", "set_memory", None)

DEFINITION = Definition(bytes(range(16)), "web", 3, "xml", DomainType.PVH, 65536, 131072, 1, 2, True, 5, True)
TEXT = DefinitionText('name = "web"\n', "xen-xl", 2)
JOB = Job(
    7,
    JobKind.START,
    UUID(int=5),
    "web",
    JobState.FAILED,
    12,
    1.5,
    2.25,
    0.5,
    "checking",
    4,
    "NoMemory",
    "too little",
    1000,
)
JOBS = ("start", "create", "save", "managed_save", "restore", "dump", "migrate", "job", "job_cancel")

VALUES: dict[str, list[Any]] = {
    "list_definitions": [[], [DEFINITION]],
    "jobs": [[], [JOB]],
    "job_log": [[], ["12:00:00 checking"]],
    **{key: [DEFINITION] for key in ("definition", "define")},
    **{key: [TEXT] for key in ("definition_text", "saved_description")},
    **{key: [None] for key in ("undefine", "set_autostart", "managed_save_remove", "adopt")},
    **{key: [JOB, Job(1, JobKind.SAVE, UUID(int=5), "web", JobState.RUNNING, 0, 1.0)] for key in JOBS},
    "version": [HypervisorVersion(4, 17, ".5", 21, 21, "compiler"), HypervisorVersion(4, 17)],
    "hostname": ["dom0"],
    "node_info": [NodeInfo("x86_64", "some CPU", 1, 2, 3, 4, 5, 6, 7), NodeInfo(*[None] * 9)],
    "free_memory": [123],
    "numa_cells": [(), (NumaCell(0, 10, None, (0, 1), (10, None)),)],
    "scheduler": [Scheduler(6, "credit2")],
    "cpupools": [(CpuPool(0, "Pool-0", "credit", 3, (0, 1)), CpuPool(1, None, "null", 0, ()))],
    "dmesg": ["(XEN) hello\n"],
    "capabilities": [
        Capabilities(HostCapabilities(HostCpu("aarch64")), ()),
        Capabilities(
            HostCapabilities(
                HostCpu("x86_64", "AMD", "EPYC", 1, 2, 1, ("pae", "sse4.1")),
                ("suspend_mem",),
                True,
                True,
                (HostCell(0, 4, ((0, 10), (1, 21)), (CpuPlace(0, 0, 1, (0,)), CpuPlace(1, None, None, ()))),),
            ),
            (
                GuestCapabilities(DomainType.PV, "x86_64"),
                GuestCapabilities(
                    DomainType.HVM, "i686", "/qemu", "/hvmloader", True, True, Toggle(True, False), None, None
                ),
            ),
        ),
    ],
    "domain_capabilities": [
        DomainCapabilities("/qemu", DomainType.PVH, "x86_64", None),
        DomainCapabilities(
            "/qemu",
            DomainType.HVM,
            "x86_64",
            128,
            ("/hvmloader",),
            (Support("disk", True, (Choice("bus", ("xen", "ide")),)),),
            (Support("genid", False),),
        ),
    ],
    "journal": [[], [EVENT, Event(8, 2.0, EventSource.STORE, EventKind.LOST, None, None, None)]],
    "whoami": [Caller(1000, 100, 42, Role.READER)],
    "list_domains": [[], [INFO, INFO._replace(type=None, name=None, state=DomainState.NOSTATE)]],
    "count_domains": [0],
    "lookup_id": [INFO.ref],
    "lookup_name": [INFO.ref],
    "lookup_uuid": [DomainRef(HANDLE)],
    "domain_stats": [
        [
            DomainStats(INFO),
            DomainStats(
                INFO,
                (VCPU,),
                ((DISK, BlockStats(1, 2, 3, 4)), (DISK, None)),
                ((NIC, InterfaceStats(*range(8))),),
            ),
        ]
    ],
    "domid": [3, None],
    "domain_name": ["web", None],
    "domain_type": [DomainType.PV],
    "domain_state": [(DomainState.CRASHED, StateReason.WATCHDOG)],
    "domain_info": [INFO],
    "max_memory": [1, None],
    "vcpus": [(VCPU, VCPU._replace(state=VcpuState.OFFLINE))],
    "description": [
        ActiveDescription(DomainDescription("web"), LiveDescription(3)),
        ActiveDescription(
            DomainDescription(
                "web \udcff",
                DomainType.HVM,
                UUID(bytes=HANDLE),
                disks=(Disk("xvda", "/dev/vg/web", DiskFormat.RAW, DiskBackend.PHY),),
                graphics=(Graphics(GraphicsType.VNC, password="s"),),
                interfaces=(DescribedInterface("00:16:3e:11:22:33", colo=(("forwarddev", "eth1"),)),),
                unknown=(Unknown("libxl-json", "b_info.new", "1"),),
            ),
            LiveDescription(3, "/dev/pts/1", 5900, ("vif3.0",), 2),
        ),
    ],
    "block_devices": [(DISK, DISK._replace(source=None, format=None))],
    "block_stats": [BlockStats(1, 2, 3, 4, 5)],
    "interfaces": [(NIC,)],
    "interface_stats": [InterfaceStats(*range(8))],
    "scheduler_parameters": [
        SchedulerParameters("credit2", 256, None),
        SchedulerParameters("credit", 1, 50),
    ],
    "attach_device": [AttachedDevice("disk", 51728, "xvdb", None, "/dev/vg/data")],
    "detach_device": [AttachedDevice("interface", 1, "vif3.1", "00:16:3e:00:00:01", "xenbr0")],
    "update_device": [AttachedDevice("interface", 0, "web0")],
    "set_memory": [1024],
    "set_vcpus": [VcpuCount(2, 1)],
    **{name: [None] for name, read in RESULTS.items() if read is nothing},
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def test_every_operation_has_values_here() -> None:
    assert set(VALUES) == set(RESULTS)


def test_every_read_of_the_drivers_contract_can_travel() -> None:
    own = {"close", "explain", "events", "console"}  # what a driver does for itself
    methods = {name for name, _ in inspect.getmembers(Driver, inspect.isfunction) if name[0] != "_"}
    assert methods - own <= set(RESULTS)


@pytest.mark.parametrize("operation", VALUES)
def test_a_value_comes_back_as_it_was(operation: str) -> None:
    for value in VALUES[operation]:
        sent = json.dumps(xend_json.encode(value), allow_nan=False)
        back = xend_json.result(operation, json.loads(sent))
        assert back == value
        assert type(back) is type(value)
        assert repr(back) == repr(value)


def test_what_a_newer_end_adds_is_ignored_and_what_an_older_lacks_has_its_default() -> None:
    sent = xend_json.encode(INFO)
    assert isinstance(sent, dict)
    sent["colour"] = "red"
    del sent["outstanding_kib"]
    assert xend_json.result("domain_info", sent) == INFO._replace(outstanding_kib=None)


@pytest.mark.parametrize(
    ("operation", "value", "told"),
    [
        ("hostname", 3, "3 is not text"),
        ("free_memory", True, "True is not an integer"),
        ("free_memory", 1.5, "1.5 is not an integer"),
        ("list_domains", {}, "a dict of 0 is not a list"),
        ("lookup_id", {"domid": 3}, "uuid is missing"),
        ("lookup_id", {"uuid": "66958a4b", "domid": 3}, "uuid: '66958a4b' is not a UUID"),
        ("lookup_id", {"uuid": "z" * 32, "domid": 3}, "is not a UUID"),
        ("domain_type", "vax", "'vax' is none of pv, pvh, hvm"),
        ("domain_state", ["running"], "a list of 1 is not a list of two"),
        ("suspend", 0, "0 is not null"),
    ],
)
def test_another_value_is_an_error_that_says_where(operation: str, value: object, told: str) -> None:
    with pytest.raises(errors.RemoteProtocolError) as caught:
        xend_json.result(operation, value)
    assert str(caught.value).startswith(f"the Xen daemon's answer to {operation} makes no sense: ")
    assert told in str(caught.value)
    assert caught.value.channel == "daemon"


@given(st.sampled_from(sorted(RESULTS)), anything)
def test_whatever_arrives_is_a_value_or_that_error(operation: str, value: object) -> None:
    with contextlib.suppress(errors.RemoteProtocolError):
        xend_json.result(operation, value)


# --- calls


def test_a_call_comes_back_as_it_was() -> None:
    document = xend_json.call("pin_vcpu", INFO.ref, {"vcpu": 0, "cpus": [0, 2], "soft": False}, 2.5)
    assert xend_json.parse_call(json.loads(json.dumps(document))) == xend_json.Call(
        "pin_vcpu", INFO.ref, {"vcpu": 0, "cpus": [0, 2], "soft": False}, 2.5
    )
    document = xend_json.call("lookup_uuid", None, {"handle": HANDLE}, None)
    assert document["arguments"] == {"handle": "66958a4b-3f0c-4d3e-9a51-d3c0ffee0042"}
    assert xend_json.parse_call(document).arguments == {"handle": HANDLE}
    document = xend_json.call("domain_stats", None, {"groups": frozenset({"vcpu", "block"})}, None)
    assert document["arguments"] == {"groups": ["block", "vcpu"]}
    assert xend_json.parse_call(document).arguments == {"groups": frozenset({"vcpu", "block"})}


def test_a_domain_may_be_named_by_whatever_the_caller_has() -> None:
    for named, ref in (
        ({"name": "web"}, DomainRef(b"", None, "web")),
        ({"domid": 3, "uuid": None}, DomainRef(b"", 3)),
        ({"uuid": HANDLE.hex()}, DomainRef(HANDLE)),
    ):
        assert xend_json.parse_call({"operation": "domid", "domain": named}).domain == ref


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ([], "a list of 0 is not an object"),
        ({}, "null is not text"),
        ({"operation": "fly"}, "there is no operation 'fly'"),
        ({"operation": "domid", "domain": {}}, "domain: it names none"),
        ({"operation": "domid", "domain": {"uuid": 7}}, "domain: 7 is not text"),
        ({"operation": "domid", "domain": "web"}, "domain: 'web' is not an object"),
        ({"operation": "suspend", "arguments": []}, None),
        ({"operation": "suspend", "arguments": [1]}, "arguments: a list of 1 is not an object"),
        ({"operation": "suspend", "timeout": -1}, "timeout: -1.0 is no number of seconds"),
        ({"operation": "suspend", "timeout": float("nan")}, "timeout: nan is no number of seconds"),
        ({"operation": "lookup_uuid"}, "null is not text"),
    ],
)
def test_a_bad_call_is_refused_with_the_reason(document: object, told: str | None) -> None:
    if told is None:
        assert xend_json.parse_call(document).arguments == {}
        return
    with pytest.raises(errors.InvalidConfig) as caught:
        xend_json.parse_call(document)
    assert told in str(caught.value)


@given(st.dictionaries(st.sampled_from(["operation", "domain", "arguments", "timeout"]), anything) | anything)
def test_whatever_is_asked_is_a_call_or_that_error(document: object) -> None:
    with contextlib.suppress(errors.InvalidConfig):
        xend_json.parse_call(document)


# --- errors


def test_every_error_comes_back_as_its_own_class() -> None:
    for name in errors.__all__:
        sent = getattr(errors, name)(
            "words", operation="op", domain="dom", channel="store", path="/p", errno=2, detail="text"
        )
        document = json.loads(json.dumps(xend_json.error_document(sent)))
        with pytest.raises(errors.XenError) as caught:
            xend_json.raise_error(document)
        assert type(caught.value) is type(sent)
        assert caught.value.as_dict() == sent.as_dict()


def test_the_problems_of_a_description_travel() -> None:
    sent = errors.InvalidConfig("two problems", problems=("no name", "no memory"))
    back = xend_json.error_from(xend_json.error_document(sent))
    assert isinstance(back, errors.InvalidConfig)
    assert back.problems == ("no name", "no memory")


def test_an_error_of_a_class_unknown_here_is_an_operation_that_failed() -> None:
    back = xend_json.error_from({"error": {"kind": "SunInEyes", "message": "too bright"}})
    assert type(back) is errors.OperationError
    assert str(back) == "too bright"


@given(anything | anything.map(lambda value: {"error": value}))
def test_whatever_comes_as_an_error_is_one(document: object) -> None:
    assert isinstance(xend_json.error_from(document), errors.XenError)


def test_each_error_has_its_http_status() -> None:
    expected = {
        "InvalidConfig": 400,
        "RemoteProtocolError": 400,
        "Denied": 403,
        "ReadOnly": 403,
        "NoSuchDomain": 404,
        "NoSuchDevice": 404,
        "NoSuchNode": 500,
        "WrongState": 409,
        "DomainExists": 409,
        "DomainAmbiguous": 409,
        "Unsupported": 501,
        "ChannelUnavailable": 503,
        "Closed": 503,
        "Timeout": 504,
        "NoMemory": 507,
        "XenError": 500,
    }
    for name, status in expected.items():
        assert xend_json.status_of(getattr(errors, name)("words")) == status
