"""What is done to the store as a whole: clearing up after a domain, counting, checking that nothing is wrong.

The rules that `check` knows are those that every other module keeps; tests and CONTROL call it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from purevirt.daemons.xenstored import operations
from purevirt.daemons.xenstored.tree import SPECIALS, Node, join, parent_of

if TYPE_CHECKING:
    from purevirt.daemons.xenstored.server import Server

__all__ = ["check", "counts", "forget"]


def forget(server: Server, domid: int) -> None:
    """See to it that the next domain with this id inherits nothing: neither nodes nor rights."""
    tree = server.tree
    owned = [path for path, node in tree.nodes.items() if node.owner == domid]
    for path in sorted(owned):
        node = tree.get(path)
        if node is None:
            continue  # it went with its parent
        if server.keep_orphans or path == b"/" or path in SPECIALS:
            mine = (node.permissions[0]._replace(domid=0), *node.permissions[1:])
            tree.put(path, Node(node.value, node.children, tree.share(mine), tree.next_generation()))
        else:
            operations.remove(tree, path)
    # Lists of permissions are shared, so there are few of them, and identity tells them apart.
    lists = {id(node.permissions): node.permissions for node in tree.nodes.values()}
    stale = {key for key, each in lists.items() if any(entry.domid == domid for entry in each[1:])}
    if not stale:
        return
    for path, node in [item for item in tree.nodes.items() if id(item[1].permissions) in stale]:
        first, *others = node.permissions
        left = (first, *(entry for entry in others if entry.domid != domid))
        tree.put(path, Node(node.value, node.children, tree.share(left), tree.next_generation()))


def counts(server: Server) -> dict[str, int]:
    """How much there is of everything."""
    return {
        "nodes": len(server.tree.nodes),
        "connections": len(server.connections),
        "domains": server.domain_count,
        "watches": server.watches.count,
        "transactions": server.tree.readers,
        "generation": server.tree.generation,
    }


def check(server: Server) -> list[str]:
    """What is wrong with the store, a line each; nothing, unless this server has a fault."""
    tree = server.tree
    problems = []
    owned: dict[int, int] = {}
    for path, node in tree.nodes.items():
        owned[node.owner] = owned.get(node.owner, 0) + 1
        for name in node.children or ():
            if join(path, name) not in tree.nodes:
                problems.append(f"{join(path, name)!r} is listed and does not exist")
        if path == b"/" or path in SPECIALS:
            continue
        parent = tree.get(parent_of(path))
        if parent is None or path[path.rfind(b"/") + 1 :] not in (parent.children or ()):
            problems.append(f"{path!r} is not listed by its parent")
    if owned != tree.owned:
        problems.append(f"nodes are owned by {owned}, not {tree.owned}")
    readers = sum(len(connection.transactions) for connection in server.connections)
    if readers != tree.readers:
        problems.append(f"{readers} transactions are open, not {tree.readers}")
    watches = sum(len(connection.watches) for connection in server.connections)
    if watches != server.watches.count:
        problems.append(f"{watches} watches are set, not {server.watches.count}")
    return problems
