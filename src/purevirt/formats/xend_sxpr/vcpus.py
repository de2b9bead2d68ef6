"""A domain's vCPUs: `(domain (domid 1) (name pv1) (vcpu_count 1) (vcpu (number 0) (online 1) …))`."""

from __future__ import annotations

from collections.abc import Sequence

import purevirt.wire.sxp as sxp
from purevirt.errors import RemoteProtocolError
from purevirt.formats.xend_sxpr.reading import whole
from purevirt.model import Vcpu, VcpuState
from purevirt.wire.sxp import Node

__all__ = ["read_vcpus", "vcpus_text"]


def vcpus_text(domid: int | None, name: str, vcpus: Sequence[Vcpu]) -> str:
    """The expression. `running` says that a vCPU is not waiting; -1 is the CPU of one that is offline."""
    head: list[sxp.Value] = ["domain"]
    if domid is not None:
        head.append(("domid", domid))
    head += [("name", name), ("vcpu_count", len(vcpus))]
    return sxp.text([*head, *(_vcpu(vcpu) for vcpu in vcpus)])


def _vcpu(vcpu: Vcpu) -> sxp.Value:
    return (
        "vcpu",
        ("number", vcpu.number),
        ("online", int(vcpu.state is not VcpuState.OFFLINE)),
        ("blocked", int(vcpu.state is VcpuState.BLOCKED)),
        ("running", int(vcpu.state is VcpuState.RUNNING)),
        ("cpu_time", vcpu.cpu_time_ns / 1e9),
        ("cpu", -1 if vcpu.cpu is None else vcpu.cpu),
        ("cpumap", sorted(vcpu.hard_affinity)),
    )


def read_vcpus(expression: Node) -> tuple[Vcpu, ...]:
    """Back into the model. xend knew one affinity only: the soft one is the same.

    RemoteProtocolError if this is no such answer, or one of its vCPUs has no number.
    """
    if sxp.head(expression) != "domain":
        raise RemoteProtocolError("xend did not answer with the vCPUs of a domain", channel="daemon")
    found: list[Vcpu] = []
    for one in sxp.children(expression, "vcpu"):
        number, seconds = whole(one, "number"), sxp.number(one, "cpu_time")
        if number is None:
            raise RemoteProtocolError("xend shows a vCPU without a number", channel="daemon")
        state = VcpuState.OFFLINE
        if whole(one, "online") == 1:
            state = VcpuState.BLOCKED if whole(one, "blocked") == 1 else VcpuState.RUNNING
        cpu = whole(one, "cpu")
        affinity = frozenset(_cpumap(one))
        time = 0 if seconds is None or abs(seconds) > 1e12 else round(seconds * 1e9)
        found.append(Vcpu(number, state, time, None if cpu in (None, -1) else cpu, affinity, affinity))
    return tuple(found)


def _cpumap(one: Node) -> list[int]:
    pair = sxp.child(one, "cpumap")
    listed = pair[1] if pair is not None and len(pair) > 1 else []
    if not isinstance(listed, list):
        return []
    return [
        int(cpu)
        for cpu in listed
        if isinstance(cpu, str) and cpu.isascii() and cpu.isdigit() and len(cpu) < 10
    ]
