"""domctl of the simulated hypervisor: what concerns one domain.

A handler takes the domain and the union's bytes and returns what is written back over them. Those about scheduling are
in `schedctl`.

Source: do_domctl and getdomaininfo in xen/common/domctl.c, arch_do_domctl in xen/arch/x86/domctl.c, and
domain_pause_by_systemcontroller and its like in xen/common/domain.c.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from purevirt.host.building import create_domain, max_vcpus
from purevirt.host.cpushares import CPU
from purevirt.host.domains import SimDomain
from purevirt.host.memory import CallerMemory, XenError
from purevirt.host.schedctl import getvcpuaffinity, scheduler_op, setvcpuaffinity
from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.numbers import DOMID_FIRST_RESERVED, INVALID_ID, Domctl
from purevirt.wire.hypercall.subops import SendTrigger

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
MAX_PAUSES = 255
MAX_PAGES = (1 << 32) - 1
_GPADDR_BITS = 40  # of PV domains as well: seen on 4.17


def do_domctl(hv: Hypervisor, memory: CallerMemory, args: tuple[int, ...]) -> int:
    shape = structs.DOMCTL.at(hv.interface)
    raw = memory.read(args[0], shape.size)
    head = shape.unpack(raw)
    cmd, domid = head["cmd"], head["domain"]
    if head["interface_version"] != hv.interface.domctl:
        raise XenError(errno.EACCES)
    if cmd == Domctl.CREATEDOMAIN:  # it concerns no domain yet
        if not hv.privileged:
            raise XenError(errno.EPERM)
        head["domain"] = create_domain(hv, domid, raw[structs.DOMCTL_U :])
        memory.write(args[0], shape.pack(**head)[: structs.DOMCTL_U])
        return 0
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
    passed = hv.accounts.passed()
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
                domain.cpu_time(passed),
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
        cpu_time=vcpu.cpu_time + hv.accounts.passed() * vcpu.rate // CPU,
        cpu=vcpu.cpu,
    )


# --- a domain's life


def _is_caller(domain: SimDomain) -> bool:
    return domain.id == 0  # hypercalls from elsewhere are refused for lack of privilege


def _pausedomain(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    if _is_caller(domain):
        raise XenError(errno.EINVAL)
    if domain.paused >= MAX_PAUSES:
        raise XenError(errno.EOVERFLOW)
    hv.pause(domain.id)
    return b""


def _unpausedomain(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    if not domain.paused:
        raise XenError(errno.EINVAL)
    hv.unpause(domain.id)
    return b""


def _resumedomain(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    if _is_caller(domain):
        raise XenError(errno.EINVAL)
    hv.resume(domain.id)
    return b""


def _destroydomain(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    if _is_caller(domain):
        raise XenError(errno.EINVAL)
    hv.destroy(domain.id)
    return b""


def _setdomainhandle(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    domain.handle = union[:16]
    return b""


def _max_mem(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    kib = structs.MAX_MEM.at(hv.interface).unpack(union)["max_memkb"]
    hv.set_max_memory(domain.id, min(kib, MAX_PAGES * 4))
    return b""


def _sendtrigger(hv: Hypervisor, memory: CallerMemory, domain: SimDomain, union: bytes) -> bytes:
    if hv.spec.arch != "x86_64":
        raise XenError(errno.ENOSYS)
    asked = structs.SENDTRIGGER.at(hv.interface).unpack(union)
    trigger, vcpu = asked["trigger"], asked["vcpu"]
    if vcpu >= len(domain.vcpus):
        raise XenError(errno.ESRCH)
    if trigger not in (SendTrigger.NMI, SendTrigger.POWER, SendTrigger.SLEEP):
        raise XenError(errno.ENOSYS)
    if trigger != SendTrigger.NMI and domain.kind == "pv":
        raise XenError(errno.EINVAL)
    hv.trigger(domain.id, vcpu, trigger)
    return b""


_HANDLERS: dict[int, Callable[[Hypervisor, CallerMemory, SimDomain, bytes], bytes]] = {
    Domctl.GETDOMAININFO: _getdomaininfo,
    Domctl.GETVCPUINFO: _getvcpuinfo,
    Domctl.GETVCPUAFFINITY: getvcpuaffinity,
    Domctl.SETVCPUAFFINITY: setvcpuaffinity,
    Domctl.SCHEDULER_OP: scheduler_op,
    Domctl.PAUSEDOMAIN: _pausedomain,
    Domctl.UNPAUSEDOMAIN: _unpausedomain,
    Domctl.RESUMEDOMAIN: _resumedomain,
    Domctl.SETDOMAINHANDLE: _setdomainhandle,
    Domctl.DESTROYDOMAIN: _destroydomain,
    Domctl.MAX_MEM: _max_mem,
    Domctl.MAX_VCPUS: max_vcpus,
    Domctl.SENDTRIGGER: _sendtrigger,
}
