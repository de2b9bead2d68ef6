"""sched_op and hvm_op of the simulated hypervisor, as far as Domain 0's tools call them about other domains.

Source: do_sched_op in xen/common/sched/core.c, domain_shutdown in xen/common/domain.c, hvmop_get_param and
hvmop_set_param in xen/arch/x86/hvm/hvm.c.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from purevirt.host.memory import CallerMemory, XenError
from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.subops import HvmOp, SchedOp

if TYPE_CHECKING:
    from purevirt.host.hypervisor import Hypervisor

__all__ = ["do_hvm_op", "do_sched_op"]

_DOMID_SELF = 0x7FF0
_NR_PARAMS = 39


def do_sched_op(hv: Hypervisor, memory: CallerMemory, args: tuple[int, ...]) -> int:
    if args[0] != SchedOp.REMOTE_SHUTDOWN:
        raise XenError(errno.ENOSYS)
    shape = structs.SCHED_REMOTE_SHUTDOWN.at(hv.interface)
    asked = shape.unpack(memory.read(args[1], shape.size))
    domain = hv.find(asked["domain_id"])
    if domain is None:
        raise XenError(errno.ESRCH)
    if not hv.privileged:
        raise XenError(errno.EPERM)
    if domain.shutdown_code is None:  # one that has stopped keeps its reason, and that is no error
        hv.shutdown(domain.id, asked["reason"] & 0xFF)
    return 0


def do_hvm_op(hv: Hypervisor, memory: CallerMemory, args: tuple[int, ...]) -> int:
    if args[0] not in (HvmOp.GET_PARAM, HvmOp.SET_PARAM):
        raise XenError(errno.ENOSYS)
    shape = structs.HVM_PARAM.at(hv.interface)
    asked = shape.unpack(memory.read(args[1], shape.size))
    if asked["index"] >= _NR_PARAMS:
        raise XenError(errno.EINVAL)
    domain = hv.find(0 if asked["domid"] == _DOMID_SELF else asked["domid"])
    if domain is None:
        raise XenError(errno.ESRCH)
    if domain.kind == "pv":
        raise XenError(errno.EINVAL)
    if not hv.privileged:
        raise XenError(errno.EPERM)
    if args[0] == HvmOp.SET_PARAM:
        domain.hvm_params[asked["index"]] = asked["value"]
        return 0
    memory.write(args[1], shape.pack(**asked | {"value": domain.hvm_params.get(asked["index"], 0)}))
    return 0
