"""CPU time and how it is shared; and the words for what can be done to a running domain."""

from __future__ import annotations

import enum

from purevirt._typing import NamedTuple

__all__ = ["CpuPool", "SchedulerParameters", "ShutdownMode", "Trigger", "VcpuCount"]


class SchedulerParameters(NamedTuple):
    """A domain's share of the CPUs, under the credit and credit2 schedulers.

    `weight` is relative to the other domains' (256 by default, 1 to 65535). `cap` is the most it may use, in percent
    of one CPU (250 is two and a half); 0: no limit; None: this scheduler has none.
    """

    scheduler: str
    weight: int
    cap: int | None


class CpuPool(NamedTuple):
    """A group of physical CPUs with a scheduler of its own: its number, name (None: the store has none), how many
    domains run in it, and its CPUs, ascending."""

    id: int
    name: str | None
    scheduler: str
    domains: int
    cpus: tuple[int, ...]


class VcpuCount(NamedTuple):
    """How many vCPUs the guest was asked to run on, and how many are online now: it answers in its own time."""

    asked: int
    online: int


class Trigger(enum.StrEnum):
    """What a domain can be hit with from outside: Xen's XEN_DOMCTL_SENDTRIGGER_*."""

    NMI = "nmi"
    RESET = "reset"
    INIT = "init"
    POWER = "power"
    SLEEP = "sleep"


class ShutdownMode(enum.StrEnum):
    """What a guest is asked for through control/shutdown; CRASH asks its kernel to crash itself."""

    POWEROFF = "poweroff"
    REBOOT = "reboot"
    HALT = "halt"
    SUSPEND = "suspend"
    CRASH = "crash"
