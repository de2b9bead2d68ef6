"""Every table against what a C compiler says about the real headers (tests/data/layouts; no compiler needed)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from purevirt.wire.hypercall import numbers, structs, subops
from purevirt.wire.hypercall.versions import ARCHES, RELEASES, Interface

DATA = Path(__file__).resolve().parents[2] / "data" / "layouts"

COMPILED = [row._replace(arch=arch) for row in RELEASES if row.verified == "compiler" for arch in ARCHES]


def named(interface: Interface) -> str:
    return f"{interface.release[0]}.{interface.release[1]}-{interface.arch}"


@cache
def measured(interface: Interface) -> Any:
    return json.loads((DATA / f"xen-{named(interface)}.json").read_text())


each_compiled = pytest.mark.parametrize("interface", COMPILED, ids=named)


def test_every_release_measured_by_a_compiler_is_marked_so_and_no_other() -> None:
    files = {path.stem.removeprefix("xen-") for path in DATA.glob("xen-*.json")}
    assert files == {named(interface) for interface in COMPILED}


@each_compiled
@pytest.mark.parametrize("name", structs.STRUCTS)
def test_size_and_offsets_are_the_compilers(interface: Interface, name: str) -> None:
    theirs = measured(interface)["structs"][name]
    ours = structs.STRUCTS[name].at(interface)
    assert ours.size == theirs["size"]
    for field, place in ours.offsets.items():
        assert list(place) == theirs["fields"][field], field


@each_compiled
@pytest.mark.parametrize("name", structs.STRUCTS)
def test_no_field_is_forgotten(interface: Interface, name: str) -> None:
    theirs = measured(interface)["structs"][name]["fields"]
    ours = structs.STRUCTS[name].at(interface).offsets
    # Left out on purpose: padding, the unions, flexible arrays, and structs whose members are listed one by one.
    inner = {field.rpartition(".")[0] for field in theirs if "." in field}
    meant = {
        field
        for field in theirs
        if field not in ("u", "buf") and field.rpartition(".")[2] not in ("p", "q") and field not in inner
    }
    # A guest handle is a struct around its pointer: the outer name stands for both.
    meant |= {field for field in inner if theirs.get(f"{field}.p") == theirs.get(field) and field in theirs}
    if name == "xen_domctl_scheduler_op":  # a union: what credit2 shares with credit, and what others have
        meant = {field for field in meant if not field.startswith(("u.credit2", "u.rtds", "u.v"))}
    missing = {
        field for field in meant - set(ours) if not field.rpartition(".")[2].lstrip("_").startswith("pad")
    }
    assert not missing


@each_compiled
def test_credit2_keeps_its_parameters_where_credit_does(interface: Interface) -> None:
    theirs = measured(interface)["structs"]["xen_domctl_scheduler_op"]["fields"]
    for field in ("weight", "cap"):
        assert theirs[f"u.credit.{field}"] == theirs[f"u.credit2.{field}"]


@each_compiled
def test_interface_versions_are_the_headers(interface: Interface) -> None:
    constants = measured(interface)["constants"]
    assert interface.sysctl == constants["XEN_SYSCTL_INTERFACE_VERSION"]
    assert interface.domctl == constants["XEN_DOMCTL_INTERFACE_VERSION"]


NAMES = {
    **{f"__HYPERVISOR_{op.name.lower()}": op for op in numbers.Op},
    **{f"XENVER_{sub.name.lower()}": sub for sub in numbers.Xenver},
    **{f"XEN_SYSCTL_{sub.name.lower()}": sub for sub in numbers.Sysctl},
    **{f"XEN_DOMCTL_{sub.name.lower()}": sub for sub in numbers.Domctl},
    **{f"XEN_DOMINF_{flag.name.lower()}": flag for flag in numbers.DomainFlag if flag.name},
    **{f"SHUTDOWN_{code.name.lower()}": code for code in subops.ShutdownCode},
    **{f"XEN_X86_EMU_{flag.name}": flag for flag in subops.EmulationFlag if flag.name},
    **{f"XEN_SYSCTL_PHYSCAP_{flag.name.lower()}": flag for flag in subops.PhysCap if flag.name},
    **{f"SCHEDOP_{sub.name.lower()}": sub for sub in subops.SchedOp},
    **{f"HVMOP_{sub.name.lower()}": sub for sub in subops.HvmOp},
    **{f"XENMEM_{sub.name.lower()}": sub for sub in subops.MemoryOp},
    **{f"EVTCHNOP_{sub.name.lower()}": sub for sub in subops.EvtchnOp},
    **{f"XEN_DOMCTL_CDF_{flag.name.lower()}": flag for flag in subops.CreateFlag if flag.name},
    **{f"HVM_PARAM_{index.name}": index for index in subops.HvmParam},
    **{f"XEN_SYSCTL_CPUPOOL_OP_{sub.name}": sub for sub in subops.CpuPoolOp},
    **{f"XEN_DOMCTL_SCHEDOP_{sub.name.lower()}": sub for sub in subops.SchedulerOp},
    **{f"XEN_DOMCTL_SENDTRIGGER_{trigger.name}": trigger for trigger in subops.SendTrigger},
    **{f"XEN_VCPUAFFINITY_{flag.name}": flag for flag in subops.VcpuAffinityFlag if flag.name},
    **{f"XENFEAT_{name}": bit for bit, name in enumerate(numbers.FEATURES)},
    **{f"XEN_SCHEDULER_{name.upper()}": number for number, name in numbers.SCHEDULERS.items()},
    "DOMID_FIRST_RESERVED": numbers.DOMID_FIRST_RESERVED,
    "XEN_INVALID_CORE_ID": numbers.INVALID_ID,
    "XEN_INVALID_SOCKET_ID": numbers.INVALID_ID,
    "XEN_INVALID_NODE_ID": numbers.INVALID_ID,
    "XEN_INVALID_NODE_DIST": numbers.INVALID_ID,
    "XEN_INVALID_MAX_VCPU_ID": numbers.INVALID_ID,
    "XEN_INVALID_MEM_SZ": numbers.INVALID_MEM_SZ,
}

LATER = {  # name: the first release whose headers have it
    "XEN_SYSCTL_PHYSCAP_vmtrace": (4, 15),
    "XEN_SYSCTL_PHYSCAP_vpmu": (4, 15),
    "XEN_DOMCTL_CDF_nested_virt": (4, 15),
    "XEN_DOMCTL_CDF_vpmu": (4, 15),
    "XEN_SYSCTL_PHYSCAP_gnttab_v1": (4, 17),
    "XEN_SYSCTL_PHYSCAP_gnttab_v2": (4, 17),
}


@each_compiled
def test_numbers_are_the_headers(interface: Interface) -> None:
    constants = measured(interface)["constants"]
    absent = []
    for name, number in NAMES.items():
        if name in constants:
            assert constants[name] == number, name
        else:
            absent.append(name)
    allowed = {name for name, first in LATER.items() if interface.release < first}
    # Names that came with later headers without a change of the interface.
    absent = [name for name in absent if name not in allowed and not name.startswith("XENFEAT_")]
    if interface.arch == "arm64":
        absent = [name for name in absent if not name.startswith("XEN_X86_")]
    assert not absent


@pytest.mark.parametrize(
    ("release", "x86_64", "arm64"),
    [((4, 14), 104, 112), ((4, 15), 104, 112), *(((4, minor), 112, 120) for minor in range(16, 23))],
)
def test_the_stride_of_a_domain_list(release: tuple[int, int], x86_64: int, arm64: int) -> None:
    row = next(row for row in RELEASES if row.release == release)
    assert structs.GETDOMAININFO.at(row).size == x86_64
    assert structs.GETDOMAININFO.at(row._replace(arch="arm64")).size == arm64


@pytest.mark.parametrize("row", RELEASES, ids=named)
def test_physinfo_grew_with_sysctl_0x15(row: Interface) -> None:
    shape = structs.PHYSINFO.at(row)
    assert shape.size == (112 if row.sysctl >= 0x15 else 104)
    assert ("arch_capabilities" in shape.offsets) == (row.sysctl >= 0x15)
