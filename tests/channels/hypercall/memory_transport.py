"""A transport straight into a simulated hypervisor, and one that answers what a test says."""

from __future__ import annotations

from collections.abc import Callable

from purevirt.channels.hypercall.transport import CAPACITY, SOCKET_BASE
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.hypercall.values import Answer, Hypercall


class MemoryTransport:
    """Counts its calls. `before` is called with each, and may change the host, or answer in its place."""

    def __init__(self, hypervisor: Hypervisor) -> None:
        self.hypervisor = hypervisor
        self.base, self.capacity = SOCKET_BASE, CAPACITY
        self.arch = hypervisor.spec.arch
        self.calls: list[Hypercall] = []
        self.timeouts: list[float | None] = []
        self.before: Callable[[Hypercall], Answer | None] | None = None
        self.closed = False

    async def call(self, hypercall: Hypercall, timeout: float | None) -> Answer:
        self.calls.append(hypercall)
        self.timeouts.append(timeout)
        if self.before is not None:
            answer = self.before(hypercall)
            if answer is not None:
                return answer
        return self.hypervisor.hypercall(hypercall)

    def close(self) -> None:
        self.closed = True
