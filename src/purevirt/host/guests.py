"""All guests of a simulated host: who is in which domain, following what the hypervisor does with it.

Who builds a domain in this process adds its guest. One that was built by hypercalls gets its guest when it first runs,
if its builder gave it its rings: that its kernel was loaded as well is all that is not simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from purevirt.errors import NoSuchDomain
from purevirt.host.bus import Bus, Seed
from purevirt.host.changes import Change
from purevirt.host.domains import SimDomain
from purevirt.host.guest import control
from purevirt.host.guest.behaviour import Behaviour
from purevirt.host.guest.kernel import Guest
from purevirt.host.hypervisor import Hypervisor

__all__ = ["Guests"]

LOAD = 0.1
"""How busy each vCPU is of a domain of which nobody said it."""


class Guests:
    """The guests in the domains of one hypervisor. Lives in the host's event loop."""

    def __init__(self, hypervisor: Hypervisor, bus: Bus) -> None:
        self._hypervisor = hypervisor
        self._bus = bus
        self._guests: dict[int, Guest] = {}
        self._steps = 0  # of those that are gone
        hypervisor.listeners.append(self._follow)
        hypervisor.on_trigger = self._triggered

    def __iter__(self) -> Iterator[Guest]:
        return iter(list(self._guests.values()))

    @property
    def steps(self) -> int:
        """How often any of them has done something."""
        return self._steps + sum([guest.steps for guest in self._guests.values()])

    def add(self, domid: int, seed: Seed, behaviour: Behaviour | None = None) -> Guest:
        """Put a kernel into a domain; it boots when the domain first runs. NoSuchDomain."""
        domain = self._hypervisor.domain(domid)
        guest = Guest(self._hypervisor, self._bus, domain, seed, behaviour or Behaviour())
        self._guests[domid] = guest
        guest.wake()
        return guest

    def find(self, domid: int) -> Guest:
        """The guest in a domain. NoSuchDomain: there is none."""
        guest = self._guests.get(domid)
        if guest is None:
            raise NoSuchDomain(f"there is no guest in domain {domid}", domain=str(domid))
        return guest

    def stop(self) -> None:
        """The host stops: all at once, without a word."""
        for guest in self._guests.values():
            guest.stop()
        self._guests.clear()

    def _triggered(self, domain: SimDomain, vcpu: int, trigger: int) -> None:
        guest = self._guests.get(domain.domid)
        if guest is not None:
            guest.when_running(partial(control.triggered, guest, vcpu, trigger))

    def _follow(self, domid: int, change: Change) -> None:
        guest = self._guests.get(domid)
        if guest is None:
            if change is Change.UNPAUSED:
                self._start(domid)
            return
        if change is Change.DESTROYED:
            del self._guests[domid]
            self._steps += guest.steps + 1
            guest.stop()
        elif change in (Change.UNPAUSED, Change.RESUMED):
            guest.wake()

    def _start(self, domid: int) -> None:
        """A domain in which there is nobody runs: start the kernel that was loaded into it, on its first vCPU."""
        domain = self._hypervisor.domain(domid)
        seed = self._bus.given(domain)
        if seed is None or not domain.runs or not domain.vcpus:
            return
        self._hypervisor.set_online(domid, 0, True)
        self._hypervisor.set_load(domid, LOAD)
        self.add(domid, seed)
