"""The store as a file: what a daemon that ends leaves to the one that takes its place.

C xenstored keeps its nodes in a file, and hands all the rest over when it is updated live; this is both in one. Saved
are the nodes, and of each domain that is introduced its channel, its quotas, its watches, and the bytes that were on
their way; so guests do not notice that there is another daemon. Not saved are open transactions, and the sockets'
clients, who connect again.

The file is JSON; bytes are text of the same numbers (ISO 8859-1).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from purevirt.daemons.xenstored.server import Server
from purevirt.daemons.xenstored.tree import SPECIALS, Node, parent_of
from purevirt.daemons.xenstored.watches import Watch
from purevirt.errors import ConfigError, LocalProtocolError
from purevirt.wire.xenstore import Permission

__all__ = ["dump", "load", "read", "save"]

VERSION = 1


def save(path: str, server: Server, unsent_to: Callable[[int], bytes]) -> None:
    """Write the file, whole or not at all. `unsent_to`: what waits for a guest. OSError."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    temporary = f"{path}.new"
    with open(temporary, "w", encoding="ascii") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(dump(server, unsent_to))
    os.replace(temporary, path)


def read(path: str, server: Server) -> dict[int, bytes] | None:
    """Fill a new server from the file, if there is one (None: there is not). ConfigError: it is no such file."""
    try:
        with open(path, encoding="ascii") as file:
            text = file.read()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the saved Xen Store cannot be read: {error}", path=path) from error
    try:
        return load(text, server)
    except (ValueError, KeyError, TypeError, AttributeError, LookupError, LocalProtocolError) as error:
        raise ConfigError(f"{path} holds no saved Xen Store: {error}", path=path) from error


def dump(server: Server, unsent_to: Callable[[int], bytes] = lambda domid: b"") -> str:
    """The store as text."""
    nodes = [
        [_text(path), _text(node.value), " ".join(map(str, node.permissions))]
        for path, node in server.tree.nodes.items()
    ]
    domains = []
    for domain in server.domains():
        connection = domain.connection
        known: dict[str, Any] = {
            "domid": domain.domid,
            "introduced": domain.introduced,
            "shutdown": domain.shutdown,
            "gfn": domain.gfn,
            "evtchn": domain.evtchn,
            "features": domain.features,
            "limits": domain.limits,
            "target": domain.target,
        }
        if connection is not None:
            known["watches"] = [
                [_text(each.path), _text(each.token), each.depth, each.prefix]
                for each in connection.watches.values()
            ]
            known["received"] = _text(connection.rest)
            known["unsent"] = _text(unsent_to(domain.domid) + b"".join(connection.output))
        domains.append(known)
    return json.dumps({"version": VERSION, "quotas": server.quotas, "nodes": nodes, "domains": domains})


def load(text: str, server: Server) -> dict[int, bytes]:
    """Fill a new server; what was to be sent to each guest. Raises what broken text makes it raise: see `read`."""
    state = json.loads(text)
    if state["version"] != VERSION:
        raise ValueError(f"version {state['version']!r} is not known")
    server.quotas.update({name: int(state["quotas"][name]) for name in server.quotas})
    _load_nodes(server, state["nodes"])
    unsent = {}
    for known in state["domains"]:
        domid = int(known["domid"])
        domain = server.domain(domid)
        domain.features = int(known["features"])
        domain.limits = {name: int(value) for name, value in known["limits"].items() if name in server.quotas}
        domain.target = known["target"]
        if not domid or not known["introduced"]:
            continue
        connection = server.reintroduce(domain, int(known["gfn"]), int(known["evtchn"]))
        domain.shutdown = bool(known["shutdown"])
        for path, token, depth, prefix in known["watches"]:
            watch = Watch(connection, _bytes(path), _bytes(token), depth=depth, prefix=int(prefix))
            connection.watches[watch.path, watch.token] = watch
            domain.watches += 1
            server.watches.add(watch)
        connection.rest = _bytes(known["received"])
        unsent[domid] = _bytes(known["unsent"])
    return unsent


def _load_nodes(server: Server, rows: list[list[str]]) -> None:
    tree = server.tree
    children: dict[bytes, dict[bytes, None]] = {}
    for name, _, _ in rows:
        path = _bytes(name)
        if path != b"/" and path not in SPECIALS:
            children.setdefault(parent_of(path), {})[path[path.rfind(b"/") + 1 :]] = None
    for path in list(tree.nodes):
        tree.delete(path)
    for name, value, words in rows:
        path = _bytes(name)
        permissions = tree.share(tuple(Permission.parse(word) for word in words.split()))
        tree.put(path, Node(_bytes(value), children.pop(path, None), permissions, tree.next_generation()))
    if children or b"/" not in tree.nodes:
        raise ValueError("nodes without a parent")


def _text(data: bytes) -> str:
    return data.decode("latin-1")


def _bytes(text: str) -> bytes:
    return text.encode("latin-1")
