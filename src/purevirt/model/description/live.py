"""What a running domain has beyond its description: what it was given when it started, and is lost when it ends."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from purevirt.model.description.domain import DomainDescription

__all__ = ["ActiveDescription", "LiveDescription"]


class LiveDescription(NamedTuple):
    """A running domain's id, the terminal behind its console, the TCP port of its screen (VNC), what the backends' ends
    of its interfaces are called, in the order of the description's, and how many vCPUs are online.

    `domid` is None if it does not run. None else: there is none, or this connection does not know.
    """

    domid: int | None
    console_tty: str | None = None
    vnc_port: int | None = None
    interface_names: tuple[str, ...] = ()
    vcpus_online: int | None = None


class ActiveDescription(NamedTuple):
    """A running domain: what would make another like it, and what is this one's alone."""

    description: DomainDescription
    live: LiveDescription
