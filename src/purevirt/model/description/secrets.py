"""Passwords in a description: whether there are any, and the description without them."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from purevirt.model.description.domain import DomainDescription, Unknown

__all__ = ["has_secrets", "without_secrets"]


def has_secrets(description: DomainDescription) -> bool:
    """Whether there is a password of a screen in it, also where it is not understood."""
    return any(screen.password is not None for screen in description.graphics) or any(
        _is_secret(item) for item in description.unknown
    )


def without_secrets(description: DomainDescription) -> DomainDescription:
    """Without the passwords of its screens, wherever they stand."""
    if not has_secrets(description):
        return description
    return description._replace(
        graphics=tuple(screen._replace(password=None) for screen in description.graphics),
        unknown=tuple(item for item in description.unknown if not _is_secret(item)),
    )


def _is_secret(item: Unknown) -> bool:
    return "passw" in item.place or "passw" in item.text
