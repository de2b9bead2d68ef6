"""A transaction: an overlay on the tree that remembers what it saw.

`seen` maps each path touched to the node found there at the first touch (None: there was none); `nodes` maps
the same paths to what the transaction has made of them. So within a transaction every node is seen as it was
when it was first touched, whatever others do, and the commit is short:

- if `tree.get(path) is not seen[path]` for any path, somebody else changed a node that this transaction
  depends on: EAGAIN, nothing happens. Nodes are replaced, never changed, so identity says it all (see
  `tree`). A list of children and the permissions are part of their node. Whoever writes to a path first looks
  at what is there, so written nodes count as well: C xenstored does the same (`access_node` is first called
  for a read, by every request), whatever the comment at the head of its transaction code says.
- else each path whose node differs from `seen` goes into the tree, and the watches fire, once per path.

Nothing is copied at the start, and a transaction that never ends costs only what it touched. The price: nodes
touched at different times may not fit together (a child whose parent, seen earlier, does not list it). That
can be seen, by a transaction that is lost already, but never be committed.
"""

from __future__ import annotations

from purevirt.daemons.xenstored.refused import Refused
from purevirt.daemons.xenstored.tree import Node, Permissions, Tree, parent_of

__all__ = ["Transaction"]


class Transaction:
    """One open transaction: the other *view*. `limit`: how many nodes it may touch (0: any number)."""

    __slots__ = ("_change", "_events", "_limit", "_tree", "failed", "id", "nodes", "seen")

    def __init__(self, tree: Tree, transaction_id: int, limit: int) -> None:
        self._tree = tree
        self._limit = limit
        self._events: dict[bytes, bool] = {}
        self._change: dict[int, int] = {}
        self.id = transaction_id
        self.seen: dict[bytes, Node | None] = {}
        self.nodes: dict[bytes, Node | None] = {}
        self.failed = False
        tree.readers += 1

    def get(self, path: bytes) -> Node | None:
        """The node at a path. Once too many were touched: Refused ENOSPC, and it cannot be committed."""
        try:
            return self.nodes[path]
        except KeyError:
            if self._limit and len(self.seen) >= self._limit:
                self.failed = True
                raise Refused("ENOSPC") from None
            node = self.seen[path] = self.nodes[path] = self._tree.nodes.get(path)
            return node

    def put(self, path: bytes, node: Node) -> None:
        """Create or replace a node that was looked up before."""
        before = self.nodes[path]
        if before is not None:
            self._count(before.owner, -1)
        self._count(node.owner, 1)
        self.nodes[path] = node

    def delete(self, path: bytes) -> None:
        """Delete a node that was looked up before."""
        before = self.nodes[path]
        if before is not None:
            self._count(before.owner, -1)
            self.nodes[path] = None

    def with_child(self, node: Node, name: bytes) -> Node:
        """As in the tree, but the old list may be in use there and is always copied."""
        children = {**node.children, name: None} if node.children else {name: None}
        return Node(node.value, children, node.permissions, self._tree.next_generation())

    def without_child(self, node: Node, name: bytes) -> Node:
        """Likewise. A list seen before the child came may lack it; then the commit fails anyway."""
        children = dict(node.children or ())
        children.pop(name, None)
        return Node(node.value, children or None, node.permissions, self._tree.next_generation())

    def count_owned(self, domid: int) -> int:
        """How many nodes a domain would own if this were committed now."""
        return self._tree.count_owned(domid) + self._change.get(domid, 0)

    def changed(self, path: bytes, exact: bool, *permissions: Permissions) -> None:
        """Remember what the watches are told on commit. Who may hear of it is decided then."""
        self._events[path] = exact and self._events.get(path, True)

    def commit(self) -> None:
        """Make it so. Refused EAGAIN if somebody else changed a node seen here, ENOMEM if it had failed
        before.

        The transaction must have been closed.
        """
        if self.failed:
            raise Refused("ENOMEM")
        tree = self._tree
        nodes = tree.nodes
        for path, before in self.seen.items():
            if nodes.get(path) is not before:
                raise Refused("EAGAIN")
        for path, after in self.nodes.items():
            if after is not None:
                if after is not self.seen[path]:
                    tree.put(path, after)
            elif path in nodes:
                tree.delete(path)
        for path, exact in self._events.items():
            before, after = self.seen[path], nodes.get(path)
            if before is after:
                continue  # created and removed again: nothing happened
            around = (before, after, nodes.get(parent_of(path)))
            tree.changed(path, exact, *[node.permissions for node in around if node is not None])

    def close(self) -> None:
        """It no longer reads: call once, before `commit` or instead of it."""
        self._tree.readers -= 1

    def _count(self, domid: int, change: int) -> None:
        self._change[domid] = self._change.get(domid, 0) + change
