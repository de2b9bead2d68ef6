"""The hypervisor's client: a method for each hypercall, over whichever transport.

The methods that only look, and opening, are in `reads`, which is all that the library's driver uses: it leaves changes
to the Xen daemon. Those here change something. Each of them raises

- Unsupported, and sends nothing, unless the structs of this Xen were verified (`Interface.trusted`);
- InvalidConfig, and sends nothing, for a value that is out of range;
- NoSuchDomain; WrongState, where Xen refuses because of the domain's state;
- Denied, Unsupported, NoMemory, HypercallError for other errnos, and what the transport raises.

A change that raised anything but Timeout, Closed or RemoteProtocolError has changed nothing.
"""

from __future__ import annotations

import errno
from collections.abc import Iterable, Mapping, Sequence

from purevirt import errors
from purevirt.channels.hypercall.reads import READ_TIMEOUT, HypercallReads
from purevirt.channels.hypercall.transport import CHANNEL, Deadline, check, check_domid
from purevirt.wire.hypercall import building, changes
from purevirt.wire.hypercall.building import NewDomain
from purevirt.wire.hypercall.subops import (
    SendTrigger,
    ShutdownCode,
)
from purevirt.wire.hypercall.values import Answer, Hypercall

__all__ = ["HypercallClient"]

CHANGE_TIMEOUT = 30.0

MAX_VCPU = 0x7FFF
MAX_CPUS = changes.MAX_CPUS
MAX_CAP = 0xFFFE  # of 16 bits; credit takes all ones for "leave it as it is"
MAX_KIB = (1 << 64) - 1

MAX_EXTENTS = 1 << 14  # in one call: what its memory has room for, with something to spare

_MOST_KEYS = 64
_OWN = "the domain that asks cannot do that to itself"
_NONE: Mapping[int, str] = {}


class HypercallClient(HypercallReads):
    """A hypervisor whose interface versions are known. Made by `open`."""

    __slots__ = ()

    # --- a domain's life

    async def pause_domain(self, domid: int, *, timeout: float | None = CHANGE_TIMEOUT) -> None:
        """Take it off the CPUs. Pauses are counted, up to 255: as many `unpause_domain` let it run again.

        WrongState: the domain that asks, or one pause too many.
        """
        self._may_change("pause_domain", domid)
        reasons = {errno.EINVAL: _OWN, errno.EOVERFLOW: "it has been paused too often"}
        await self._change(
            changes.pause_domain(self._space(), self.interface, domid),
            "pause_domain",
            domid,
            timeout,
            reasons,
        )

    async def unpause_domain(self, domid: int, *, timeout: float | None = CHANGE_TIMEOUT) -> None:
        """Take one pause back. WrongState: it is not paused."""
        self._may_change("unpause_domain", domid)
        await self._change(
            changes.unpause_domain(self._space(), self.interface, domid),
            "unpause_domain",
            domid,
            timeout,
            {errno.EINVAL: "it is not paused"},
        )

    async def destroy_domain(self, domid: int, *, timeout: float | None = CHANGE_TIMEOUT) -> None:
        """End it. Where others still use its memory, it remains, dying, until they let go of it.

        Xen asks to be called again (EAGAIN) while it frees a large domain's memory: that is done here, and
        Timeout raised if it takes longer than `timeout`; the domain is dying then, and `destroy_domain` may be
        called again. WrongState: the domain that asks.
        """
        self._may_change("destroy_domain", domid)
        deadline = Deadline(timeout)
        while True:
            call = changes.destroy_domain(self._space(), self.interface, domid)
            answer = await self._transport.call(call, deadline.left())
            if answer.value != -errno.EAGAIN:
                break
            if deadline.left() == 0:
                raise errors.Timeout(
                    f"destroy_domain: domain {domid} is dying, and its memory is not freed yet",
                    operation="destroy_domain",
                    domain=str(domid),
                    channel=CHANNEL,
                )
        _accept(answer, "destroy_domain", domid, {errno.EINVAL: _OWN})

    async def shutdown_domain(self, domid: int, code: int, *, timeout: float | None = CHANGE_TIMEOUT) -> None:
        """Stop it, as if its kernel had said so: `code` is a `ShutdownCode`. Its kernel is not asked.

        It stays until it is destroyed. One that has stopped already keeps its code. WrongState: Domain 0, which
        would stop the machine.
        """
        self._may_change("shutdown_domain", domid)
        if code not in list(ShutdownCode):
            known = ", ".join(f"{each.value} ({each.name.lower()})" for each in ShutdownCode)
            raise _invalid(f"{code} is no shutdown code: {known}", "shutdown_domain", domid)
        if domid == 0:
            raise _refused("shutdown_domain", domid, "that would stop the machine", errno.EINVAL)
        call = changes.remote_shutdown(self._space(), self.interface, domid, code)
        await self._change(call, "shutdown_domain", domid, timeout)

    async def resume_domain(self, domid: int, *, timeout: float | None = CHANGE_TIMEOUT) -> None:
        """Take a shutdown back, as after a suspend that came to nothing: the guest goes on where it stopped.

        No error where it has not stopped. WrongState: the domain that asks.
        """
        self._may_change("resume_domain", domid)
        call = changes.resume_domain(self._space(), self.interface, domid)
        await self._change(call, "resume_domain", domid, timeout, {errno.EINVAL: _OWN})

    async def set_domain_handle(
        self, domid: int, handle: bytes, *, timeout: float | None = CHANGE_TIMEOUT
    ) -> None:
        """Give it another handle: 16 bytes, those of its UUID. Xen does not mind if another domain has the same."""
        self._may_change("set_domain_handle", domid)
        if len(handle) != 16:
            raise _invalid(f"a handle has 16 bytes, not {len(handle)}", "set_domain_handle", domid)
        call = changes.set_domain_handle(self._space(), self.interface, domid, handle)
        await self._change(call, "set_domain_handle", domid, timeout)

    async def send_trigger(
        self, domid: int, trigger: int, vcpu: int = 0, *, timeout: float | None = CHANGE_TIMEOUT
    ) -> None:
        """Send a vCPU an NMI, or the domain a press of a button: `trigger` is a `SendTrigger`.

        What the guest makes of it is the guest's affair. InvalidConfig: no such vCPU. Unsupported: RESET and INIT on
        every Xen, all but NMI for a PV domain, all on arm64.
        """
        self._may_change("send_trigger", domid)
        if trigger not in list(SendTrigger):
            known = ", ".join(f"{each.value} ({each.name.lower()})" for each in SendTrigger)
            raise _invalid(f"{trigger} is no trigger: {known}", "send_trigger", domid)
        _check_vcpu(vcpu, "send_trigger", domid)
        deadline = Deadline(timeout)
        call = changes.send_trigger(self._space(), self.interface, domid, trigger, vcpu)
        answer = await self._transport.call(call, deadline.left())
        if answer.value == -errno.ESRCH and await self.domain_info(domid, timeout=deadline.left()):
            raise _no_vcpu("send_trigger", domid, vcpu)
        if answer.value == -errno.EINVAL:
            raise errors.Unsupported(
                f"send_trigger: domain {domid} is a PV domain, which has no such button (EINVAL)",
                operation="send_trigger",
                domain=str(domid),
                channel=CHANNEL,
                errno=errno.EINVAL,
            )
        check(answer, "send_trigger", domid)

    # --- what a domain may use

    async def set_max_memory(self, domid: int, kib: int, *, timeout: float | None = CHANGE_TIMEOUT) -> None:
        """How much memory it may have, in KiB (pages: a rest of less than 4 is dropped).

        Xen also accepts less than the domain has: it keeps what it has, and gets no more.
        """
        self._may_change("set_max_memory", domid)
        if not 4 <= kib <= MAX_KIB:
            raise _invalid(f"{kib} KiB is no size: 4 to {MAX_KIB}", "set_max_memory", domid)
        call = changes.max_mem(self._space(), self.interface, domid, kib)
        await self._change(call, "set_max_memory", domid, timeout)

    async def set_vcpu_affinity(
        self,
        domid: int,
        vcpu: int,
        *,
        hard: Iterable[int] | None = None,
        soft: Iterable[int] | None = None,
        timeout: float | None = CHANGE_TIMEOUT,
    ) -> None:
        """The physical CPUs a vCPU may (`hard`), and should (`soft`), run on. None leaves as it is.

        CPUs that the host has not are ignored by Xen. InvalidConfig: no such vCPU, or no CPU of its pool is left
        in `hard`.
        """
        operation = "set_vcpu_affinity"
        self._may_change(operation, domid)
        _check_vcpu(vcpu, operation, domid)
        masks = [None if cpus is None else sorted(cpus) for cpus in (hard, soft)]
        if masks == [None, None]:
            raise _invalid("neither hard nor soft affinity is given", operation, domid)
        for mask in masks:
            if mask is not None and not mask:
                raise _invalid("no CPU is left to run on", operation, domid)
            if mask and not 0 <= mask[0] <= mask[-1] < MAX_CPUS:
                raise _invalid(f"CPUs are 0 to {MAX_CPUS - 1}", operation, domid)
        deadline = Deadline(timeout)
        call = changes.set_vcpu_affinity(self._space(), self.interface, domid, vcpu, *masks)
        answer = await self._transport.call(call, deadline.left())
        if await self._has_no_vcpu(answer, domid, deadline):
            info = await self.domain_info(domid, timeout=deadline.left())
            if info is not None and info.max_vcpu_id is not None and vcpu <= info.max_vcpu_id:
                raise _invalid("none of these CPUs is in the domain's CPU pool", operation, domid)
            raise _no_vcpu(operation, domid, vcpu)
        _accept(answer, operation, domid, {errno.EBUSY: "Xen has moved that vCPU elsewhere for a while"})

    async def set_sched_parameters(
        self, domid: int, *, weight: int, cap: int, timeout: float | None = CHANGE_TIMEOUT
    ) -> None:
        """Weight, 1 to 65535 (256 is usual); cap in hundredths of a CPU, up to 100 for each vCPU, 0 for none.

        Of credit and credit2; Unsupported: its CPU pool has another scheduler.
        """
        operation = "set_sched_parameters"
        self._may_change(operation, domid)
        if not 1 <= weight <= 0xFFFF:
            raise _invalid(f"a weight is 1 to 65535, not {weight}", operation, domid)
        deadline = Deadline(timeout)
        sched_id, info = await self._weighing(domid, operation, deadline)
        # Checked here: credit takes any cap, and credit2 refuses it only after it has set the weight.
        most = min(100 * (0 if info.max_vcpu_id is None else info.max_vcpu_id + 1), MAX_CAP)
        if not 0 <= cap <= most:
            raise _invalid(f"a cap is 0 (none) to {most} for this domain, not {cap}", operation, domid)
        call = changes.put_sched_parameters(self._space(), self.interface, domid, sched_id, weight, cap)
        await self._change(call, operation, domid, deadline.left())

    # --- building one

    async def create_domain(self, new: NewDomain, *, timeout: float | None = CHANGE_TIMEOUT) -> int:
        """Make a domain, paused, without memory and vCPUs; its id, which Xen chooses.

        NoMemory: none is left for it, or no id. InvalidConfig: what Xen refuses to put together.
        """
        self._may_change("create_domain")
        if len(new.handle) != 16:
            raise errors.InvalidConfig(
                f"create_domain: a handle has 16 bytes, not {len(new.handle)}",
                operation="create_domain",
                channel=CHANNEL,
            )
        call = building.create_domain(self._space(), self.interface, new)
        answer = await self._transport.call(call, timeout)
        if answer.value == -errno.EINVAL:
            raise errors.InvalidConfig(
                "create_domain: Xen cannot make such a domain (EINVAL)",
                operation="create_domain",
                channel=CHANNEL,
                errno=errno.EINVAL,
            )
        return building.create_domain_answer(check(answer, "create_domain"), self.interface)

    async def make_vcpus(self, domid: int, count: int, *, timeout: float | None = CHANGE_TIMEOUT) -> None:
        """Give a new domain its vCPUs, offline; as many as `create_domain` was told, else InvalidConfig."""
        self._may_change("make_vcpus", domid)
        answer = await self._transport.call(
            building.max_vcpus(self._space(), self.interface, domid, count), timeout
        )
        if answer.value == -errno.EINVAL:
            raise _invalid(
                f"domain {domid} was made for another number of vCPUs than {count}", "make_vcpus", domid
            )
        check(answer, "make_vcpus", domid)

    async def populate(
        self, domid: int, frames: Sequence[int], order: int = 0, *, timeout: float | None = CHANGE_TIMEOUT
    ) -> None:
        """Give it memory: 2 ** order pages at each of these guest frames.

        NoMemory: the host, or the domain's maximum, has not as much; it keeps what it got.
        """
        self._may_change("populate", domid)
        deadline = Deadline(timeout)
        for first in range(0, len(frames), MAX_EXTENTS):
            some = frames[first : first + MAX_EXTENTS]
            call = building.populate_physmap(self._space(), self.interface, domid, some, order)
            answer = check(await self._transport.call(call, deadline.left()), "populate", domid)
            if answer.value == len(some):
                continue
            # Xen's answer is the same whatever is wrong.
            if await self.domain_info(domid, timeout=deadline.left()) is None:
                check(Answer(-errno.ESRCH), "populate", domid)
            raise errors.NoMemory(
                f"populate: domain {domid} got {first + answer.value} of {len(frames)} pieces of "
                f"{4 << order} KiB: more the host has not, or the domain may not have",
                operation="populate",
                domain=str(domid),
                channel=CHANNEL,
            )

    async def allocate_port(
        self, domid: int, remote: int = 0, *, timeout: float | None = CHANGE_TIMEOUT
    ) -> int:
        """A new event channel port of the domain that `remote` may bind. HypercallError (ENOSPC): it has all."""
        self._may_change("allocate_port", domid)
        call = building.alloc_unbound(self._space(), self.interface, domid, remote)
        answer = await self._transport.call(call, timeout)
        return building.alloc_unbound_answer(check(answer, "allocate_port", domid), self.interface)

    async def set_hvm_param(
        self, domid: int, index: int, value: int, *, timeout: float | None = CHANGE_TIMEOUT
    ) -> None:
        """Set a parameter (`subops.HvmParam`) of a PVH or HVM domain. WrongState: it is a PV one."""
        self._may_change("set_hvm_param", domid)
        call = building.set_hvm_param(self._space(), self.interface, domid, index, value)
        reasons = {errno.EINVAL: "it is a PV domain, or there is no such parameter"}
        await self._change(call, "set_hvm_param", domid, timeout, reasons)

    # --- the hypervisor itself

    async def read_console(self, *, clear: bool = False, timeout: float | None = READ_TIMEOUT) -> bytes:
        """Xen's messages since boot, as far as they are kept; `clear`: and they are forgotten."""
        if clear:
            self._may_change("read_console")
        return await self._console(clear, timeout)

    async def debug_keys(self, keys: str, *, timeout: float | None = CHANGE_TIMEOUT) -> None:
        """As if these keys were pressed on Xen's console; what they print is read with `read_console`.

        "h" lists them. Some stop the machine at once ("R" restarts it, "C" crashes it). Unknown ones are ignored.
        """
        self._may_change("debug_keys")
        if not keys or not keys.isascii() or len(keys) > _MOST_KEYS:
            raise errors.InvalidConfig(
                f"debug_keys: 1 to {_MOST_KEYS} ASCII characters, not {keys!r}",
                operation="debug_keys",
                channel=CHANNEL,
            )
        call = changes.debug_keys(self._space(), self.interface, keys.encode())
        await self._change(call, "debug_keys", None, timeout)

    # --- inside

    def _may_change(self, operation: str, domid: int | None = None) -> None:
        if not self.interface.trusted:
            major, minor = self.xen_version
            raise errors.Unsupported(
                f"{operation}: Xen {major}.{minor}'s interface (sysctl {self.interface.sysctl:#x}, domctl "
                f"{self.interface.domctl:#x}) was not verified by this version of purevirt, which only reads it",
                operation=operation,
                domain=None if domid is None else str(domid),
                channel=CHANNEL,
            )
        if domid is not None:
            check_domid(domid, operation)

    async def _change(
        self,
        call: Hypercall,
        operation: str,
        domid: int | None,
        timeout: float | None,
        reasons: Mapping[int, str] = _NONE,
    ) -> None:
        _accept(await self._transport.call(call, timeout), operation, domid, reasons)


def _accept(answer: Answer, operation: str, domid: int | None, reasons: Mapping[int, str]) -> None:
    """WrongState for an errno that has its reason there; what it means in general for any other."""
    reason = reasons.get(-answer.value)
    if reason is not None:
        raise _refused(operation, domid, reason, -answer.value)
    check(answer, operation, domid)


def _refused(operation: str, domid: int | None, reason: str, number: int) -> errors.WrongState:
    name = errno.errorcode[number]
    return errors.WrongState(
        f"{operation}: domain {domid}: {reason} ({name})",
        operation=operation,
        domain=str(domid),
        channel=CHANNEL,
        errno=number,
        detail=name,
    )


def _invalid(words: str, operation: str, domid: int) -> errors.InvalidConfig:
    return errors.InvalidConfig(
        f"{operation}: {words}", operation=operation, domain=str(domid), channel=CHANNEL
    )


def _no_vcpu(operation: str, domid: int, vcpu: int) -> errors.InvalidConfig:
    return _invalid(f"domain {domid} has no vCPU {vcpu}", operation, domid)


def _check_vcpu(vcpu: int, operation: str, domid: int) -> None:
    if not 0 <= vcpu <= MAX_VCPU:
        raise _no_vcpu(operation, domid, vcpu)
