"""Permissions of a node: a list whose first entry names the owner and what everyone else may do.

On the wire each entry is a letter and a decimal domid: n nothing, r read, w write, b both. The owner may do
everything always; the letter of the first entry is for whoever no later entry names.
"""

from __future__ import annotations

from collections.abc import Iterable

from purevirt._typing import NamedTuple
from purevirt.errors import LocalProtocolError, RemoteProtocolError

__all__ = ["Permission", "format_permissions", "parse_permissions"]

_LETTERS = "nrwb"
DOMID_MAX = 0x7FFF


class Permission(NamedTuple):
    """What one domain may do with a node: `access` is "n", "r", "w" or "b"; `domid` whom it is about."""

    access: str
    domid: int

    def __str__(self) -> str:
        return f"{self.access}{self.domid}"

    @classmethod
    def parse(cls, text: str) -> Permission:
        """From the form of the wire and of `xenstore-chmod` ("r0"). LocalProtocolError otherwise."""
        letter, digits = text[:1], text[1:]
        if letter and letter in _LETTERS and digits.isascii() and digits.isdigit() and len(digits) <= 5:
            domid = int(digits)
            if domid <= DOMID_MAX:
                return cls(letter, domid)
        raise LocalProtocolError(
            f"{text!r} is no permission: a letter of n, r, w, b and a domain id, as in r0", channel="store"
        )


def format_permissions(permissions: Iterable[Permission]) -> bytes:
    """The payload of GET_PERMS and SET_PERMS; LocalProtocolError for no entry, or an impossible one."""
    entries = [str(Permission.parse(str(entry))) for entry in permissions]
    if not entries:
        raise LocalProtocolError("a node has at least one permission, its owner's", channel="store")
    return ("\0".join(entries) + "\0").encode("ascii")


def parse_permissions(payload: bytes) -> tuple[Permission, ...]:
    """From a GET_PERMS reply; RemoteProtocolError for anything that is none."""
    try:
        text = payload.decode("ascii")
        if not text.endswith("\0"):
            raise LocalProtocolError("unterminated")
        return tuple(Permission.parse(entry) for entry in text[:-1].split("\0"))
    except (UnicodeDecodeError, LocalProtocolError):
        raise RemoteProtocolError(f"{payload[:80]!r} is no list of permissions", channel="store") from None
