"""The nodes: one flat dict from path to `Node`, and how it changes.

A tree of dicts would need a walk per request; with the whole path as the key, a read is one look-up by the
very bytes that came off the wire. The hierarchy lives in `Node.children`, a dict without values (ordered, and
smaller than a set) or None for a leaf.

**Nodes are never changed, only replaced.** So "has this node changed since the transaction saw it?" is `is`:
no second copy of the tree, no log, no comparison. The exception is `children`, which may be large: the dict
is moved from the old node to the new one and changed in place, as long as no transaction is open (`readers`);
with one open it is copied first, because the old node may be somebody's snapshot.

The generation of a node comes from one counter, so it is unique; only DIRECTORY_PART shows it.

`Tree` is also one of the two *views* on which the operations work; the other is `transactions.Transaction`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from purevirt.wire.xenstore import Permission

if TYPE_CHECKING:
    from purevirt.daemons.xenstored.watches import Watches

__all__ = ["SPECIALS", "Node", "Permissions", "Tree", "join", "parent_of"]

Permissions = tuple[Permission, ...]

SPECIALS = (b"@introduceDomain", b"@releaseDomain")

# How many different lists of permissions are kept to be shared; a guest may invent any number of them.
_SHARED_PERMISSIONS = 1024


def parent_of(path: bytes) -> bytes:
    """The parent's path; the root's for the root itself and for special paths."""
    return path[: path.rfind(b"/")] or b"/" if path[:1] == b"/" else b"/"


def join(path: bytes, name: bytes) -> bytes:
    """The path of a child."""
    return b"/" + name if path == b"/" else path + b"/" + name


class Node:
    """What is stored at one path. Never assign to an attribute of a node: see this module's docstring."""

    __slots__ = ("children", "generation", "permissions", "value")

    def __init__(
        self, value: bytes, children: dict[bytes, None] | None, permissions: Permissions, generation: int
    ) -> None:
        self.value = value
        self.children = children
        self.permissions = permissions
        self.generation = generation

    @property
    def owner(self) -> int:
        """The domid that the first permission names."""
        return self.permissions[0].domid


class Tree:
    """All nodes, and who owns how many.

    `readers` counts the open transactions. `owned` maps a domid to its number of nodes, without zeros.
    """

    __slots__ = ("_listing", "_shared", "_watches", "generation", "nodes", "owned", "readers")

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self._shared: dict[Permissions, Permissions] = {}
        self._listing: tuple[Node | None, bytes] = (None, b"")
        self.nodes: dict[bytes, Node] = {}
        self.owned: dict[int, int] = {}
        self.generation = 0
        self.readers = 0
        nobody = self.share((Permission("n", 0),))
        self.nodes[b"/"] = Node(b"", {b"tool": None}, nobody, self.next_generation())
        self.nodes[b"/tool"] = Node(b"", {b"xenstored": None}, nobody, self.next_generation())
        self.nodes[b"/tool/xenstored"] = Node(b"", None, nobody, self.next_generation())
        for special in SPECIALS:
            self.nodes[special] = Node(b"", None, nobody, self.next_generation())
        self.owned[0] = len(self.nodes)

    def next_generation(self) -> int:
        """A number that no node has had."""
        self.generation += 1
        return self.generation

    def share(self, permissions: Permissions) -> Permissions:
        """The same permissions as an object that other nodes use too: most nodes have one of a few lists."""
        shared = self._shared
        if len(shared) >= _SHARED_PERMISSIONS:
            shared.clear()
        return shared.setdefault(permissions, permissions)

    def listing(self, node: Node) -> bytes:
        """The children's names in order, each with its NUL. The last answer is kept, for reading in parts."""
        children = node.children
        if not children:
            return b""
        if self._listing[0] is not node:
            self._listing = (node, b"\0".join(sorted(children)) + b"\0")
        return self._listing[1]

    # The interface of a view: what operations may use.

    def get(self, path: bytes) -> Node | None:
        """The node at a path."""
        return self.nodes.get(path)

    def put(self, path: bytes, node: Node) -> None:
        """Create or replace a node; its parent's list of children is the caller's business."""
        before = self.nodes.get(path)
        owner = node.permissions[0].domid
        if before is None:
            self._count(owner, 1)
        elif before.permissions is not node.permissions:
            self._count(before.permissions[0].domid, -1)
            self._count(owner, 1)
        self.nodes[path] = node

    def delete(self, path: bytes) -> None:
        """Delete one node that exists; likewise."""
        self._count(self.nodes.pop(path).permissions[0].domid, -1)

    def with_child(self, node: Node, name: bytes) -> Node:
        """The node that replaces this one when a child is added."""
        children = self._own_children(node)
        children[name] = None
        return Node(node.value, children, node.permissions, self.next_generation())

    def without_child(self, node: Node, name: bytes) -> Node:
        """The node that replaces this one when a child is removed."""
        children = self._own_children(node)
        del children[name]
        return Node(node.value, children or None, node.permissions, self.next_generation())

    def count_owned(self, domid: int) -> int:
        """How many nodes a domain owns."""
        return self.owned.get(domid, 0)

    def changed(self, path: bytes, exact: bool, *permissions: Permissions) -> None:
        """Tell the watches. `permissions`: all lists of which one must let a watcher read."""
        self._watches.fire(path, exact, permissions)

    def _own_children(self, node: Node) -> dict[bytes, None]:
        children = node.children
        if children is None:
            return {}
        return children.copy() if self.readers else children

    def _count(self, domid: int, change: int) -> None:
        count = self.owned.get(domid, 0) + change
        if count:
            self.owned[domid] = count
        else:
            self.owned.pop(domid, None)
