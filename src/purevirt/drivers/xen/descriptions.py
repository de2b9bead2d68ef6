"""The description of a running domain: libxl's record of it, and what has become of that since.

libxl keeps the record up to date for what libxl does. Another tool may have renamed the domain or ballooned it, and a
domain that libxl did not make has no record; so what hypervisor and store know is laid over it: name, UUID, type,
sizes, vCPUs, and which disks and interfaces there are. How an overlay is made is pure, and in `overlaid`.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.drivers.xen import storepaths as paths
from purevirt.drivers.xen.connected import Connected, served, shown
from purevirt.errors import ConfigError, Denied
from purevirt.model import Channel, DomainRef

if TYPE_CHECKING:
    from purevirt.drivers.xen import overlaid
    from purevirt.model import DomainInfo
    from purevirt.model.description import ActiveDescription, DomainDescription

__all__ = ["DescriptionReads"]


class DescriptionReads(Connected):
    """What can be asked about how a domain was made."""

    @served
    async def description(
        self, ref: DomainRef, live: bool = True, security_info: bool = False
    ) -> ActiveDescription:
        """Without `live`, libxl's record alone, if there is one, but for devices that are gone.

        Passwords only with `security_info`. NoSuchDomain; ConfigError: the record makes no sense; Denied: passwords,
        on a connection that may have none.
        """
        from purevirt.drivers.xen import overlaid
        from purevirt.model import description as described

        measured = self._route("description") is Channel.HYPERVISOR
        if security_info and not measured:
            raise Denied(
                "description: without root, and without the Xen daemon, no passwords are told",
                operation="description",
                domain=shown(ref),
                channel="store",
            )
        info = await self._now(ref, measured)
        assert info.domid is not None
        record = self._record(info) if measured else None
        if record is not None and not security_info:
            record = described.without_secrets(record)
        facts = await self._facts(info.domid)
        if measured:
            await self._find(info.ref, "description")  # what has gone meanwhile has left half of the facts
        if live or record is None:
            record = overlaid.description(record, info, facts)
        else:
            record = overlaid.remaining(record, facts)
        return overlaid.active(record, info, facts)

    async def _now(self, ref: DomainRef, measured: bool) -> DomainInfo:
        if not measured:
            return await self._find_in_store(ref, "description")
        from purevirt.drivers.xen import hypervisor

        found = await self._find(ref, "description")
        return hypervisor.domain_info(found, await self._name_cache.latest((found.domid, found.handle)))

    async def _facts(self, domid: int) -> overlaid.Facts:
        from purevirt.drivers.xen import overlaid
        from purevirt.drivers.xen.storeview import decode_text, parse_int

        disks = (await self._devices.blocks([domid]))[domid]
        nics = (await self._devices.interfaces([domid]))[domid]
        (entries,) = await self.store.directory_many([paths.cpus(domid)])
        cpus = [int(entry) for entry in entries or () if entry.isdigit() and len(entry) <= 5]
        wanted = [
            paths.memory_target(domid),
            paths.memory_static_max(domid),
            paths.video_memory(domid),
            paths.vnc_port(domid),
            paths.console_tty(domid),
        ]
        values = await self.store.read_many([*wanted, *(paths.cpu_availability(domid, cpu) for cpu in cpus)])
        target, most, video, port = map(parse_int, values[:4])
        offline = values[len(wanted) :].count(b"offline")
        return overlaid.Facts(
            target,
            most,
            video,
            len(cpus),
            len(cpus) - offline,
            port,
            decode_text(values[4]) or None,
            disks,
            nics,
        )

    def _record(self, info: DomainInfo) -> DomainDescription | None:
        if not info.domid:
            return None  # Domain 0's, which xen-init-dom0 writes, has nothing in it, not even a name
        text = self._files.libxl_record(info.domid, str(info.uuid))
        if text is None:
            return None
        from purevirt.channels.files.libxl import record_path
        from purevirt.formats.libxl_json import parse

        path = record_path(self._files.root, info.domid, str(info.uuid))
        try:
            return parse(text, file=path).description
        except ConfigError as error:
            error.operation, error.domain, error.channel, error.path = (
                "description",
                shown(info.ref),
                "files",
                path,
            )
            raise
