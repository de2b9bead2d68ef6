"""What an xl.cfg says about CPUs in languages of its own: where vCPUs run, what CPUID says, virtual NUMA nodes."""

from __future__ import annotations

import re
from collections.abc import Callable

from purevirt._typing import Any
from purevirt.formats.xl_config.kinds import mebibytes
from purevirt.formats.xl_config.reading import Parts, Reader
from purevirt.formats.xl_config.spelling import Plain, number
from purevirt.formats.xl_config.syntax import Atom, Items, Value
from purevirt.model.description import CpuFlag, DomainDescription, NumaNode
from purevirt.model.domain import DomainType

__all__ = ["read_affinity", "read_cpuid", "read_vnuma", "write_affinity", "write_cpuid", "write_vnuma"]

Written = dict[str, "Plain | None"]

_CPU_LIST = re.compile(
    r"\^?(?:nodes?:)?(?:all|[0-9]+(?:-[0-9]+)?)(?:,\^?(?:nodes?:)?(?:all|[0-9]+(?:-[0-9]+)?))*"
)
_CPU_SET = re.compile(r"\^?[0-9]+(?:-[0-9]+)?(?:,\^?[0-9]+(?:-[0-9]+)?)*")


def read_affinity(name: str, field: str) -> Callable[[Reader, Parts, DomainType], None]:
    """`cpus` or `cpus_soft`: one string for all vCPUs, or a list of one for each.

    xl leaves vCPUs alone that a list does not reach. In the model a single entry is for all of them, so that a list of
    one is made two where there are more vCPUs.
    """

    def read(reader: Reader, parts: Parts, kind: DomainType) -> None:
        found = reader.take(name)
        assert found is not None
        if isinstance(found, Atom):
            parts["cpus"][field] = (_cpu_list(reader, name, found),)
            return
        lists = tuple(_cpu_list(reader, name, item) for item in reader.atoms(name, found))
        vcpus = max(parts["cpus"].get("online", 1), parts["cpus"].get("maximum") or 1)
        parts["cpus"][field] = (*lists, "all") if len(lists) == 1 and vcpus > 1 else lists

    return read


def _cpu_list(reader: Reader, name: str, item: Atom) -> str:
    if _CPU_LIST.fullmatch(item.value) is None:
        reader.fail(
            f"{name}: expected a list of CPUs like 0-3,^2 or node:1 or all, found {item.value!r}", item
        )
    return item.value


def write_affinity(name: str, field: str) -> Callable[[DomainDescription], Written]:
    def write(description: DomainDescription) -> Written:
        lists: tuple[str, ...] = getattr(description.cpus, field)
        if not lists or not all(map(_CPU_LIST.fullmatch, lists)):
            return {}
        return {name: lists[0] if len(lists) == 1 else lists}

    return write


# --- CPUID

_FLAG = re.compile(r"([^,=\s]+)=([01xks]|[0-9]+|0x[0-9a-fA-F]+)")
_REGISTERS = re.compile(
    r"(?:0x)?[0-9a-fA-F]+(?:,(?:0x)?[0-9a-fA-F]+)?:e[abcd]x=[01xks]{32}(?:,e[abcd]x=[01xks]{32})*"
)


def read_cpuid(reader: Reader, parts: Parts, kind: DomainType) -> None:
    """libxl's string "host,tm=0,…" or xend's list of registers."""
    found = reader.take("cpuid")
    assert found is not None
    if isinstance(found, Items):
        parts["cpus"]["registers"] = tuple(_registers(reader, item) for item in reader.atoms("cpuid", found))
        return
    first, *others = found.value.split(",")
    if first != "host":
        reader.fail(f"cpuid: expected host first, as in host,tm=0, found {found.value!r}", found)
    parts["cpus"]["flags_from"] = "host"
    flags = []
    for text in others:
        match = _FLAG.fullmatch(text.strip())
        if match is None:
            reader.fail(f"cpuid: expected FLAG=1, 0, x, k, s or a number, found {text!r}", found)
        flags.append(CpuFlag(match[1], match[2]))
    parts["cpus"]["flags"] = tuple(flags)


def _registers(reader: Reader, item: Atom) -> str:
    if _REGISTERS.fullmatch(item.value) is None:
        message = "cpuid: expected LEAF:REGISTER=BITS with 32 of 1, 0, x, k, s, as in 1:ecx=xxxx…, found"
        reader.fail(f"{message} {item.value!r}", item)
    return item.value


def write_cpuid(description: DomainDescription) -> Written:
    """There is one setting for both; where both are said, xl can be told the flags only."""
    cpus = description.cpus
    if cpus.flags_from == "host":
        texts = [f"{flag.name}={flag.value}" for flag in cpus.flags]
        if all(map(_FLAG.fullmatch, texts)):
            return {"cpuid": ",".join(["host", *texts])}
        return {}
    if cpus.flags_from is not None or cpus.flags or not all(map(_REGISTERS.fullmatch, cpus.registers)):
        return {}
    return {"cpuid": tuple(cpus.registers)} if cpus.registers else {}


# --- virtual NUMA

_NODE = {"pnode": "pnode", "size": "kib", "vcpus": "vcpus", "vdistances": "distances"}


def read_vnuma(reader: Reader, parts: Parts, kind: DomainType) -> None:
    """A list of lists of "key=value"."""
    found = reader.take("vnuma")
    assert found is not None
    nodes = reader.as_items("vnuma", found).items
    parts["cpus"]["numa"] = tuple(_node(reader, node) for node in nodes)


def _node(reader: Reader, found: Value) -> NumaNode:
    fields: dict[str, Any] = {}
    for item in reader.atoms("each node of vnuma", found):
        key, equals, text = (part.strip() for part in item.value.partition("="))
        if not equals or key not in _NODE:
            known = ", ".join(f"{name}=" for name in _NODE)
            reader.fail(f"vnuma: expected one of {known}; found {item.value!r}", item)
        fields[_NODE[key]] = _node_value(reader, key, text, item)
    for key in ("size", "vcpus"):
        if _NODE[key] not in fields:
            reader.fail(f"vnuma: a node lacks {key}=…", found)
    return NumaNode(**fields)


def _node_value(reader: Reader, key: str, text: str, item: Atom) -> Any:
    if key == "vcpus":
        if _CPU_SET.fullmatch(text) is None:
            reader.fail(f"vnuma: vcpus is {text!r}, expected numbers like 0-3,5", item)
        return text
    numbers = [number(Atom(part, True, 0, 0)) for part in text.split(",")]
    values = [one for one in numbers if one is not None and one >= 0]
    if len(values) != len(numbers) or (key != "vdistances" and len(values) != 1):
        reader.fail(f"vnuma: {key} is {text!r}, expected a number", item)
    if key == "vdistances":
        return tuple(values)
    return values[0] * 1024 if key == "size" else values[0]


def write_vnuma(description: DomainDescription) -> Written:
    """xl wants everything to be said of each node."""
    nodes = description.cpus.numa
    written = []
    for node in nodes:
        if node.pnode is None or len(node.distances) != len(nodes) or not _CPU_SET.fullmatch(node.vcpus):
            return {}
        distances = ",".join(map(str, node.distances))
        written.append(
            (
                f"pnode={node.pnode}",
                f"size={mebibytes(node.kib)}",
                f"vcpus={node.vcpus}",
                f"vdistances={distances}",
            )
        )
    return {"vnuma": tuple(written)} if written else {}
