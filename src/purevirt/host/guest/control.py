"""What a guest does when its store's control nodes tell it to shut down, or press a key.

Source: Linux' drivers/xen/manage.c; docs/misc/xenstore-paths.pandoc for the nodes. A guest acknowledges an order by
writing "" over it, in a transaction, and obeys afterwards.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from purevirt.channels.xenstore.client import Transaction
from purevirt.errors import NoSuchNode
from purevirt.wire.hypercall.subops import (
    SendTrigger,
    ShutdownCode,
)

if TYPE_CHECKING:
    from purevirt.host.guest.kernel import Guest

__all__ = ["announce", "shutdown", "sysrq", "triggered"]

FEATURES = ("poweroff", "reboot", "suspend", "sysrq")

_ORDERS = {
    "poweroff": ShutdownCode.POWEROFF,
    "halt": ShutdownCode.POWEROFF,
    "reboot": ShutdownCode.REBOOT,
    "suspend": ShutdownCode.SUSPEND,
}
_KEYS = {"c": ShutdownCode.CRASH, "o": ShutdownCode.POWEROFF, "b": ShutdownCode.REBOOT}


_ATTEMPTS = 5


async def announce(guest: Guest) -> None:
    """Say which orders it takes."""
    taken = "0" if guest.behaviour.refuses else "1"
    nodes = [(f"{guest.home}/control/feature-{name}", taken) for name in FEATURES]
    await guest.store.write_many(nodes)


async def shutdown(guest: Guest, path: str) -> None:
    """control/shutdown changed: an order, or our own acknowledgement."""
    behaviour = guest.behaviour
    if behaviour.ignores or behaviour.refuses:
        return
    node = f"{guest.home}/control/shutdown"
    answer = behaviour.answer

    async def take(tx: Transaction) -> str:
        order = (await tx.read(node)).decode("ascii", "replace")
        if order:
            await tx.write(node, answer or "")
        return order

    order = (await guest.store.read(node)).decode("ascii", "replace")
    if not order or order == answer:
        return
    for _ in range(_ATTEMPTS):
        try:
            order = await guest.store.transaction(take)
            break
        except NoSuchNode:
            continue  # xenstored was restarted meanwhile: what was begun with the one before is lost
    else:
        return
    code = _ORDERS.get(order)
    if code is None or answer is not None:
        guest.console.print(f"simulated kernel: ignoring the order to {order!r}")
        return
    guest.console.print(f"simulated kernel: {order}")
    guest.after(behaviour.shutdown_seconds, partial(guest.halt, code))


def triggered(guest: Guest, vcpu: int, trigger: int) -> None:
    """An NMI, which a kernel mentions, or the press of a button, which it obeys as a machine would."""
    if trigger == SendTrigger.NMI:
        guest.console.print(f"simulated kernel: NMI on vCPU {vcpu}")
    elif trigger == SendTrigger.POWER:
        if guest.behaviour.refuses or guest.behaviour.ignores:
            return
        guest.console.print("simulated kernel: power button")
        guest.after(guest.behaviour.shutdown_seconds, partial(guest.halt, ShutdownCode.POWEROFF))


async def sysrq(guest: Guest, path: str) -> None:
    """control/sysrq changed: a key, or our own clearing of it."""
    node = f"{guest.home}/control/sysrq"
    key = (await guest.store.read(node)).decode("ascii", "replace")[:1]
    if not key or key == "\0":
        return
    await guest.store.write(node, "")
    guest.console.print(f"sysrq: {key}")
    code = _KEYS.get(key)
    if code is not None:
        guest.halt(code)
