"""Event channels: who may bind what, and who hears it."""

from __future__ import annotations

import errno

import pytest

from purevirt.host.evtchn import MAX_PORTS, EventChannels, PortStatus
from purevirt.host.memory import XenError
from purevirt.wire.bus import ChannelStatus, Virq


@pytest.fixture
def channels() -> EventChannels:
    return EventChannels(lambda domid: domid in (0, 1, 2))


def refused(number: int) -> pytest.RaisesExc[XenError]:
    return pytest.raises(XenError, match=errno.errorcode[number])


def test_a_port_that_is_offered_can_be_bound_by_whom_it_is_for(channels: EventChannels) -> None:
    port = channels.alloc_unbound(1, 0)
    assert channels.status(1, port) == PortStatus(ChannelStatus.UNBOUND, 0)
    with refused(errno.EINVAL):
        channels.bind_interdomain(2, 1, port)
    ours = channels.bind_interdomain(0, 1, port)
    assert channels.status(1, port) == PortStatus(ChannelStatus.INTERDOMAIN, 0, ours)
    assert channels.status(0, ours) == PortStatus(ChannelStatus.INTERDOMAIN, 1, port)
    with refused(errno.EINVAL):
        channels.bind_interdomain(0, 1, port)  # it is bound


def test_an_event_is_heard_at_the_other_end_and_only_there(channels: EventChannels) -> None:
    heard: list[tuple[str, int]] = []
    port = channels.alloc_unbound(1, 0, lambda port: heard.append(("guest", port)))
    channels.send(1, port)  # nobody is there: not an error
    assert heard == []
    ours = channels.bind_interdomain(0, 1, port, lambda port: heard.append(("dom0", port)))
    assert heard == [("dom0", ours)]  # it rings once when it is bound
    channels.send(1, port)
    channels.send(0, ours)
    assert heard == [("dom0", ours), ("dom0", ours), ("guest", port)]


def test_a_closed_port_leaves_the_other_end_waiting_for_the_same_domain(channels: EventChannels) -> None:
    port = channels.alloc_unbound(1, 0)
    ours = channels.bind_interdomain(0, 1, port)
    channels.close(0, ours)
    assert channels.status(1, port) == PortStatus(ChannelStatus.UNBOUND, 0)
    assert channels.status(0, ours) == PortStatus(ChannelStatus.CLOSED)
    with refused(errno.EINVAL):
        channels.send(0, ours)
    assert channels.bind_interdomain(0, 1, port) > 0


def test_what_a_domain_had_ends_with_it(channels: EventChannels) -> None:
    port = channels.alloc_unbound(1, 0)
    ours = channels.bind_interdomain(0, 1, port)
    channels.forget(1)
    assert channels.status(0, ours).status is ChannelStatus.UNBOUND
    assert channels.status(1, port).status is ChannelStatus.CLOSED
    channels.send(0, ours)  # to nobody


def test_a_virq_has_one_listener(channels: EventChannels) -> None:
    heard: list[int] = []
    port = channels.bind_virq(0, Virq.DOM_EXC, heard.append)
    with refused(errno.EEXIST):
        channels.bind_virq(0, Virq.DOM_EXC, heard.append)
    with refused(errno.EINVAL):
        channels.bind_virq(0, 99, heard.append)
    channels.raise_virq(Virq.DOM_EXC)
    assert heard == [port]
    with refused(errno.EINVAL):
        channels.send(0, port)
    assert channels.status(0, port) == PortStatus(ChannelStatus.VIRQ, virq=Virq.DOM_EXC)
    channels.close(0, port)
    channels.raise_virq(Virq.DOM_EXC)
    assert heard == [port]


def test_domains_that_do_not_exist_and_ports_that_cannot_be(channels: EventChannels) -> None:
    with refused(errno.ESRCH):
        channels.alloc_unbound(1, 9)
    with refused(errno.ESRCH):
        channels.bind_interdomain(0, 9, 1)
    with refused(errno.ESRCH):
        channels.status(9, 1)
    for port in (0, MAX_PORTS, 77):
        with refused(errno.EINVAL):
            channels.close(0, port)
    with refused(errno.EINVAL):
        channels.status(0, 0)


def test_a_domain_has_only_so_many_ports(channels: EventChannels) -> None:
    ports = [channels.alloc_unbound(1, 0) for _ in range(MAX_PORTS - 1)]
    assert sorted(ports) == list(range(1, MAX_PORTS))
    with refused(errno.ENOSPC):
        channels.alloc_unbound(1, 0)
    channels.close(1, 7)
    assert channels.alloc_unbound(1, 0) == 7
