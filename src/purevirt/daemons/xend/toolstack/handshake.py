"""Asking a guest to shut down: the dialogue on control/shutdown.

    toolstack                                   guest
    reads control/feature-MODE: "0" is a no
    writes MODE to control/shutdown       →     its watch fires
                                          ←     writes "" (it will), then does so; or
                                          ←     writes something else (a refusal); or never looks

We watch the node, and @releaseDomain for a guest that is faster than its own answer. A guest that is paused would never
look, so it is not asked. An HVM guest that shows no sign of PV drivers would not either: the hypervisor then shuts it
down from outside, which is all that can be done for it. So it does for "crash", which no kernel answers.

A request that is not answered in time stands: a guest may take it up later, and asking for the same again waits for
that. Only "suspend" is taken back, since a guest that suspends itself when nobody saves it is lost.

Source: docs/misc/xenstore-paths.pandoc, ~/control/shutdown and ~/control/feature-*.
"""

from __future__ import annotations

import time
from functools import partial

from purevirt.channels.xenstore.client import Transaction
from purevirt.channels.xenstore.watches import Watcher
from purevirt.daemons.xend.toolstack.base import Answer, Host, living, not_domain_0, shown
from purevirt.errors import Timeout, WrongState, XenError
from purevirt.model import DomainInfo, DomainType, ShutdownMode
from purevirt.wire.hypercall.numbers import (
    DomainFlag,
)
from purevirt.wire.hypercall.subops import (
    HvmParam,
    ShutdownCode,
)

__all__ = ["has_pv_drivers", "shutdown"]

_CODES = {
    ShutdownMode.POWEROFF: ShutdownCode.POWEROFF,
    ShutdownMode.HALT: ShutdownCode.POWEROFF,
    ShutdownMode.REBOOT: ShutdownCode.REBOOT,
    ShutdownMode.SUSPEND: ShutdownCode.SUSPEND,
    ShutdownMode.CRASH: ShutdownCode.CRASH,
}
_FRONTENDS = ("vbd", "vif")
_CONNECTED = b"4"  # XenbusStateConnected


async def shutdown(host: Host, domain: DomainInfo, mode: ShutdownMode, timeout: float) -> Answer | None:
    """Ask. What it returns is to be called, and ends when the guest has agreed or has shut down: WrongState, Timeout.

    None: there is nobody to wait for. Asking is a change, and waiting is none, so a guest that does not answer can be
    destroyed meanwhile.
    """
    not_domain_0(domain, "shutdown", "shut down from here: shut the host down")
    assert domain.domid is not None
    living(domain, "shutdown", paused_too=mode is ShutdownMode.CRASH)
    if mode is ShutdownMode.CRASH or (
        domain.type is DomainType.HVM and not await has_pv_drivers(host, domain.domid)
    ):
        await host.hypercalls.shutdown_domain(domain.domid, int(_CODES[mode]))
        return None
    dialogue = _Dialogue(host, domain, mode, timeout)
    watcher = await dialogue.ask()
    return partial(dialogue.hear, watcher)


async def has_pv_drivers(host: Host, domid: int) -> bool:
    """Whether the guest has told Xen where to send events (as libxl asks), or has spoken through the store: a feature,
    or a frontend that is connected."""
    if await host.hypercalls.hvm_param(domid, HvmParam.CALLBACK_IRQ):
        return True
    store = host.store
    home = f"/local/domain/{domid}"
    features = [f"{home}/control/feature-{mode.value}" for mode in _CODES]
    if b"1" in await store.read_many(features):
        return True
    listings = await store.directory_many([f"{home}/device/{kind}" for kind in _FRONTENDS])
    states = [
        f"{home}/device/{kind}/{entry}/state"
        for kind, entries in zip(_FRONTENDS, listings, strict=True)
        for entry in entries or ()
    ]
    return _CONNECTED in await store.read_many(states)


class _Dialogue:
    """One request and its answer."""

    def __init__(self, host: Host, domain: DomainInfo, mode: ShutdownMode, timeout: float) -> None:
        assert domain.domid is not None
        self._host = host
        self._domain = domain
        self._domid = domain.domid
        self._mode = mode
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._node = f"/local/domain/{domain.domid}/control/shutdown"
        self._feature = f"/local/domain/{domain.domid}/control/feature-{mode.value}"

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

    async def ask(self) -> Watcher:
        """Put the request there. The watches that will tell of its answer."""
        store = self._host.store
        watcher = await store.open_watcher(queue=64, timeout=self._timeout)
        try:
            await watcher.add_many([self._node, "@releaseDomain"])
            await store.transaction(self._ask, timeout=self._left())
        except Timeout as error:
            await watcher.close()
            raise self._late() from error
        except BaseException:
            await watcher.close()
            raise
        return watcher

    async def hear(self, watcher: Watcher) -> None:
        """Wait for the answer, and close the watches."""
        try:
            await self._await(watcher)
        except Timeout as error:
            if self._mode is ShutdownMode.SUSPEND:
                await self._withdraw()
            raise self._late() from error
        finally:
            await watcher.close()

    async def _ask(self, tx: Transaction) -> None:
        feature, pending = await tx.read_many([self._feature, self._node])
        if feature == b"0":
            raise self._refused(f"{self._feature} is 0")
        if pending != self._mode.value.encode():
            await tx.write(self._node, self._mode.value)

    async def _await(self, watcher: Watcher) -> None:
        while not await self._answered():
            if await watcher.next(self._left()) is None:
                if await self._answered():  # the last word is the node's, not a timer's
                    return
                raise self._late()

    async def _answered(self) -> bool:
        (value,) = await self._host.store.read_many([self._node])
        if value == b"":
            return True
        info = await self._host.hypercalls.domain_info(self._domid)
        if (
            info is None
            or info.handle != self._domain.handle
            or info.flags & (DomainFlag.SHUTDOWN | DomainFlag.DYING)
        ):
            return True
        if value is not None and value != self._mode.value.encode():
            said = value[:40].decode("utf-8", "backslashreplace")
            if said in list(ShutdownMode):
                raise WrongState(
                    f"domain {shown(self._domain)} was asked for {said} before it had answered {self._mode.value}",
                    operation="shutdown",
                    domain=shown(self._domain),
                )
            raise self._refused(f"it answered {said!r} in {self._node}")
        return False

    async def _withdraw(self) -> None:
        async def body(tx: Transaction) -> None:
            (value,) = await tx.read_many([self._node])
            if value == self._mode.value.encode():
                await tx.write(self._node, "")

        try:
            await self._host.store.transaction(body, timeout=2.0)
        except XenError:
            return  # what is told is that the guest did not answer

    def _refused(self, why: str) -> WrongState:
        return WrongState(
            f"the guest in domain {shown(self._domain)} refuses {self._mode.value}: {why}",
            operation="shutdown",
            domain=shown(self._domain),
            channel="store",
            path=self._node,
        )

    def _late(self) -> Timeout:
        return Timeout(
            f"the guest in domain {shown(self._domain)} did not answer {self._mode.value} in {self._node} "
            f"within {self._timeout:.3g} s",
            operation="shutdown",
            domain=shown(self._domain),
            channel="store",
            path=self._node,
        )
