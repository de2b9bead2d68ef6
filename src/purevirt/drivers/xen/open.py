"""Open the channels of a Xen host, or say precisely which is missing and what would help.

`open_driver(root, access, mode, timeout)`: `root` is prefixed to every path ("" on a real host), `mode` is
"blocking" or "aio" and chooses the transports; nothing else here depends on it.

Read-only, /dev/xen/privcmd is not so much as looked at, and the store is looked for where anybody may read it: the
classic read-only socket, then the one that purevirt's Xen daemon brings. Since Xen 4.15 has neither, root's own
socket is the last place; there the library alone keeps the promise not to write.
"""

from __future__ import annotations

import errno
import os
from types import ModuleType

from purevirt.channels.files import HostFiles
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.xenstore.client import MANY, StoreClient
from purevirt.channels.xenstore.locate import locate
from purevirt.drivers.xen.driver import XenDriver
from purevirt.errors import ConnectError, XenError
from purevirt.model import Access

__all__ = ["is_dom0", "open_driver"]

READ_TIMEOUT = 10.0
"""The default deadline of a read, in seconds."""


def is_dom0(root: str) -> bool:
    """Whether the kernel says that this is the control domain."""
    return HostFiles(root).is_control_domain() is True


async def open_driver(root: str, access: Access, mode: str, timeout: float) -> XenDriver:
    """Open what `access` needs. ConnectError names the missing part; `timeout` (seconds) is for each of them."""
    files = HostFiles(root)
    _check_host(files, root, access)
    hypercalls = await _open_hypercalls(root, mode, timeout) if access is Access.RW else None
    try:
        store = await _open_store(root, access, mode, timeout)
        if hypercalls is not None:
            await _prepare(hypercalls, store, timeout)
    except BaseException:
        if hypercalls is not None:
            await hypercalls.close()
        raise
    return XenDriver(access, hypercalls, store, files)


def _check_host(files: HostFiles, root: str, access: Access) -> None:
    """No Xen, or a guest: said before anything is opened. (xenfs not mounted is no proof of either.)"""
    where = f"below {root}" if root else "on this machine"
    control = files.is_control_domain()
    if control or (control is None and files.hypervisor_type() == "xen"):
        return
    if control is None:
        raise ConnectError(
            f"no Xen {where}: neither /proc/xen/capabilities nor /sys/hypervisor says so; "
            "test:///default is a simulated host",
            operation="open",
            channel="files",
        )
    if access is Access.RW:
        raise ConnectError(
            f"not Domain 0 {where}: /proc/xen/capabilities lacks control_d, so this is a guest; "
            "run purevirt in the control domain",
            operation="open",
            channel="files",
            path=f"{root}/proc/xen/capabilities",
        )


async def _open_hypercalls(root: str, mode: str, timeout: float) -> HypercallClient:
    from purevirt.channels.hypercall import dial

    try:
        transport = await dial.dial(root, mode, timeout)
    except ConnectError as error:
        raise _explain_privcmd(error) from error
    try:
        return await HypercallClient.open(transport)
    except XenError as error:
        transport.close()
        raise ConnectError(
            f"the hypervisor answers no hypercalls of ours: {error}",
            operation="open",
            channel="hypervisor",
            errno=error.errno,
        ) from error


def _explain_privcmd(error: ConnectError) -> ConnectError:
    if error.errno in (errno.EACCES, errno.EPERM):
        message = (
            f"hypercalls need root: {error.path} may not be opened; open_read_only() (purevirt -r) makes none"
        )
    elif error.errno in (errno.ENOENT, errno.ENXIO, errno.ENODEV):
        message = f"no {error.path}: the kernel module xen-privcmd is not loaded (modprobe xen-privcmd)"
    else:
        message = str(error)
    return ConnectError(message, operation="open", channel="hypervisor", path=error.path, errno=error.errno)


def _stores(mode: str) -> ModuleType:
    if mode == "aio":
        from purevirt.channels.xenstore import aio

        return aio
    from purevirt.channels.xenstore import blocking

    return blocking


async def _open_store(root: str, access: Access, mode: str, timeout: float) -> StoreClient:
    read_only = access is Access.RO
    path = locate(root=root or None, read_only=read_only)
    try:
        return await StoreClient.open(
            _stores(mode).Connector(path), read_only=read_only, timeout=READ_TIMEOUT, open_timeout=timeout
        )
    except ConnectError as error:
        raise _explain_store(error, path, read_only) from error


async def _prepare(hypercalls: HypercallClient, store: StoreClient, timeout: float) -> None:
    """Where there are many domains: nearly every program reads all their names next, to list or to find one."""
    try:
        if len(await hypercalls.domain_infos(timeout=timeout)) >= MANY:
            await store.widen()
    except BaseException:
        await store.close()
        raise


def _explain_store(error: ConnectError, path: str, read_only: bool) -> ConnectError:
    if error.errno == errno.ENOENT:
        message = f"no Xen Store: there is no {path}; is xenstored running?"
    elif (
        error.errno in (errno.EACCES, errno.EPERM)
        and read_only
        and not os.path.basename(path).endswith("_ro")
    ):
        message = (
            f"no read-only Xen Store socket (Xen has had none since 4.15), and {path} is for root: "
            "run as root"
        )
    else:
        message = str(error)
    return ConnectError(message, operation="open", channel="store", path=path, errno=error.errno)
