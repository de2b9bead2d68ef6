"""A whole host in this very thread: hypervisor and store behind the transports' interfaces, and the driver on top."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid5

from purevirt._run import run_blocking
from purevirt.channels.files import HostFiles
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.drivers.xen.driver import XenDriver
from purevirt.host.clock import HeldClock
from purevirt.host.hypervisor import Hypervisor
from purevirt.model import Access
from purevirt.wire.hypercall.values import Answer, Hypercall
from purevirt.wire.xenstore.domainnodes import domain_0_nodes, domain_nodes
from tests.support.memory_store import MemoryTransport, memory_store

NAMESPACE = UUID("6ba7b810-9dad-11d1-80b4-00c04fd430c8")


class MemoryHypercalls:
    """Carries hypercalls to a hypervisor in this thread, and counts them."""

    base = 0x1000
    capacity = 64 * 4096

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor
        self.arch = hypervisor.spec.arch
        self.calls = 0

    async def call(self, hypercall: Hypercall, timeout: float | None) -> Answer:
        self.calls += 1
        return self._hypervisor.hypercall(hypercall)

    def close(self) -> None:
        return None


class MemoryHost:
    """Domains can be added and taken away between any two steps of the driver."""

    def __init__(self, *names: str | bytes, root: str = "/nonexistent") -> None:
        self.hypervisor = Hypervisor(HeldClock(), memory_kib=64 << 20)
        self.hypercalls = MemoryHypercalls(self.hypervisor)
        client = run_blocking(HypercallClient.open(self.hypercalls))
        self.store, self.transport = memory_store({node.path: node.value for node in domain_0_nodes()})
        self.driver = XenDriver(Access.RW, client, self.store, HostFiles(root))
        for name in names:
            self.add(name)
        self.reset()

    def add(self, name: str | bytes, uuid: UUID | None = None) -> int:
        shown = name if isinstance(name, str) else "raw"
        identity = uuid or uuid5(NAMESPACE, shown)
        domain = self.hypervisor.create_domain(handle=identity, memory_kib=4096)
        nodes = domain_nodes(
            domain.domid, identity, shown, "pv", memory_kib=4096, max_memory_kib=4096, vcpus=1
        )
        values: list[tuple[str, str | bytes]] = [(node.path, node.value) for node in nodes]
        values.append((f"/local/domain/{domain.domid}/name", name))
        run_blocking(self.store.write_many(values))
        return domain.domid

    def remove(self, domid: int) -> None:
        self.hypervisor.destroy(domid)
        run_blocking(self.store.rm(f"/local/domain/{domid}"))

    def before_exchange(self, number: int, action: Callable[[], object]) -> None:
        """Do something just before the n-th exchange with the store from now on."""

        def act(count: int) -> None:
            if count == number:
                self.transport.before_exchange = None
                action()

        self.reset()
        self.transport.before_exchange = act

    def reset(self) -> None:
        self.transport.exchanges = self.transport.requests = 0
        self.hypercalls.calls = 0


__all__ = ["MemoryHost", "MemoryTransport"]
