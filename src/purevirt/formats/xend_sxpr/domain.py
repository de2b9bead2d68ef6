"""The expression of one domain: what a supervisor knows of it in, `(domain (domid 1) …)` out.

Sizes are MiB there, times seconds. Whoever lists many domains writes these expressions again and again, so this does
not go through a tree of values: each pair is put together as text, and devices and images are kept as they were
written the last time.

Source: xend of Xen 4.1 (XendConfig.py, XendDomainInfo.py), and recordings of its answers.
"""

from __future__ import annotations

from functools import lru_cache

import purevirt.wire.sxp as sxp
from purevirt._typing import NamedTuple
from purevirt.model import BlockDevice, DomainInfo, DomainState, Interface, StateReason

__all__ = [
    "Image",
    "XendDevice",
    "XendDomain",
    "disk",
    "domain_name",
    "domain_text",
    "nic",
    "status",
    "uname",
]


class XendDevice(NamedTuple):
    """`(device (kind (key value)…))`. Settings are tuples, so that a device can be looked up."""

    kind: str
    settings: tuple[tuple[str, sxp.Value], ...]


class Image(NamedTuple):
    """`(image (kind (key value)…))`: how the domain is built. `kind` is "linux" (PV) or "hvm"."""

    kind: str
    settings: tuple[tuple[str, sxp.Value], ...]


class XendDomain(NamedTuple):
    """Everything that xend shows of one domain. What is None is left out.

    `cpus` has for each vCPU the physical CPUs that it is pinned to; none: it may run anywhere. `vcpu_avail` has a bit
    for each vCPU that the guest should use, `shadow_memory` is MiB, `start_time` Unix seconds, the two `mfn` are
    machine frame numbers.
    """

    info: DomainInfo
    cpu_weight: int | None = None
    cpu_cap: int | None = None
    pool_name: str | None = None
    cpus: tuple[tuple[int, ...], ...] | None = None
    on_poweroff: str | None = None
    on_reboot: str | None = None
    on_crash: str | None = None
    description: str | None = None
    bootloader: str | None = ""
    bootloader_args: str | None = ""
    shadow_memory: int | None = None
    vcpu_avail: int | None = None
    features: str | None = ""
    on_xend_start: str | None = "ignore"
    on_xend_stop: str | None = "ignore"
    start_time: float | None = None
    image: Image | None = None
    store_mfn: int | None = None
    console_mfn: int | None = None
    devices: tuple[XendDevice, ...] = ()
    security_label: str | None = None


_STATUS = {
    DomainState.NOSTATE: 6,
    DomainState.RUNNING: 2,
    DomainState.BLOCKED: 2,
    DomainState.PAUSED: 1,
    DomainState.SHUTDOWN: 4,
    DomainState.SHUTOFF: 0,
    DomainState.CRASHED: 5,
    DomainState.PMSUSPENDED: 3,
}


def status(info: DomainInfo) -> int:
    """xend's number for a state: 0 halted, 1 paused, 2 running, 3 suspended, 4 shutting down, 5 crashed, 6 unknown."""
    if info.state is DomainState.PAUSED and info.reason is StateReason.SUSPEND:
        return 3
    return _STATUS[info.state]


def domain_name(info: DomainInfo) -> str:
    """The name; for an active domain that has none (yet), the one that xend makes up: "Domain-7"."""
    if info.name:
        return info.name
    return f"Domain-{info.domid}" if info.domid is not None else str(info.uuid)


def domain_text(domain: XendDomain) -> str:
    """The whole expression, in xend's order of keys."""
    info = domain.info
    parts: list[str] = []
    add = parts.append
    if info.domid is not None:
        add(f"(domid {info.domid})")
    if domain.cpu_weight is not None:
        add(f"(cpu_weight {domain.cpu_weight})")
    if domain.cpu_cap is not None:
        add(f"(cpu_cap {domain.cpu_cap})")
    if domain.pool_name is not None:
        add(_pair("pool_name", domain.pool_name))
    if domain.bootloader is not None:
        add(_pair("bootloader", domain.bootloader))
    if info.max_vcpus is not None:
        add(f"(vcpus {info.max_vcpus})")
    if domain.cpus is not None:
        add(_cpus(domain.cpus))
    if domain.on_poweroff is not None:
        add(_pair("on_poweroff", domain.on_poweroff))
    if domain.description is not None:
        add(_pair("description", domain.description))
    if domain.on_crash is not None:
        add(_pair("on_crash", domain.on_crash))
    add(f"(uuid {info.uuid})")
    if domain.bootloader_args is not None:
        add(_pair("bootloader_args", domain.bootloader_args))
    add(_pair("name", domain_name(info)))
    if domain.on_reboot is not None:
        add(_pair("on_reboot", domain.on_reboot))
    if info.max_memory_kib is not None:
        add(f"(maxmem {_mib(info.max_memory_kib)})")
    if info.memory_kib is not None:
        add(f"(memory {_mib(info.memory_kib)})")
    if domain.shadow_memory is not None:
        add(f"(shadow_memory {domain.shadow_memory})")
    if domain.vcpu_avail is not None:
        add(f"(vcpu_avail {sxp.text(domain.vcpu_avail)})")
    if domain.features is not None:
        add(_pair("features", domain.features))
    if domain.on_xend_start is not None:
        add(_pair("on_xend_start", domain.on_xend_start))
    if domain.on_xend_stop is not None:
        add(_pair("on_xend_stop", domain.on_xend_stop))
    if domain.start_time is not None:
        add(f"(start_time {sxp.text(domain.start_time)})")
    if info.cpu_time_ns is not None:
        add(f"(cpu_time {sxp.text(info.cpu_time_ns / 1e9)})")
    if info.vcpus is not None:
        add(f"(online_vcpus {info.vcpus})")
    if domain.security_label is not None:
        add(_pair("security_label", domain.security_label))
    if domain.image is not None:
        add(_within("image", domain.image))
    add(f"(status {status(info)})")
    if info.domid is not None and info.flags is not None:
        add(f"(state {info.flags})")
    if domain.store_mfn is not None:
        add(f"(store_mfn {domain.store_mfn})")
    if domain.console_mfn is not None:
        add(f"(console_mfn {domain.console_mfn})")
    for device in domain.devices:
        add(_within("device", device))
    return f"(domain {' '.join(parts)})"


def disk(device: BlockDevice) -> XendDevice:
    """A disk as xend shows it: `(vbd (dev xvda:disk) (uname phy:/dev/vg/lv) (mode w) (backend 0))`.

    An empty drive has no `uname`. What xend kept beside that (uuid, bootable, protocol) nobody knows of a disk that
    it did not attach.
    """
    settings: list[tuple[str, sxp.Value]] = [("dev", f"{device.target}:{device.device}")]
    if device.source:
        phy = device.backend == "phy"
        block = phy and device.source.startswith("/dev/")  # the kernel's backend serves files as well
        settings.append(("uname", uname(device.source, None if phy else device.format, device=block)))
    settings += [("mode", "r" if device.read_only else "w"), ("backend", device.backend_domid)]
    return XendDevice("vbd", tuple(settings))


def uname(source: str, format_: str | None, *, device: bool) -> str:
    """How xend was told of a disk's source: a block device, or a file, in a format (None: raw)."""
    if format_ not in (None, "raw"):
        return f"tap:{format_}:{source}"
    return f"{'phy' if device else 'file'}:{source}"


def nic(interface: Interface) -> XendDevice:
    """An interface as xend shows it: `(vif (bridge xenbr0) (mac …) (script vif-bridge) (backend 0))`."""
    settings: list[tuple[str, sxp.Value]] = []
    if interface.source is not None:
        settings.append(("bridge", interface.source))
    if interface.mac is not None:
        settings.append(("mac", interface.mac))
    if interface.script is not None:
        settings.append(("script", interface.script))
    if interface.model is not None:
        settings.append(("model", interface.model))
    settings.append(("backend", interface.backend_domid))
    return XendDevice("vif", tuple(settings))


def _mib(kib: int) -> int:
    """Rounded up: a domain of 64 MiB less a page has 64."""
    return -(-kib // 1024)


@lru_cache(maxsize=4096)
def _pair(key: str, text: str) -> str:
    return f"({key} {sxp.text(text)})"


@lru_cache(maxsize=4096)
def _within(key: str, what: XendDevice | Image) -> str:
    return f"({key} {sxp.text([what.kind, *what.settings])})"


@lru_cache(maxsize=1024)
def _cpus(cpus: tuple[tuple[int, ...], ...]) -> str:
    return f"(cpus {sxp.text(cpus)})"
