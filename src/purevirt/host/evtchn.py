"""Event channels of a simulated host: ports, per domain, and who is told when one rings.

A port is free, waits for a remote domain to bind it (unbound), is bound to a remote port, or to an interrupt that Xen
raises (VIRQ). Whoever binds a port says what is to be called when an event arrives; what a domain does with an event
while it is paused is the domain's affair (see `guest.kernel`), as a pending bit is.

Source: xen/common/event_channel.c, whose errnos these are.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import NamedTuple

from purevirt.host.memory import XenError
from purevirt.wire.bus.numbers import ChannelStatus, Virq

__all__ = ["EventChannels", "PortStatus"]

MAX_PORTS = 4096  # of the two-level interface, 64 bits: 64 × 64; port 0 is none

Handler = Callable[[int], None]


class PortStatus(NamedTuple):
    """EVTCHNOP_status: what a port is; the remote end, or the VIRQ, where it has one."""

    status: ChannelStatus
    remote: int = 0
    remote_port: int = 0
    virq: int = 0


class _Port:
    __slots__ = ("handler", "remote", "remote_port", "status", "virq")

    def __init__(self, status: ChannelStatus, handler: Handler | None) -> None:
        self.status = status
        self.handler = handler
        self.remote = 0
        self.remote_port = 0
        self.virq = 0


class EventChannels:
    """The ports of all domains. `exists`: whether there is a domain of that id. Errors are XenErrors."""

    def __init__(self, exists: Callable[[int], bool]) -> None:
        self._exists = exists
        self._ports: dict[int, dict[int, _Port]] = {}
        self._next: dict[int, int] = {}
        self.sent = 0
        """How many events were sent, heard or not."""

    def alloc_unbound(self, domid: int, remote: int, handler: Handler | None = None) -> int:
        """A new port of `domid` that `remote` may bind. ESRCH, ENOSPC."""
        if not self._exists(domid) or not self._exists(remote):
            raise XenError(errno.ESRCH)
        port = _Port(ChannelStatus.UNBOUND, handler)
        port.remote = remote
        return self._add(domid, port)

    def bind_interdomain(
        self, domid: int, remote: int, remote_port: int, handler: Handler | None = None
    ) -> int:
        """A new port of `domid`, bound to an unbound one of `remote`'s that is meant for it. ESRCH, EINVAL, ENOSPC.

        It rings once at once, as on Xen: the other side may have sent something before it was bound.
        """
        if not self._exists(remote):
            raise XenError(errno.ESRCH)
        there = self._ports.get(remote, {}).get(remote_port)
        if there is None or there.status is not ChannelStatus.UNBOUND or there.remote != domid:
            raise XenError(errno.EINVAL)
        here = _Port(ChannelStatus.INTERDOMAIN, handler)
        here.remote, here.remote_port = remote, remote_port
        number = self._add(domid, here)
        there.status = ChannelStatus.INTERDOMAIN
        there.remote, there.remote_port = domid, number
        self._ring(here, number)
        return number

    def bind_virq(self, domid: int, virq: int, handler: Handler) -> int:
        """A port on which Xen's own interrupt is heard. EINVAL: there is no such; EEXIST: somebody has it."""
        if virq not in list(Virq):
            raise XenError(errno.EINVAL)
        if any(port.virq == virq for ports in self._ports.values() for port in ports.values()):
            raise XenError(errno.EEXIST)
        port = _Port(ChannelStatus.VIRQ, handler)
        port.virq = virq
        return self._add(domid, port)

    def listen(self, domid: int, port: int, handler: Handler) -> None:
        """Say, or say anew, what is called when the port rings. EINVAL."""
        self._get(domid, port).handler = handler

    def close(self, domid: int, port: int) -> None:
        """Free a port; the one bound to it waits again for the same domain. EINVAL: it is free."""
        here = self._get(domid, port)
        del self._ports[domid][port]
        if here.status is ChannelStatus.INTERDOMAIN:
            there = self._ports.get(here.remote, {}).get(here.remote_port)
            if there is not None:
                there.status = ChannelStatus.UNBOUND
                there.remote, there.remote_port = domid, 0

    def send(self, domid: int, port: int) -> None:
        """Ring the port at the other end; on an unbound one nobody hears it. EINVAL: it is free, or Xen's."""
        here = self._get(domid, port)
        self.sent += 1
        if here.status is ChannelStatus.INTERDOMAIN:
            there = self._ports[here.remote].get(here.remote_port)
            if there is not None:
                self._ring(there, here.remote_port)
        elif here.status is not ChannelStatus.UNBOUND:
            raise XenError(errno.EINVAL)

    def raise_virq(self, virq: Virq) -> None:
        """Xen's own interrupt: whoever has bound it hears it."""
        for ports in list(self._ports.values()):
            for number, port in list(ports.items()):
                if port.status is ChannelStatus.VIRQ and port.virq == virq:
                    self.sent += 1
                    self._ring(port, number)

    def status(self, domid: int, port: int) -> PortStatus:
        """What a port is. ESRCH: no such domain; EINVAL: no such port."""
        if not self._exists(domid):
            raise XenError(errno.ESRCH)
        if not 0 < port < MAX_PORTS:
            raise XenError(errno.EINVAL)
        found = self._ports.get(domid, {}).get(port)
        if found is None:
            return PortStatus(ChannelStatus.CLOSED)
        return PortStatus(found.status, found.remote, found.remote_port, found.virq)

    def forget(self, domid: int) -> None:
        """The domain is gone: all its ports are closed."""
        for port in list(self._ports.get(domid, ())):
            self.close(domid, port)
        self._ports.pop(domid, None)
        self._next.pop(domid, None)

    def _ring(self, port: _Port, number: int) -> None:
        if port.handler is not None:
            port.handler(number)

    def _get(self, domid: int, port: int) -> _Port:
        found = self._ports.get(domid, {}).get(port)
        if found is None:
            raise XenError(errno.EINVAL)
        return found

    def _add(self, domid: int, port: _Port) -> int:
        ports = self._ports.setdefault(domid, {})
        if len(ports) >= MAX_PORTS - 1:
            raise XenError(errno.ENOSPC)
        number = self._next.get(domid, 1)
        while number in ports:
            number = number % (MAX_PORTS - 1) + 1
        self._next[domid] = number % (MAX_PORTS - 1) + 1
        ports[number] = port
        return number
