"""A domain that is defined and does not run, in the shape of one that does. Pure."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.model import DomainInfo, DomainState, StateReason

if TYPE_CHECKING:
    from purevirt.model import Definition

__all__ = ["info_of"]


def info_of(definition: Definition) -> DomainInfo:
    """What a listing tells of it: shut off, with no id, no memory and no time on a CPU; sizes as it is defined."""
    return DomainInfo(
        None,
        definition.handle,
        definition.name,
        definition.type,
        DomainState.SHUTOFF,
        StateReason.UNKNOWN,
        0,
        definition.max_memory_kib,
        definition.vcpus,
        definition.max_vcpus,
        0,
    )
