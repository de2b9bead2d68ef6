"""What a guest does with memory and vCPUs: its balloon follows the target, and vCPUs come and go as the store says.

Source: Linux' drivers/xen/balloon.c, xen-balloon.c and cpu_hotplug.c. vCPU 0 always stays.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from purevirt.host.guest.kernel import Guest

__all__ = ["balloon", "hotplug"]

FLOOR_KIB = 4096
"""Below this a kernel cannot shrink."""


async def balloon(guest: Guest, path: str) -> None:
    """memory/target changed: give pages back, or take as many as domain and host have left."""
    raw = await guest.store.read(f"{guest.home}/memory/target")
    if not guest.behaviour.balloons or not raw.isdigit():
        return
    hypervisor, domain = guest.hypervisor, guest.domain
    have = domain.tot_pages * 4
    wanted = max(int(raw), min(have, FLOOR_KIB))
    most = max(have, min(domain.max_pages * 4, have + hypervisor.free_pages * 4))
    target = min(wanted, most) // 4 * 4
    if target != have:
        limit = domain.max_pages * 4
        hypervisor.set_memory(guest.domid, target, max(limit, target))
        hypervisor.set_max_memory(guest.domid, limit)  # it may be less than the domain has: that is allowed
        guest.console.print(f"simulated kernel: memory {have} -> {target} KiB")


async def hotplug(guest: Guest, path: str) -> None:
    """cpu/N/availability changed, of one vCPU or at first of all."""
    domain = guest.domain
    numbers = range(1, len(domain.vcpus))
    nodes = [f"{guest.home}/cpu/{number}/availability" for number in numbers]
    for number, value in zip(numbers, await guest.store.read_many(nodes), strict=True):
        online = value == b"online"
        if value in (b"online", b"offline") and online != domain.vcpus[number].online:
            guest.hypervisor.set_online(guest.domid, number, online)
            guest.console.print(f"simulated kernel: vCPU {number} {'on' if online else 'off'}line")
