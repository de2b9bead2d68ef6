"""Finds the way to a host's hypervisor: the kernel's device, or, where a simulated host lives, a socket.

Both stand at ROOT/dev/xen/privcmd; what stands there decides.
"""

from __future__ import annotations

import os
import stat

from purevirt.channels.hypercall.transport import Transport

__all__ = ["dial"]


async def dial(root: str, mode: str, timeout: float | None) -> Transport:
    """A transport to the hypervisor of the host below `root` ("" on a real one).

    `mode` is "blocking" or "aio", and makes no difference for the device, where nothing waits. ConnectError
    keeps errno and path; Timeout, if a simulated host does not take the connection within `timeout` seconds.
    """
    path = f"{root}/dev/xen/privcmd"
    if not _is_socket(path):
        from purevirt.channels.hypercall.privcmd import PrivcmdTransport

        return PrivcmdTransport.open(root)
    if mode == "aio":
        from purevirt.channels.hypercall.aio import AsyncioTransport

        return await AsyncioTransport.connect(path, timeout)
    from purevirt.channels.hypercall.blocking import SocketTransport

    return SocketTransport.connect(path, timeout)


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False
