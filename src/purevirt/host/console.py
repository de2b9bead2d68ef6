"""Xen's own console on a simulated host: its ring of messages, and the keys that make it print more.

Messages stay in a ring of 16 KiB. Two counters say where in all output ever written the oldest kept and the next byte
are; both are of 32 bits and wrap. A reader that says where it stopped goes on there.

Source: read_console_ring in xen/drivers/char/console.c, handle_keypress in xen/common/keyhandler.c.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from purevirt.host.boot import HostSpec
from purevirt.host.memory import CallerMemory
from purevirt.wire.hypercall import structs
from purevirt.wire.hypercall.numbers import PAGE_SIZE, SCHEDULERS

if TYPE_CHECKING:
    from purevirt.host.hypervisor import Hypervisor

__all__ = ["Console", "debug_keys", "readconsole"]

RING = 1 << 14
_WRAP = (1 << 32) - 1
_SCHEDULERS = {
    "credit": "SMP Credit Scheduler (credit)",
    "credit2": "SMP Credit Scheduler rev2 (credit2)",
    "arinc653": "ARINC 653 Scheduler (arinc653)",
    "rtds": "SMP RTDS Scheduler (rtds)",
    "null": "null Scheduler (null)",
}


class Console:
    """The ring."""

    __slots__ = ("_oldest", "_text")

    def __init__(self) -> None:
        self._text = b""
        self._oldest = 0

    @classmethod
    def booted(cls, spec: HostSpec) -> Self:
        """With what a Xen says at boot."""
        console = cls()
        major, minor = spec.xen
        built = spec.compiled
        console.say(
            f"Xen version {major}.{minor}{spec.extraversion} ({built.compile_by}@{built.compile_domain}) "
            f"({built.compiler}) {built.compile_date}"
        )
        console.say(f"Latest ChangeSet: {spec.changeset}")
        console.say(f"Command line: {spec.commandline}")
        console.say(f"System RAM: {spec.memory_kib >> 10}MB ({spec.memory_kib}kB)")
        console.say(f"Brought up {spec.cpus} CPUs")
        name = SCHEDULERS.get(spec.scheduler, str(spec.scheduler))
        console.say(f"Using scheduler: {_SCHEDULERS.get(name, name)}")
        return console

    def say(self, line: str) -> None:
        """Xen prints a line."""
        self.write(f"(XEN) {line}\n".encode())

    def write(self, data: bytes) -> None:
        """Bytes as they are."""
        text = self._text + data
        self._oldest = self._oldest + max(0, len(text) - RING) & _WRAP
        self._text = text[-RING:]

    def read(self, room: int, index: int | None, *, clear: bool) -> tuple[bytes, int]:
        """At most `room` bytes, from `index` or the oldest on, and the index behind them. `clear`: those are gone."""
        start = 0
        if index is not None:
            behind = index - self._oldest & _WRAP
            start = behind if behind <= len(self._text) else 0
        data = self._text[start : start + room]
        end = self._oldest + start + len(data) & _WRAP
        if clear:
            self._text, self._oldest = self._text[start + len(data) :], end
        return data, end


def readconsole(hv: Hypervisor, memory: CallerMemory, union: bytes) -> bytes:
    shape = structs.READCONSOLE.at(hv.interface)
    asked = shape.unpack(union)
    index = asked["index"] if asked["incremental"] else None
    kept, _ = hv.console.read(asked["count"], index, clear=False)
    if kept:
        memory.write(asked["buffer"], kept)
    data, end = hv.console.read(asked["count"], index, clear=bool(asked["clear"]))
    return shape.pack(**asked | {"count": len(data), "index": end})


def debug_keys(hv: Hypervisor, memory: CallerMemory, union: bytes) -> bytes:
    asked = structs.DEBUG_KEYS.at(hv.interface).unpack(union)
    for offset in range(asked["nr_keys"]):
        key = memory.read(asked["keys"] + offset, 1).decode("latin-1")
        if key in _KEYS:
            description, show = _KEYS[key]
            hv.console.say(f"'{key}' pressed -> {description}")
            show(hv)
    return union


def _show_keys(hv: Hypervisor) -> None:
    for key, (description, _) in sorted(_KEYS.items()):
        hv.console.say(f" key '{key}' (ascii '{ord(key):02x}') => {description}")


def _show_domains(hv: Hypervisor) -> None:
    for domain in hv:
        hv.console.say(f"General information for domain {domain.id}:")
        hv.console.say(
            f"    refcnt=3 dying={int(domain.dying)} pause_count={domain.paused} nr_pages={domain.tot_pages} "
            f"max_pages={domain.max_pages} handle={domain.handle.hex()}"
        )


def _show_queues(hv: Hypervisor) -> None:
    for domain in hv:
        hv.console.say(f"\tDomain: {domain.id} w {domain.weight} c {domain.cap} v {len(domain.vcpus)}")


def _show_memory(hv: Hypervisor) -> None:
    hv.console.say(f"Physical memory information: {hv.free_pages * PAGE_SIZE >> 10}kB free")


_KEYS: dict[str, tuple[str, Callable[[Hypervisor], None]]] = {
    "h": ("show this message", _show_keys),
    "m": ("memory info", _show_memory),
    "q": ("dump domain (and guest debug) info", _show_domains),
    "r": ("dump run queues", _show_queues),
}
