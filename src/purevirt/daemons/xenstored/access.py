"""Who may do what with which node.

The first permission names the owner, who may do everything, and says what everyone may do whom no later entry
names. A connection whose domain has a target (SET_TARGET) counts as that domain too. Domain 0 may do
everything.

One may be given a node without its parents. So that an error tells nothing about what one may not see, ENOENT
and EACCES are told apart only to those who have the wanted right on the nearest parent that exists
(`errno_from_parents` in C xenstored); all others get EACCES. That parent is looked up for domain 0 too: so a
transaction that found no node depends on the parent's list of children, as with C xenstored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from purevirt.daemons.xenstored.refused import Refused
from purevirt.daemons.xenstored.tree import Node, Permissions, parent_of

if TYPE_CHECKING:
    from purevirt.daemons.xenstored.connection import Connection

__all__ = ["OWNER", "READ", "WRITE", "View", "find", "lookup", "rights"]

READ = 1
WRITE = 2
OWNER = 4
_ALL = READ | WRITE | OWNER
_BITS = {"n": 0, "r": READ, "w": WRITE, "b": READ | WRITE}


class View(Protocol):
    """What operations work on: the `tree.Tree` itself, or a `transactions.Transaction`."""

    def get(self, path: bytes) -> Node | None: ...
    def put(self, path: bytes, node: Node) -> None: ...
    def delete(self, path: bytes) -> None: ...
    def with_child(self, node: Node, name: bytes) -> Node: ...
    def without_child(self, node: Node, name: bytes) -> Node: ...
    def count_owned(self, domid: int) -> int: ...
    def changed(self, path: bytes, exact: bool, *permissions: Permissions) -> None: ...


def rights(connection: Connection, permissions: Permissions) -> int:
    """Bits of READ, WRITE and OWNER."""
    if connection.privileged:
        return _ALL
    domid = connection.domid
    target = connection.domain.target
    default = permissions[0]
    if default.domid in (domid, target):
        return _ALL
    for entry in permissions[1:]:
        if entry.domid in (domid, target):
            return _BITS[entry.access]
    return _BITS[default.access]


def find(connection: Connection, view: View, path: bytes, need: int) -> Node | None:
    """The node, or None if there is none and the connection may know it. Refused EACCES."""
    node = view.get(path)
    if node is not None and (connection.privileged or rights(connection, node.permissions) & need == need):
        return node
    above = None
    parent = path
    while above is None:
        parent = parent_of(parent)
        above = view.get(parent)
    if node is not None or not rights(connection, above.permissions) & need:
        raise Refused("EACCES")
    return None


def lookup(connection: Connection, view: View, path: bytes, need: int) -> Node:
    """The node. Refused ENOENT or EACCES."""
    node = find(connection, view, path, need)
    if node is None:
        raise Refused("ENOENT")
    return node
