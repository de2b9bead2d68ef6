"""The operations on nodes, watches and transactions; those on domains and the daemon itself are in `control`.

An operation takes (server, connection, view, payload) and returns the payload of its reply, or raises
`Refused`. The view is the tree, or the transaction that the request named. It decides first and then changes,
so that what is refused leaves no trace.

Where C xenstored and oxenstored differ, this does as C xenstored (tools/xenstored/core.c of Xen 4.20 to
4.22).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from purevirt.daemons.xenstored.access import OWNER, READ, WRITE, View, find, lookup
from purevirt.daemons.xenstored.refused import Refused
from purevirt.daemons.xenstored.transactions import Transaction
from purevirt.daemons.xenstored.tree import SPECIALS, Node, Permissions, join, parent_of
from purevirt.daemons.xenstored.watches import Watch
from purevirt.errors import LocalProtocolError
from purevirt.wire.xenstore import MAX_ABSOLUTE, MAX_PAYLOAD, Permission, is_valid_path

if TYPE_CHECKING:
    from purevirt.daemons.xenstored.connection import Connection
    from purevirt.daemons.xenstored.server import Server

__all__ = ["OK", "canonical", "one", "remove", "strings"]

OK = b"OK\0"


# Payloads and paths.


def one(payload: bytes) -> bytes:
    """The payload's one string. Refused EINVAL unless there is exactly one NUL, at the end."""
    end = len(payload) - 1
    if end < 0 or payload.find(b"\0") != end:
        raise Refused("EINVAL")
    return payload[:end]


def strings(payload: bytes) -> list[bytes]:
    """The NUL-terminated strings; what follows the last NUL is ignored, as C xenstored does."""
    return payload.split(b"\0")[:-1]


def canonical(connection: Connection, path: bytes, *, special: bool = False) -> bytes:
    """The absolute (or special) path. Refused EINVAL if it is none, or longer than the connection may use."""
    first = path[:1]
    if not is_valid_path(path) or (first == b"@" and not special):
        raise Refused("EINVAL")
    if first not in b"/@":
        path = connection.home + b"/" + path
        if len(path) > MAX_ABSOLUTE:
            raise Refused("EINVAL")
    if not connection.privileged:
        own = 0
        if path.startswith(b"/local/domain/"):
            parts = path.split(b"/", 4)
            if len(parts) == 5 and parts[3].isdigit():
                own = len(path) - len(parts[4])
        if connection.domain.exceeds("path-length", len(path) - own):
            raise Refused("EINVAL")
    return path


def _check_size(connection: Connection, value: bytes, permissions: Permissions, names: int) -> None:
    if not connection.privileged and connection.domain.exceeds(
        "node-size", len(value) + 8 * len(permissions) + names
    ):
        raise Refused("ENOSPC")


def _names(children: dict[bytes, None] | None) -> int:
    """How many bytes the names of children take, with a NUL each."""
    return sum(map(len, children)) + len(children) if children else 0


# Reading.


def read(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    path = canonical(connection, one(payload))
    return lookup(connection, view, path, READ).value


def directory(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    path = canonical(connection, one(payload))
    return server.tree.listing(lookup(connection, view, path, READ))


def directory_part(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    """The generation, then names from an offset on; after the last name an empty one."""
    arguments = strings(payload)
    if len(arguments) != 2 or not arguments[1].isdigit() or len(arguments[1]) > 10:
        raise Refused("EINVAL")
    node = lookup(connection, view, canonical(connection, arguments[0]), READ)
    names = server.tree.listing(node)
    head = b"%d\0" % node.generation
    start = int(arguments[1])
    room = MAX_PAYLOAD - len(head) - 1
    part = names[start : start + room]
    if start + room < len(names):
        return head + part[: part.rfind(b"\0") + 1]
    return head + part + b"\0"


def get_permissions(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    path = canonical(connection, one(payload), special=True)
    permissions = lookup(connection, view, path, READ).permissions
    return b"".join([b"%b%d\0" % (entry.access.encode(), entry.domid) for entry in permissions])


# Changing.


def write(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    raw, separator, value = payload.partition(b"\0")
    if not separator:
        raise Refused("EINVAL")
    path = canonical(connection, raw)
    node = find(connection, view, path, WRITE)
    if node is None:
        _create(server, connection, view, path, value)
        return OK
    if not connection.privileged:
        _check_size(connection, value, node.permissions, _names(node.children))
    view.put(path, Node(value, node.children, node.permissions, server.tree.next_generation()))
    _tell(server, view, path, node.permissions)
    return OK


def mkdir(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    path = canonical(connection, one(payload))
    if find(connection, view, path, WRITE) is None:
        _create(server, connection, view, path, b"")
    return OK


def _create(server: Server, connection: Connection, view: View, path: bytes, value: bytes) -> None:
    """Create a node and the parents it lacks, with the permissions of the nearest parent that exists.

    What an unprivileged domain creates, it owns.
    """
    tree = server.tree
    lacking = [path]
    above = parent_of(path)
    while (parent := view.get(above)) is None:
        lacking.append(above)
        above = parent_of(above)
    permissions = parent.permissions
    lowest = lacking[-1]
    name = lowest[lowest.rfind(b"/") + 1 :]
    if not connection.privileged:
        if connection.domain.exceeds("nodes", view.count_owned(connection.domid) + len(lacking)):
            raise Refused("ENOSPC")
        _check_size(connection, parent.value, permissions, _names(parent.children) + len(name) + 1)
        permissions = tree.share((Permission(permissions[0].access, connection.domid), *permissions[1:]))
        _check_size(connection, value, permissions, 0)
    view.put(above, view.with_child(parent, name))
    child = None
    for at in lacking:
        children = None if child is None else {child: None}
        view.put(at, Node(value if child is None else b"", children, permissions, tree.next_generation()))
        child = at[at.rfind(b"/") + 1 :]
    _tell(server, view, path, permissions)


def rm(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    path = canonical(connection, one(payload))
    if find(connection, view, path, WRITE) is None:
        if view.get(parent_of(path)) is None:
            raise Refused("ENOENT")
        return OK
    if path == b"/":
        raise Refused("EINVAL")
    remove(view, path)
    return OK


def remove(view: View, path: bytes) -> None:
    """Delete an existing node and all below it, the deepest first; the watches hear of each."""
    above = parent_of(path)
    parent = view.get(above)
    if parent is None:
        raise Refused("EINVAL")  # only in a transaction that is lost already
    doomed: list[tuple[bytes, Node]] = []
    stack = [path]
    while stack:
        at = stack.pop()
        node = view.get(at)
        if node is None:
            continue
        doomed.append((at, node))
        if node.children:
            stack.extend(join(at, name) for name in sorted(node.children))
    view.put(above, view.without_child(parent, path[path.rfind(b"/") + 1 :]))
    around = {at: node.permissions for at, node in doomed}
    around[above] = parent.permissions
    for at, node in reversed(doomed):
        view.delete(at)
        view.changed(at, at != path, node.permissions, around[parent_of(at)])


def set_permissions(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    raw, *texts = strings(payload) or [b""]
    if not texts:
        raise Refused("EINVAL")
    if not connection.privileged and connection.domain.exceeds("permissions", len(texts)):
        raise Refused("ENOSPC")
    try:
        permissions = tuple(Permission.parse(text.decode("ascii")) for text in texts)
    except (LocalProtocolError, UnicodeDecodeError):
        raise Refused("EINVAL") from None
    path = canonical(connection, raw, special=True)
    node = lookup(connection, view, path, WRITE | OWNER)
    if not connection.privileged:
        if permissions[0].domid != node.owner:
            raise Refused("EPERM")
        _check_size(connection, node.value, permissions, _names(node.children))
    tree = server.tree
    view.put(path, Node(node.value, node.children, tree.share(permissions), tree.next_generation()))
    if path not in SPECIALS:
        _tell(server, view, path, node.permissions, permissions)
    return OK


def _tell(server: Server, view: View, path: bytes, *permissions: Permissions) -> None:
    """A node was created or changed; who may read its parent hears of it too."""
    if server.watches.count or view is not server.tree:
        parent = server.tree.get(parent_of(path)) if view is server.tree else None
        if parent is not None:
            permissions = (*permissions, parent.permissions)
        view.changed(path, False, *permissions)


# Watches.


def watch(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    arguments = strings(payload)
    if len(arguments) not in (2, 3):
        raise Refused("EINVAL")
    raw, token = arguments[:2]
    depth = None
    if len(arguments) == 3 and arguments[2]:
        if not arguments[2].isdigit() or len(arguments[2]) > 5:
            raise Refused("EINVAL")
        depth = int(arguments[2])
        if raw[:1] == b"@" and depth != 1:
            raise Refused("EINVAL")
    path = canonical(connection, raw, special=True)
    if (path, token) in connection.watches:
        raise Refused("EEXIST")
    domain = connection.domain
    if domain.exceeds("watches", domain.watches + 1):
        raise Refused("E2BIG")
    added = Watch(connection, path, token, depth=depth, prefix=len(path) - len(raw))
    connection.watches[path, token] = added
    domain.watches += 1
    server.watches.add(added)
    connection.greeting = added.event(path)
    return OK


def unwatch(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    arguments = strings(payload)
    if len(arguments) not in (2, 3):
        raise Refused("EINVAL")
    path = canonical(connection, arguments[0], special=True)
    gone = connection.watches.pop((path, arguments[1]), None)
    if gone is None:
        raise Refused("ENOENT")
    server.watches.remove(gone)
    connection.domain.watches -= 1
    return OK


def reset_watches(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    server.reset(connection)
    return OK


# Transactions.


def transaction_start(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    if view is not server.tree:
        raise Refused("EBUSY")
    domain = connection.domain
    if domain.exceeds("transactions", domain.transactions + 1):
        raise Refused("ENOSPC")
    number = connection.next_transaction
    while number in connection.transactions or not number:
        number = (number + 1) & 0xFFFFFFFF
    connection.next_transaction = (number + 1) & 0xFFFFFFFF
    limit = 0 if connection.privileged else domain.limit("transaction-nodes")
    connection.transactions[number] = Transaction(server.tree, number, limit)
    domain.transactions += 1
    return b"%d\0" % number


def transaction_end(server: Server, connection: Connection, view: View, payload: bytes) -> bytes:
    if payload not in (b"T\0", b"F\0"):
        raise Refused("EINVAL")
    if not isinstance(view, Transaction):
        raise Refused("ENOENT")
    del connection.transactions[view.id]
    domain = connection.domain
    domain.transactions -= 1
    view.close()
    if payload == b"T\0":
        if not connection.privileged and domain.exceeds("nodes", view.count_owned(domain.domid)):
            raise Refused("ENOSPC")
        view.commit()
    return OK
