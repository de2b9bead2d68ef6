"""The text console of a domain: where its terminal is, from the store; the bytes are `channels.console`'s."""

from __future__ import annotations

import re
import time

from purevirt._typing import TYPE_CHECKING
from purevirt.drivers.xen import storepaths as paths
from purevirt.drivers.xen.connected import Connected, shown
from purevirt.errors import NoSuchDevice, RemoteProtocolError, Timeout

if TYPE_CHECKING:
    from purevirt.channels.console import Transport
    from purevirt.model import DomainRef

__all__ = ["Consoles"]

_WAIT = 10.0
"""How long a console that is being made is waited for, in seconds."""


class Consoles(Connected):
    """Opening a console."""

    async def console(
        self, ref: DomainRef, device: str | None, force: bool, *, timeout: float | None = None
    ) -> Transport:
        self._route("console")
        from purevirt.channels import console

        domid = (await self._find(ref, "console")).domid
        terminal = await self._terminal(ref, domid, device, _WAIT if timeout is None else timeout)
        return console.dial(console.Terminal.open(terminal, domid, root=self.root, force=force), self._mode)

    async def _node(self, domid: int, device: str | None) -> str:
        """The node that names the terminal. The first console is the serial port where QEMU serves one, as it is for
        `xl console`: there an HVM guest's firmware and boot loader speak."""
        if device is not None:
            return _path(domid, device)
        serial = paths.serial_tty(domid, 0)
        return serial if await self.store.exists(serial) else paths.console_tty(domid)

    async def _terminal(self, ref: DomainRef, domid: int, device: str | None, timeout: float) -> str:
        """The terminal's path; waited for where the domain is new, and its daemon has not found it yet."""
        path = await self._node(domid, device)
        if domid == 0 or not await self.store.exists(path.rpartition("/")[0]):
            raise NoSuchDevice(
                f"domain {shown(ref)} has no console {device or 'console0'!r}",
                operation="console",
                domain=shown(ref),
                channel="store",
                path=path,
            )
        (known,) = await self.store.read_many([path])
        if known:
            return _pty(known, path)
        deadline = time.monotonic() + timeout
        watcher = await self.store.open_watcher()
        try:
            await watcher.add(path)
            while True:
                await watcher.next(max(0.0, deadline - time.monotonic()))
                (known,) = await self.store.read_many([path])
                if known:
                    return _pty(known, path)
                await self._find(ref, "console")  # it may have gone meanwhile
                if time.monotonic() >= deadline:
                    raise Timeout(
                        f"no console daemon made a terminal for domain {shown(ref)} within {timeout:g} s "
                        f"({path}); does xenconsoled run?",
                        operation="console",
                        domain=shown(ref),
                        channel="store",
                        path=path,
                    )
        finally:
            await watcher.close()


def _pty(value: bytes, node: str) -> str:
    """The terminal that a node names. Of a further console's node the guest is an owner, and root opens what it names:
    so nothing but a pseudo-terminal, which is all that xenconsoled and QEMU make. RemoteProtocolError."""
    if re.fullmatch(rb"/dev/pts/[0-9]{1,9}", value) is None:
        raise RemoteProtocolError(
            f"{node} names no pseudo-terminal: expected /dev/pts/N, got {value[:60]!r}",
            operation="console",
            channel="store",
            path=node,
        )
    return value.decode("ascii")


def _path(domid: int, device: str) -> str:
    found = re.fullmatch(r"(console|serial)([0-9]{1,4})", device)
    if found is None:
        raise NoSuchDevice(
            f"{device!r} is no console's name: expected console0, console1 … or serial0, serial1 …",
            operation="console",
        )
    number = int(found[2])
    if found[1] == "serial":
        return paths.serial_tty(domid, number)
    return paths.further_console_tty(domid, number) if number else paths.console_tty(domid)
