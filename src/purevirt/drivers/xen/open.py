"""Open the channels of a Xen host, or say precisely which is missing and what would help.

`open_driver(root, access, mode, timeout)`: `root` is prefixed to every path ("" on a real host), `mode` is
"blocking" or "aio" and chooses the transports; nothing else here depends on it.

Read-only, /dev/xen/privcmd is not so much as looked at, and the store is looked for where anybody may read it: the
classic read-only socket, then the one that purevirt's Xen daemon brings. Since Xen 4.15 has neither, root's own
socket is the last place; there the library alone keeps the promise not to write.

Whether the Xen daemon answers is looked at last, and its absence is no error: what needs it says so when it is
called. A connection with hypercalls only asks whether it listens, since it will need it for changes alone. A
read-only one will ask it nearly everything, so it asks at once who it is: a daemon that would give this user no role,
or does not answer in time, is as good as none. Where no store may be read, but the daemon answers, it serves the
connection alone.
"""

from __future__ import annotations

import errno
import os
from types import ModuleType

from purevirt._typing import TYPE_CHECKING
from purevirt.channels import unix, xend
from purevirt.channels.files import HostFiles
from purevirt.channels.hypercall.reads import HypercallReads
from purevirt.channels.xenstore.client import MANY, StoreClient
from purevirt.channels.xenstore.locate import locate
from purevirt.drivers.xen.driver import XenDriver
from purevirt.errors import ConnectError, XenError
from purevirt.model import Access

if TYPE_CHECKING:
    from purevirt.drivers.xen.daemon import Daemon

__all__ = ["is_dom0", "open_driver"]

READ_TIMEOUT = 10.0
"""The default deadline of a read, in seconds."""


def is_dom0(root: str) -> bool:
    """Whether the kernel says that this is the control domain."""
    return HostFiles(root).is_control_domain() is True


async def open_driver(
    root: str,
    access: Access,
    mode: str,
    timeout: float,
    *,
    daemon: bool = True,
    hypervisor: type[HypercallReads] = HypercallReads,
) -> XenDriver:
    """Open what `access` (RW or RO) needs; the driver's own `access` says whether the daemon answered as well.

    ConnectError names the missing part; `timeout` (seconds) is for each of them. Without `daemon` none is looked for:
    the daemon itself opens its host so, with a client of the `hypervisor` that can change it.
    """
    files = HostFiles(root)
    _check_host(files, root, access)
    if access.read_only:
        return await _open_read_only(root, files, mode, timeout, daemon)
    hypercalls = await _open_hypercalls(root, mode, timeout, hypervisor)
    try:
        store = await _open_store(root, False, mode, timeout)
        await _prepare(hypercalls, store, timeout)
    except BaseException:
        await hypercalls.close()
        raise
    absence = _daemon_absence(root) if daemon else "it was not looked for"
    if absence is not None:
        return XenDriver(Access.RW, hypercalls, store, files, None, absence, mode=mode)
    return XenDriver(
        Access.RW_DAEMON, hypercalls, store, files, make_daemon=lambda: _daemon(root, mode), mode=mode
    )


async def _open_read_only(root: str, files: HostFiles, mode: str, timeout: float, wanted: bool) -> XenDriver:
    daemon, absence = None, "it was not looked for"
    if wanted:
        daemon, absence = await _open_daemon(root, mode, timeout)
    store: StoreClient | None = None
    try:
        store = await _open_store(root, True, mode, timeout)
    except ConnectError as error:
        if daemon is None:
            raise
        absence = str(error)
    except BaseException:
        if daemon is not None:
            await daemon.close()
        raise
    return XenDriver(
        Access.RO if daemon is None else Access.RO_DAEMON, None, store, files, daemon, absence, mode=mode
    )


def _daemon_absence(root: str) -> str | None:
    absence = unix.absence(root + xend.SOCKET, what="the Xen daemon", channel="daemon")
    return None if absence is None else str(absence)


def _daemon(root: str, mode: str) -> Daemon:
    from purevirt.drivers.xen.daemon import Daemon

    return Daemon(root, mode)


async def _open_daemon(root: str, mode: str, timeout: float) -> tuple[Daemon | None, str]:
    """The daemon, if it answers and lets this user look; else why not."""
    absence = _daemon_absence(root)
    if absence is not None:
        return None, absence
    daemon = _daemon(root, mode)
    try:
        caller = await daemon.call("whoami", timeout=timeout, grace=0.0)
    except XenError as error:
        await daemon.close()
        return None, str(error)
    except BaseException:
        await daemon.close()
        raise
    if caller.role:
        return daemon, ""
    await daemon.close()
    return None, f"the Xen daemon lets user {caller.uid} see nothing: members of its group (xen) may look"


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
    if not access.read_only:
        raise ConnectError(
            f"not Domain 0 {where}: /proc/xen/capabilities lacks control_d, so this is a guest; "
            "run purevirt in the control domain",
            operation="open",
            channel="files",
            path=f"{root}/proc/xen/capabilities",
        )


async def _open_hypercalls(
    root: str, mode: str, timeout: float, hypervisor: type[HypercallReads]
) -> HypercallReads:
    from purevirt.channels.hypercall.dial import dial as dial_hypervisor

    try:
        transport = await dial_hypervisor(root, mode, timeout)
    except ConnectError as error:
        raise _explain_privcmd(error) from error
    try:
        return await hypervisor.open(transport)
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


async def _open_store(root: str, read_only: bool, mode: str, timeout: float) -> StoreClient:
    path = locate(root=root or None, read_only=read_only)
    try:
        return await StoreClient.open(
            _stores(mode).Connector(path), read_only=read_only, timeout=READ_TIMEOUT, open_timeout=timeout
        )
    except ConnectError as error:
        raise _explain_store(error, path, read_only) from error


async def _prepare(hypercalls: HypercallReads, store: StoreClient, timeout: float) -> None:
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
            "run as root, or start the Xen daemon, which lets others look"
        )
    else:
        message = str(error)
    return ConnectError(message, operation="open", channel="store", path=path, errno=error.errno)
