"""Pausing and unpausing, triggers, sysrq: what acts on a domain at once.

Xen counts how often a domain was paused. We pause one that is not, so that the count is 1, and unpause until it runs,
whoever paused it how often.
"""

from __future__ import annotations

from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.xenstore.client import StoreClient, Transaction
from purevirt.daemons.xend.toolstack.base import Host, living, not_domain_0, shown
from purevirt.errors import InvalidConfig, NoSuchDomain, WrongState
from purevirt.model import DomainInfo, Trigger
from purevirt.wire.hypercall.numbers import DomainFlag
from purevirt.wire.hypercall.subops import SendTrigger

__all__ = ["resume", "send_sysrq", "send_trigger", "suspend"]

_MOST_PAUSES = 256  # Xen's own limit for pauses by the toolstack


async def suspend(host: Host, domain: DomainInfo) -> None:
    """Take it off the CPUs. WrongState: it is paused already, or has no kernel that could run."""
    not_domain_0(domain, "suspend", "suspended: it is where this daemon runs")
    living(domain, "suspend")
    if "p" in (domain.flags or ""):
        raise WrongState(
            f"suspend: domain {shown(domain)} is paused already", operation="suspend", domain=shown(domain)
        )
    await host.hypercalls.pause_domain(_id(domain))


async def resume(host: Host, domain: DomainInfo) -> None:
    """Let it run. WrongState: it is not paused."""
    living(domain, "resume")
    if "p" not in (domain.flags or ""):
        raise WrongState(
            f"resume: domain {shown(domain)} is not paused", operation="resume", domain=shown(domain)
        )
    hypercalls, domid = host.hypercalls, _id(domain)
    await hypercalls.unpause_domain(domid)
    for _ in range(_MOST_PAUSES):
        if not await _paused(hypercalls, domain):
            return
        await hypercalls.unpause_domain(domid)


async def _paused(hypercalls: HypercallClient, domain: DomainInfo) -> bool:
    info = await hypercalls.domain_info(_id(domain))
    if info is None or info.handle != domain.handle:
        raise NoSuchDomain(f"domain {shown(domain)} is gone", operation="resume", domain=shown(domain))
    return bool(info.flags & DomainFlag.PAUSED)


async def send_trigger(host: Host, domain: DomainInfo, trigger: Trigger, vcpu: int) -> None:
    """An NMI, or a press of a button. Unsupported: this kind of guest has no such button."""
    living(domain, "send_trigger")
    if domain.max_vcpus is not None and not 0 <= vcpu < domain.max_vcpus:
        raise InvalidConfig(
            f"domain {shown(domain)} has no vCPU {vcpu}: 0 to {domain.max_vcpus - 1}",
            operation="send_trigger",
            domain=shown(domain),
        )
    await host.hypercalls.send_trigger(_id(domain), SendTrigger[trigger.name], vcpu)


async def send_sysrq(host: Host, domain: DomainInfo, key: str) -> None:
    """Press a magic key in the guest: control/sysrq. WrongState: the guest says that it has none."""
    if len(key) != 1 or not key.isascii() or not key.isprintable() or key == " ":
        raise InvalidConfig(
            f"a sysrq key is one printable ASCII character, not {key!r}",
            operation="send_sysrq",
            domain=shown(domain),
        )
    living(domain, "send_sysrq", paused_too=False)
    store: StoreClient = host.store
    control = f"/local/domain/{_id(domain)}/control"

    async def body(tx: Transaction) -> None:
        feature, home = await tx.read_many([f"{control}/feature-sysrq", control])
        if feature == b"0" or home is None:
            raise WrongState(
                f"the guest in domain {shown(domain)} takes no sysrq: {control}/feature-sysrq is 0"
                if home is not None
                else f"domain {shown(domain)} has no {control}: nobody would look there for a sysrq",
                operation="send_sysrq",
                domain=shown(domain),
                path=f"{control}/feature-sysrq",
            )
        await tx.write(f"{control}/sysrq", key)

    await store.transaction(body)


def _id(domain: DomainInfo) -> int:
    assert domain.domid is not None
    return domain.domid
