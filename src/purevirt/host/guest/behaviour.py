"""How a simulated guest behaves where guests differ: what a test tells it to do, or not to do."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Behaviour"]


@dataclass
class Behaviour:
    """One guest's. May be changed at any time.

    `pv_drivers`: False is an HVM guest that knows nothing of Xen: it uses no ring at all.
    `refuses`: it announces that it takes no orders to shut down, and takes none.
    `answer`: what it writes into control/shutdown instead of acknowledging an order; None: it acknowledges.
    `ignores`: it says that it takes orders, and does nothing when one comes.
    `shutdown_seconds`: how long it takes from the acknowledgement to the end.
    `holds`: it uses all its disks and interfaces, and lets go of none when it is asked to.
    `balloons`: whether it follows its memory target.
    """

    pv_drivers: bool = True
    refuses: bool = False
    answer: str | None = None
    ignores: bool = False
    shutdown_seconds: float = 0.1
    holds: bool = False
    balloons: bool = True
