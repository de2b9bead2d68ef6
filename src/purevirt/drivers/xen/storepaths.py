"""Every path of the Xen Store that the driver knows, named once.

Source: docs/misc/xenstore-paths.pandoc of Xen 4.22, and what `xl` of 4.17 and 4.20 writes.
"""

from __future__ import annotations

__all__ = [
    "DOMAINS",
    "all_devices",
    "console_tty",
    "cpu_availability",
    "cpus",
    "devices",
    "further_console_tty",
    "guest_devices",
    "libxl_type",
    "memory_static_max",
    "memory_target",
    "name",
    "pool_name",
    "serial_tty",
    "video_memory",
    "vm",
    "vnc_port",
]

DOMAINS = "/local/domain"


def name(domid: int) -> str:
    return f"/local/domain/{domid}/name"


def pool_name(pool: int) -> str:
    """A CPU pool's name, as libxl recorded it."""
    return f"/local/pool/{pool}/name"


def vm(domid: int) -> str:
    """Holds "/vm/UUID"."""
    return f"/local/domain/{domid}/vm"


def cpus(domid: int) -> str:
    """A directory per vCPU."""
    return f"/local/domain/{domid}/cpu"


def cpu_availability(domid: int, vcpu: int) -> str:
    """ "online" or "offline": what the guest was asked for."""
    return f"/local/domain/{domid}/cpu/{vcpu}/availability"


def memory_target(domid: int) -> str:
    """KiB the guest was asked to balloon to."""
    return f"/local/domain/{domid}/memory/target"


def memory_static_max(domid: int) -> str:
    """KiB the domain was built to hold at most."""
    return f"/local/domain/{domid}/memory/static-max"


def video_memory(domid: int) -> str:
    """KiB of an HVM domain's memory that are its graphics card's, beside the target."""
    return f"/local/domain/{domid}/memory/videoram"


def console_tty(domid: int) -> str:
    """The terminal that xenconsoled, or QEMU, serves its first console at."""
    return f"/local/domain/{domid}/console/tty"


def further_console_tty(domid: int, number: int) -> str:
    """The same of its second console (1), its third …"""
    return f"/local/domain/{domid}/device/console/{number}/tty"


def serial_tty(domid: int, number: int) -> str:
    """The terminal that QEMU serves a serial port at."""
    return f"/local/domain/{domid}/serial/{number}/tty"


def vnc_port(domid: int) -> str:
    """Where QEMU serves its screen."""
    return f"/local/domain/{domid}/console/vnc-port"


def libxl_type(domid: int) -> str:
    """ "pv", "pvh" or "hvm", as libxl recorded it; only Domain 0 can write here."""
    return f"/libxl/{domid}/type"


def devices(domid: int, kind: str) -> str:
    """A directory per device of one kind (vbd, vif …): the toolstack's record, which no guest can write."""
    return f"/libxl/{domid}/device/{kind}"


def all_devices(domid: int) -> str:
    """A directory per kind of device that the domain has, each with a directory per device."""
    return f"/local/domain/{domid}/device"


def guest_devices(domid: int, kind: str) -> str:
    """The frontends' directories: what xend and other toolstacks leave where libxl's record lacks. The guest can
    write below it, so what it says of the backend is believed only if it names the path of this very device."""
    return f"/local/domain/{domid}/device/{kind}"
