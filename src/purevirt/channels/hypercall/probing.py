"""How this Xen wants to be spoken to: which versions of the sysctl and domctl interfaces it answers.

XENVER_version tells the release; then getdomaininfolist is asked with the sysctl version that the release should have,
and with every other one from the newest to the oldest while Xen answers EACCES, and likewise the domctl version with
getdomaininfo. The release alone would do on a stock Xen; the answer counts because distributions patch.
"""

from __future__ import annotations

import errno

from purevirt import errors
from purevirt.channels.hypercall.transport import CHANNEL, Deadline, Transport, check, checked
from purevirt.wire.hypercall import calls
from purevirt.wire.hypercall.numbers import Xenver
from purevirt.wire.hypercall.values import Layout
from purevirt.wire.hypercall.versions import RELEASES, Interface, interface_of, interfaces_to_probe

__all__ = ["find_interface"]


async def find_interface(transport: Transport, timeout: float | None) -> Interface:
    """Ask. Denied: this domain is not privileged. Unsupported: no known version is answered."""
    deadline = Deadline(timeout)
    number = calls.version_number(Xenver.VERSION)
    value = (await checked(transport, number, "open", deadline.left())).value
    release = (value >> 16, value & 0xFFFF)
    sysctl = await _probe(transport, "sysctl", release, deadline)
    domctl = await _probe(transport, "domctl", release, deadline)
    interface = interface_of(sysctl, domctl, release, transport.arch)
    if interface is None:
        raise errors.Unsupported(
            f"Xen {release[0]}.{release[1]} speaks sysctl {sysctl:#x} with domctl {domctl:#x}, "
            "a pair that this version of purevirt does not know",
            operation="open",
            channel=CHANNEL,
        )
    return interface


async def _probe(transport: Transport, which: str, release: tuple[int, int], deadline: Deadline) -> int:
    """The interface version that Xen does not refuse."""
    tried: list[int] = []
    for candidate in interfaces_to_probe(release):
        version = candidate.sysctl if which == "sysctl" else candidate.domctl
        if version in tried:
            continue
        tried.append(version)
        space = Layout(transport.base, transport.capacity)
        if which == "sysctl":
            # Room for no domain: nothing is written by a Xen whose structs we do not know yet.
            call = calls.domain_infos(space, candidate, 0, 0)
        else:
            call = calls.domain_info(space, candidate, 0)
        answer = await transport.call(call, deadline.left())
        if answer.value == -errno.EACCES:
            continue
        if which == "domctl" and answer.value == -errno.ESRCH:
            return version  # the version is right, and Domain 0 is gone: a host of another design
        check(answer, "open")
        return version
    known = ", ".join(f"{major}.{minor}" for major, minor in (row.release for row in RELEASES))
    raise errors.Unsupported(
        f"Xen {release[0]}.{release[1]} refuses every {which} version that this version of purevirt knows "
        f"(those of Xen {known}), or its security policy refuses the call",
        operation="open",
        channel=CHANNEL,
        errno=errno.EACCES,
    )
