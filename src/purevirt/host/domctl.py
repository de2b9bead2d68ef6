"""domctl of the simulated hypervisor: what concerns one domain.

A handler takes the domain and the union's bytes and returns what is written back over them.

Source: do_domctl and getdomaininfo in xen/common/domctl.c.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from purevirt.host.domains import SimDomain
from purevirt.host.memory import CallerMemory, XenError
from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.numbers import DOMID_FIRST_RESERVED, INVALID_ID, Domctl, VcpuAffinityFlag

if TYPE_CHECKING:
    from purevirt.host.hypervisor import Hypervisor

__all__ = ["do_domctl", "encode_domain_infos"]

_FIELDS = (
    "domain",
    "flags",
    "tot_pages",
    "max_pages",
    "outstanding_pages",
    "shared_info_frame",
    "cpu_time",
    "nr_online_vcpus",
    "max_vcpu_id",
    "ssidref",
    "handle",
    "cpupool",
)
_GPADDR_BITS = 40  # of PV domains as well: seen on 4.17


def do_domctl(hv: Hypervisor, memory: CallerMemory, args: tuple[int, ...]) -> int:
    shape = structs.DOMCTL.at(hv.interface)
    raw = memory.read(args[0], shape.size)
    head = shape.unpack(raw)
    cmd, domid = head["cmd"], head["domain"]
    if head["interface_version"] != hv.interface.domctl:
        raise XenError(errno.EACCES)
    domain = hv.find(domid)
    if domain is None and cmd == Domctl.GETDOMAININFO and hv.interface.domctl < 0x16:
        # Before 4.18, Xen looked for the next domain that there is.
        if domid >= DOMID_FIRST_RESERVED:
            raise XenError(errno.EINVAL)
        domain = next(hv.from_id(domid), None)
    if domain is None:
        raise XenError(errno.ESRCH)
    if not hv.privileged:
        raise XenError(errno.EPERM)
    handler = _HANDLERS.get(cmd)
    if handler is None:
        raise XenError(errno.ENOSYS)
    union = handler(hv, memory, domain, raw[structs.DOMCTL_U :])
    head["domain"] = domain.id
    memory.write(args[0], shape.pack(**head)[: structs.DOMCTL_U] + union)
    return 0


def encode_domain_infos(hv: Hypervisor, domains: Sequence[SimDomain]) -> bytes:
    """xen_domctl_getdomaininfo of each, one behind the other."""
    shape = structs.GETDOMAININFO.at(hv.interface)
    tail = tuple(name for name in ("gpaddr_bits", "arch_config.emulation_flags") if name in shape.offsets)
    pack = shape.reader(_FIELDS + tail).pack
    now = hv.clock.now()
    rows = []
    for domain in domains:
        last: list[int] = [_GPADDR_BITS] if "gpaddr_bits" in tail else []
        if len(last) < len(tail):
            last.append(domain.emulation_flags)
        rows.append(
            pack(
                domain.id,
                domain.flags,
                domain.tot_pages,
                domain.max_pages,
                domain.outstanding_pages,
                domain.shared_info_frame,
                domain.cpu_time(now),
                domain.online_vcpus,
                len(domain.vcpus) - 1 if domain.vcpus else INVALID_ID,
                domain.ssidref,
                domain.handle,
                domain.cpupool,
                *last,
            )
        )
    return b"".join(rows)


def _getdomaininfo(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    return encode_domain_infos(hv, [domain])


def _getvcpuinfo(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    shape = structs.GETVCPUINFO.at(hv.interface)
    number = shape.unpack(union)["vcpu"]
    if number >= len(domain.vcpus):
        raise XenError(errno.EINVAL)
    vcpu = domain.vcpus[number]
    return shape.pack(
        vcpu=number,
        online=vcpu.online,
        blocked=vcpu.online and domain.runs and not vcpu.load,
        running=vcpu.online and domain.runs and vcpu.load > 0,
        cpu_time=domain.vcpu_time(vcpu, hv.clock.now()),
        cpu=vcpu.cpu,
    )


def _getvcpuaffinity(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    shape = structs.VCPUAFFINITY.at(hv.interface)
    asked = shape.unpack(union)
    if asked["vcpu"] >= len(domain.vcpus) or not asked["flags"]:
        raise XenError(errno.EINVAL)
    vcpu = domain.vcpus[asked["vcpu"]]
    for flag, name, bits in (
        (VcpuAffinityFlag.HARD, "cpumap_hard", vcpu.hard),
        (VcpuAffinityFlag.SOFT, "cpumap_soft", vcpu.soft),
    ):
        if asked["flags"] & flag:
            # As long as the caller's bitmap is; bits of CPUs that do not exist are clear.
            size = (asked[f"{name}.nr_bits"] + 7) // 8
            memory.write(asked[f"{name}.bitmap"], _bitmap(bits, size))
    return shape.pack(**asked)


def _bitmap(bits: int, size: int) -> bytes:
    if size > 1 << 16:
        raise XenError(errno.EFAULT)  # no caller's memory is that long
    return (bits & (1 << 8 * size) - 1).to_bytes(size, "little")


_HANDLERS: dict[int, Callable[[Hypervisor, CallerMemory, SimDomain, bytes], bytes]] = {
    Domctl.GETDOMAININFO: _getdomaininfo,
    Domctl.GETVCPUINFO: _getvcpuinfo,
    Domctl.GETVCPUAFFINITY: _getvcpuaffinity,
}
