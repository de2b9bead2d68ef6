"""What the daemon remembers of domains: their definitions, by UUID and by name.

All but the texts is in memory, as the database has it: a change is written first, and known when it has been. Names are
unique among definitions, and among the domains that run or are being made: whoever makes one takes its name first.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

from purevirt.daemons.xend.config_store import Database, Stored, rows
from purevirt.daemons.xend.managed.descriptions import renamed
from purevirt.errors import Conflict, DomainExists, NoSuchDomain, WrongState
from purevirt.model import Definition, DomainRef
from purevirt.model.domain import uuid_of

__all__ = ["Catalogue"]


class Catalogue:
    """The definitions. One per daemon."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[bytes, Definition] = {}
        self._names: dict[str, bytes] = {}
        self._claimed: dict[str, bytes] = {}

    async def load(self) -> None:
        """Read them, once."""
        for found in await self._database.run(rows.all_definitions, changes=False):
            self._keep(found)

    def __len__(self) -> int:
        return len(self._known)

    def all(self) -> list[Definition]:
        """All of them, by name."""
        return [self._known[self._names[name]] for name in sorted(self._names)]

    def get(self, handle: bytes) -> Definition | None:
        """The one with that UUID."""
        return self._known.get(handle)

    def named(self, name: str) -> Definition | None:
        """The one with that name."""
        handle = self._names.get(name)
        return None if handle is None else self._known[handle]

    def find(self, ref: DomainRef) -> Definition:
        """Whom a caller means. NoSuchDomain."""
        found = None
        if ref.handle:
            found = self._known.get(ref.handle)
        elif ref.domid is None and ref.name is not None:
            found = self.named(ref.name)
        if found is None:
            shown = ref.name or (str(uuid_of(ref.handle)) if ref.handle else str(ref.domid))
            raise NoSuchDomain(f"the Xen daemon has no definition of domain {shown}", domain=shown)
        return found

    async def stored(self, handle: bytes) -> Stored:
        """One with its text. NoSuchDomain: it has gone meanwhile."""
        found = await self._database.run(lambda db: rows.definition(db, handle), changes=False)
        if found is None:
            shown = str(uuid_of(handle))
            raise NoSuchDomain(f"the Xen daemon has no definition of domain {shown}", domain=shown)
        return found

    # --- changes

    async def put(self, definition: Definition, text: str, expected: int | None) -> Definition:
        """Write a definition down, in place of the one with its UUID; as it is known from now on.

        Its revision is counted here. Conflict: the present one's revision is not the `expected`. DomainExists: another
        one has the name. Whether it starts by itself, and its saved state, stay as they are.
        """
        handle, name = definition.handle, definition.name

        def work(db: sqlite3.Connection) -> Definition:
            old = rows.definition(db, handle)
            revision = 0 if old is None else old.definition.revision
            if expected is not None and expected != revision:
                raise Conflict(
                    f"the definition of {name} has changed meanwhile: it is of revision {revision}, not {expected}"
                    if old is not None
                    else f"the definition of {name} is gone, and was of revision {expected}",
                    domain=name,
                )
            new = definition._replace(revision=revision + 1)
            saved = None
            if old is not None:
                saved = old.saved
                new = new._replace(
                    autostart=old.definition.autostart or new.autostart,
                    autostart_order=old.definition.autostart_order,
                    managed_save=saved is not None,
                )
            try:
                rows.put_definition(db, Stored(new, text, saved))
            except sqlite3.IntegrityError:
                raise DomainExists(f"the name {name} is another definition's", domain=name) from None
            return new

        found = await self._database.run(work)
        self._keep(found)
        return found

    async def change(self, handle: bytes, **fields: object) -> Definition:
        """Other values for some fields; the revision is counted if the name is one of them."""

        def work(db: sqlite3.Connection) -> Definition:
            old = rows.definition(db, handle)
            if old is None:
                raise NoSuchDomain(f"the Xen daemon has no definition of domain {uuid_of(handle)}")
            saved = fields.get("saved", old.saved)
            assert saved is None or isinstance(saved, str)
            kept = {key: value for key, value in fields.items() if key not in ("saved", "text")}
            new: Definition = old.definition._replace(managed_save=saved is not None, **kept)  # type: ignore[arg-type]
            if "text" in fields:
                new = new._replace(revision=new.revision + 1)
            try:
                rows.put_definition(db, Stored(new, str(fields.get("text", old.text)), saved))
            except sqlite3.IntegrityError:
                raise DomainExists(f"the name {new.name} is another definition's", domain=new.name) from None
            return new

        found = await self._database.run(work)
        self._keep(found)
        return found

    async def rename(self, handle: bytes, name: str) -> Definition:
        """Give one another name, in its text as well. DomainExists."""
        stored = await self.stored(handle)
        text = renamed(stored.text, stored.definition.format, name)
        return await self.change(handle, name=name, text=text)

    async def forget(self, handle: bytes) -> None:
        """Remove one, if it is there."""
        await self._database.run(lambda db: rows.forget_definition(db, handle))
        old = self._known.pop(handle, None)
        if old is not None and self._names.get(old.name) == handle:
            del self._names[old.name]

    def saved(self, handle: bytes, saved: bool) -> None:
        """What somebody else has written down: that it has a saved state, or has none any more."""
        if (old := self._known.get(handle)) is not None:
            self._keep(old._replace(managed_save=saved))

    def _keep(self, definition: Definition) -> None:
        old = self._known.get(definition.handle)
        if old is not None and old.name != definition.name and self._names.get(old.name) == old.handle:
            del self._names[old.name]
        self._known[definition.handle] = definition
        self._names[definition.name] = definition.handle

    # --- names

    @contextlib.contextmanager
    def claim(self, name: str, handle: bytes) -> Iterator[None]:
        """Take the name for a domain that is being made. DomainExists: it is another's. WrongState: it is made now."""
        other = self.named(name)
        if other is not None and other.handle != handle:
            raise DomainExists(
                f"the name {name} is that of a defined domain with another UUID, {other.uuid}", domain=name
            )
        holder = self._claimed.get(name)
        if holder == handle:
            raise WrongState(f"domain {name} is being made already", domain=name)
        if holder is not None:
            raise DomainExists(f"the name {name} is that of a domain that is being made", domain=name)
        self._claimed[name] = handle
        try:
            yield
        finally:
            del self._claimed[name]
