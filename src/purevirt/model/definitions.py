"""What the Xen daemon remembers of a domain that it was told of, whether the domain runs or not."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING, NamedTuple
from purevirt.model.domain import DomainRef, DomainType, uuid_of

__all__ = ["Definition", "DefinitionText"]

if TYPE_CHECKING:
    from uuid import UUID


class Definition(NamedTuple):
    """A definition, without its text.

    `handle` is the UUID's 16 bytes. `revision` counts the definition's changes, from 1. `format` is the one its text is
    kept in, as `purevirt.formats` names it. Domains that start by themselves do so by `autostart_order`, lowest first,
    then by name. `managed_save`: the state it will go on from when it is started next was saved. Sizes are KiB, as
    the definition says them.
    """

    handle: bytes
    name: str
    revision: int
    format: str
    type: DomainType
    memory_kib: int
    max_memory_kib: int
    vcpus: int
    max_vcpus: int
    autostart: bool = False
    autostart_order: int = 0
    managed_save: bool = False

    @property
    def uuid(self) -> UUID:
        """The handle as a UUID."""
        return uuid_of(self.handle)

    @property
    def ref(self) -> DomainRef:
        """Whom it defines, by UUID."""
        return DomainRef(self.handle, None, self.name)


class DefinitionText(NamedTuple):
    """A definition as it was written, in the `format` that `purevirt.formats` has a name for.

    `revision` is the definition's; 0 for what is no definition, such as a saved domain's description.
    """

    text: str
    format: str
    revision: int
