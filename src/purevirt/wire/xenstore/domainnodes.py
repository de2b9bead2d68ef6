"""The Xen Store nodes of a domain, as `xl` leaves them: the form in which a simulated domain appears. Pure.

Source: `xenstore-ls -fp` beside `xl create` on Xen 4.17.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from purevirt.wire.xenstore.disknames import disk_number

__all__ = ["Disk", "Interface", "Node", "domain_0_nodes", "domain_nodes"]

INITIALISING = "1"  # XenbusStateInitialising


class Disk(NamedTuple):
    """A disk to give a simulated domain: what the guest calls it, and the file or device behind it ("": an empty
    drive). `device` is "disk" or "cdrom"."""

    target: str
    source: str
    read_only: bool = False
    device: str = "disk"


class Interface(NamedTuple):
    """A network interface to give a simulated domain."""

    mac: str
    bridge: str = "xenbr0"


class Node(NamedTuple):
    """One node to write, with its permissions in the form of `xenstore-chmod`; none: inherited."""

    path: str
    value: str
    permissions: tuple[str, ...] = ()


def domain_0_nodes() -> Iterator[Node]:
    """What `xen-init-dom0` writes."""
    yield Node("/local/domain/0", "", ("r0",))
    yield Node("/local/domain/0/name", "Domain-0")
    yield Node("/local/domain/0/domid", "0")
    yield Node("/tool/xenstored", "")


def domain_nodes(
    domid: int,
    uuid: UUID,
    name: str,
    kind: str,
    *,
    memory_kib: int,
    max_memory_kib: int,
    vcpus: int,
    online_vcpus: int | None = None,
    disks: tuple[Disk, ...] = (),
    interfaces: tuple[Interface, ...] = (),
    store: tuple[int, int] = (1, 1),
    console: tuple[int, int] = (2, 2),
) -> Iterator[Node]:
    """Everything of one domain as its builder leaves it, before its kernel runs; parents first.

    `vcpus`: those it may have; `online_vcpus`: those it is to bring up (None: all). `store`, `console`: guest frame
    number and port of each of its two rings.
    """
    home = f"/local/domain/{domid}"
    readable = ("n0", f"r{domid}")
    own = (f"n{domid}",)
    yield Node(home, "", readable)
    yield Node(f"{home}/vm", f"/vm/{uuid}")
    yield Node(f"{home}/name", name)
    yield Node(f"{home}/domid", str(domid))
    online = vcpus if online_vcpus is None else online_vcpus
    for number in range(vcpus):
        yield Node(f"{home}/cpu/{number}/availability", "online" if number < online else "offline")
    yield Node(f"{home}/memory/static-max", str(max_memory_kib))
    yield Node(f"{home}/memory/target", str(memory_kib))
    yield Node(f"{home}/memory/videoram", "0")
    yield Node(f"{home}/device", "")
    yield Node(f"{home}/control/shutdown", "", own)
    for feature in ("poweroff", "reboot", "suspend", "sysrq"):
        yield Node(f"{home}/control/feature-{feature}", "", own)  # until the guest says what it takes
    yield Node(f"{home}/control/sysrq", "", own)
    yield Node(f"{home}/data", "", own)
    yield Node(f"{home}/error", "", own)
    yield Node(f"{home}/console/type", "xenconsoled")
    yield Node(f"{home}/console/output", "pty")
    yield Node(f"{home}/console/limit", "1048576")
    yield Node(f"{home}/console/backend-id", "0")
    for ring, (gfn, port) in (("console", console), ("store", store)):
        yield Node(f"{home}/{ring}/port", str(port))
        yield Node(f"{home}/{ring}/ring-ref", str(gfn))
    yield Node(f"/vm/{uuid}", "", readable)
    yield Node(f"/vm/{uuid}/uuid", str(uuid))
    yield Node(f"/vm/{uuid}/name", name)
    yield Node(f"/libxl/{domid}", "", ("n0",))
    yield Node(f"/libxl/{domid}/type", kind)
    for disk in disks:
        number = disk_number(disk.target)
        yield from _device(
            domid,
            "vbd",
            number,
            {"virtual-device": str(number), "device-type": disk.device},
            {
                "params": disk.source,
                "removable": "0" if disk.device == "disk" else "1",
                "bootable": "1",
                "dev": disk.target,
                "type": "phy",
                "mode": "r" if disk.read_only else "w",
                "device-type": disk.device,
                "discard-enable": "1",
                "hotplug-status": "connected",
            },
        )
    for number, nic in enumerate(interfaces):
        yield from _device(
            domid,
            "vif",
            number,
            {"handle": str(number), "mac": nic.mac},
            {
                "script": "/etc/xen/scripts/vif-bridge",
                "mac": nic.mac,
                "bridge": nic.bridge,
                "handle": str(number),
                "type": "vif",
                "hotplug-status": "connected",
            },
        )


def _device(
    domid: int, kind: str, number: int, front: dict[str, str], back: dict[str, str]
) -> Iterator[Node]:
    frontend = f"/local/domain/{domid}/device/{kind}/{number}"
    backend = f"/local/domain/0/backend/{kind}/{domid}/{number}"
    record = f"/libxl/{domid}/device/{kind}/{number}"
    yield Node(frontend, "", (f"n{domid}", "r0"))
    for key, value in {"backend": backend, "backend-id": "0", "state": INITIALISING, **front}.items():
        yield Node(f"{frontend}/{key}", value)
    yield Node(backend, "", ("n0", f"r{domid}"))
    for key, value in {
        "frontend": frontend,
        "frontend-id": str(domid),
        "online": "1",
        "state": INITIALISING,
        **back,
    }.items():
        yield Node(f"{backend}/{key}", value)
    yield Node(record, "", ("n0",))
    yield Node(f"{record}/frontend", frontend)
    yield Node(f"{record}/backend", backend)
