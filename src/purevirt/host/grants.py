"""Grant tables of a simulated host: which pages a domain lets which other one map.

A domain fills in an entry (`grant`); the other domain maps it by the domain's id and the entry's number, read-only or
not, and gets a handle, with which it unmaps it. While it is mapped the entry says so, and cannot be ended. A page that
is mapped outlives its domain, as on Xen.

Source: xen/common/grant_table.c (version 1 entries) and its GNTST_* results.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from purevirt.host.frames import Frames
from purevirt.wire.bus.numbers import GrantFlag, GrantStatus

__all__ = ["GrantRefused", "Grants", "Mapping"]

MAX_ENTRIES = 64 * 512  # 64 frames of 512 entries: Xen's default for a guest


class GrantRefused(Exception):
    """An operation ended with this status."""

    def __init__(self, status: GrantStatus) -> None:
        super().__init__(f"GNTST_{status.name.lower()}")
        self.status = status


class Mapping(NamedTuple):
    """One grant mapped: by whom, which, and the frame."""

    handle: int
    mapper: int
    domid: int
    reference: int
    frame: int
    writable: bool


class _Entry:
    __slots__ = ("flags", "frame", "mapped", "to", "written")

    def __init__(self, to: int, frame: int, flags: GrantFlag) -> None:
        self.to = to
        self.frame = frame
        self.flags = flags
        self.mapped = 0
        self.written = 0


class Grants:
    """The tables of all domains. `exists`: whether there is a domain of that id."""

    def __init__(self, frames: Frames, exists: Callable[[int], bool]) -> None:
        self._frames = frames
        self._exists = exists
        self._tables: dict[int, dict[int, _Entry]] = {}
        self._mappings: dict[int, Mapping] = {}
        self._handle = 0

    # --- the granting domain

    def grant(
        self, domid: int, to: int, frame: int, *, read_only: bool = False, reference: int | None = None
    ) -> int:
        """Let `to` map a frame of ours; the entry's number: `reference`, or the first that is free from 8 on.

        GrantRefused: BAD_GNTREF for a number that is taken or too high, NO_SPACE if there is none.
        """
        table = self._tables.setdefault(domid, {})
        if reference is None:
            reference = next((number for number in range(8, MAX_ENTRIES) if number not in table), None)
            if reference is None:
                raise GrantRefused(GrantStatus.NO_SPACE)
        elif reference in table or not 0 <= reference < MAX_ENTRIES:
            raise GrantRefused(GrantStatus.BAD_GNTREF)
        flags = GrantFlag.PERMIT_ACCESS | (GrantFlag.READONLY if read_only else GrantFlag(0))
        table[reference] = _Entry(to, frame, flags)
        return reference

    def end(self, domid: int, reference: int) -> bool:
        """Take a grant back. False: it is mapped, and stays. GrantRefused: BAD_GNTREF."""
        entry = self._entry(domid, reference)
        if entry.mapped:
            return False
        del self._tables[domid][reference]
        return True

    def flags(self, domid: int, reference: int) -> GrantFlag:
        """GTF_* of an entry; 0 for one that grants nothing."""
        entry = self._tables.get(domid, {}).get(reference)
        return GrantFlag(0) if entry is None else entry.flags

    # --- the other one

    def map(self, mapper: int, domid: int, reference: int, *, writable: bool = True) -> Mapping:
        """Map what `domid` grants. GrantRefused with the status that Xen gives."""
        if not self._exists(domid):
            raise GrantRefused(GrantStatus.BAD_DOMAIN)
        entry = self._entry(domid, reference)
        if entry.to != mapper or (writable and entry.flags & GrantFlag.READONLY):
            raise GrantRefused(GrantStatus.GENERAL_ERROR)
        entry.mapped += 1
        entry.written += writable
        _mark(entry)
        self._frames.use(entry.frame)
        self._handle += 1
        mapping = Mapping(self._handle, mapper, domid, reference, entry.frame, writable)
        self._mappings[mapping.handle] = mapping
        return mapping

    def unmap(self, mapper: int, handle: int) -> None:
        """Give a mapping up. GrantRefused: BAD_HANDLE."""
        mapping = self._mappings.get(handle)
        if mapping is None or mapping.mapper != mapper:
            raise GrantRefused(GrantStatus.BAD_HANDLE)
        del self._mappings[handle]
        self._frames.release(mapping.frame)
        entry = self._tables.get(mapping.domid, {}).get(mapping.reference)
        if entry is not None and entry.mapped and entry.frame == mapping.frame:
            entry.mapped -= 1
            entry.written -= mapping.writable
            _mark(entry)

    def forget(self, domid: int) -> None:
        """The domain is gone: its entries, and what it had mapped."""
        self._tables.pop(domid, None)
        for mapping in [each for each in self._mappings.values() if each.mapper == domid]:
            self.unmap(domid, mapping.handle)

    def _entry(self, domid: int, reference: int) -> _Entry:
        entry = self._tables.get(domid, {}).get(reference)
        if entry is None:
            # Beyond the table's end, or an entry of type "invalid", for which Xen has the other status.
            too_high = not 0 <= reference < MAX_ENTRIES
            raise GrantRefused(GrantStatus.BAD_GNTREF if too_high else GrantStatus.GENERAL_ERROR)
        return entry


def _mark(entry: _Entry) -> None:
    flags = entry.flags & ~(GrantFlag.READING | GrantFlag.WRITING)
    if entry.mapped:
        flags |= GrantFlag.READING
    if entry.written:
        flags |= GrantFlag.WRITING
    entry.flags = flags
