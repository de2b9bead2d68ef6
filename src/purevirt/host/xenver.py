"""xen_version of the simulated hypervisor: sub-operation in the first argument, a buffer in the second.

Source: do_xen_version in xen/common/kernel.c, and the XSM default policy for who may ask what.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from purevirt.host.memory import CallerMemory, XenError
from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.numbers import PAGE_SIZE, Xenver

if TYPE_CHECKING:
    from purevirt.host.hypervisor import Hypervisor

__all__ = ["do_xen_version"]


def do_xen_version(hv: Hypervisor, memory: CallerMemory, args: tuple[int, ...]) -> int:
    handler = _HANDLERS.get(args[0])
    if handler is None:
        raise XenError(errno.ENOSYS)
    return handler(hv, memory, args[1])


def _version(hv: Hypervisor, memory: CallerMemory, address: int) -> int:
    return hv.spec.xen[0] << 16 | hv.spec.xen[1]


def _text(memory: CallerMemory, address: int, text: str, size: int) -> int:
    memory.write(address, text.encode()[: size - 1].ljust(size, b"\0"))
    return 0


def _extraversion(hv: Hypervisor, memory: CallerMemory, address: int) -> int:
    return _text(memory, address, hv.spec.extraversion, 16)


def _capabilities(hv: Hypervisor, memory: CallerMemory, address: int) -> int:
    return _text(memory, address, hv.spec.capabilities, 1024)


def _changeset(hv: Hypervisor, memory: CallerMemory, address: int) -> int:
    return _text(memory, address, hv.spec.changeset, 64)


def _commandline(hv: Hypervisor, memory: CallerMemory, address: int) -> int:
    if not hv.privileged:
        raise XenError(errno.EPERM)
    return _text(memory, address, hv.spec.commandline, 1024)


def _compile_info(hv: Hypervisor, memory: CallerMemory, address: int) -> int:
    shape = structs.COMPILE_INFO.at(hv.interface)
    values = {
        name: text.encode()[: shape.offsets[name][1] - 1] for name, text in hv.spec.compiled._asdict().items()
    }
    memory.write(address, shape.pack(**values))
    return 0


def _platform_parameters(hv: Hypervisor, memory: CallerMemory, address: int) -> int:
    memory.write(address, structs.PLATFORM_PARAMETERS.at(hv.interface).pack(virt_start=hv.spec.virt_start))
    return 0


def _features(hv: Hypervisor, memory: CallerMemory, address: int) -> int:
    shape = structs.FEATURE_INFO.at(hv.interface)
    index = shape.unpack(memory.read(address, shape.size))["submap_idx"]
    if index != 0:
        raise XenError(errno.EINVAL)
    memory.write(address, shape.pack(submap_idx=index, submap=hv.spec.features))
    return 0


def _pagesize(hv: Hypervisor, memory: CallerMemory, address: int) -> int:
    if address:
        raise XenError(errno.EINVAL)
    return PAGE_SIZE


def _build_id(hv: Hypervisor, memory: CallerMemory, address: int) -> int:
    if not hv.privileged:
        raise XenError(errno.EPERM)
    build_id = hv.spec.build_id
    if build_id is None:
        raise XenError(errno.ENODATA)
    if address:
        shape = structs.BUILD_ID.at(hv.interface)
        room = shape.unpack(memory.read(address, shape.size))["len"]
        if room == 0:
            raise XenError(errno.EINVAL)
        if room < len(build_id):
            raise XenError(errno.ENOBUFS)
        memory.write(address + shape.size, build_id)
    return len(build_id)


_HANDLERS: dict[int, Callable[[Hypervisor, CallerMemory, int], int]] = {
    Xenver.VERSION: _version,
    Xenver.EXTRAVERSION: _extraversion,
    Xenver.COMPILE_INFO: _compile_info,
    Xenver.CAPABILITIES: _capabilities,
    Xenver.CHANGESET: _changeset,
    Xenver.PLATFORM_PARAMETERS: _platform_parameters,
    Xenver.GET_FEATURES: _features,
    Xenver.PAGESIZE: _pagesize,
    Xenver.COMMANDLINE: _commandline,
    Xenver.BUILD_ID: _build_id,
}
