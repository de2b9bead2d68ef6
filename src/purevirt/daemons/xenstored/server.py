"""The XenStore server without its sockets: bytes in, bytes out, no clock, no system call.

    server = Server()
    connection = server.connect()                    # a socket's client: domain 0
    reply = server.receive(connection, data)         # whole or split requests; whole replies and events
    for other in server.woken():                     # others now have events waiting
        send(other, other.take())
    server.disconnect(connection)

Its parts: `tree` (nodes), `transactions`, `watches`, `access` (permissions), `domains` (quotas), `operations`
and `control` (one function per operation), `upkeep`, `connection`. `shell` puts it on sockets.

**The fast path.** Most requests are READs outside a transaction by a privileged client. `receive` answers
these itself, from the receive buffer: unpack the header, look the path up by its bytes, pack the header of
the reply. That the key is found is proof enough that the path is valid. All else goes through `_serve`.

Everything is deterministic: the same bytes, taken in the same pieces, give the same answers, to the byte.
Lists of children are sorted, numbers are counted, nothing depends on time or on hashes. (In other pieces, an
event may be left out because the same one still waits: see `connection`.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple, Protocol

from purevirt.daemons.xenstored import control, operations, upkeep
from purevirt.daemons.xenstored.access import View
from purevirt.daemons.xenstored.connection import Connection
from purevirt.daemons.xenstored.domains import DEFAULT_QUOTAS, Domain
from purevirt.daemons.xenstored.refused import Refused
from purevirt.daemons.xenstored.tree import Tree
from purevirt.daemons.xenstored.watches import Watches
from purevirt.wire.xenstore import HEADER, MAX_PAYLOAD, Op, error_payload

__all__ = ["Server"]

_pack = HEADER.pack
_unpack_from = HEADER.unpack_from

_READ = int(Op.READ)
_ERROR = int(Op.ERROR)
_SLASH = ord("/")


class Guests(Protocol):
    """The carrier of the guests' bytes: see `rings`."""

    def attach(self, domid: int, port: int, done: Callable[[str | None], None]) -> str | None: ...
    def introduced(self, domid: int) -> None: ...
    def detach(self, domid: int) -> None: ...


class _Operation(NamedTuple):
    handler: Callable[[Server, Connection, View, bytes], bytes | None]  # None: it is answered later
    privileged: bool = False  # domain 0 only
    changes: bool = False  # not on a read-only connection
    outside: bool = False  # the transaction id is ignored


_OPERATIONS: dict[int, _Operation] = {
    int(op): operation
    for op, operation in {
        Op.CONTROL: _Operation(control.control, privileged=True, changes=True),
        Op.DIRECTORY: _Operation(operations.directory),
        Op.READ: _Operation(operations.read),
        Op.GET_PERMS: _Operation(operations.get_permissions),
        Op.WATCH: _Operation(operations.watch, outside=True),
        Op.UNWATCH: _Operation(operations.unwatch, outside=True),
        Op.TRANSACTION_START: _Operation(operations.transaction_start),
        Op.TRANSACTION_END: _Operation(operations.transaction_end),
        Op.INTRODUCE: _Operation(control.introduce, privileged=True, changes=True),
        Op.RELEASE: _Operation(control.release, privileged=True, changes=True),
        Op.GET_DOMAIN_PATH: _Operation(control.get_domain_path),
        Op.WRITE: _Operation(operations.write, changes=True),
        Op.MKDIR: _Operation(operations.mkdir, changes=True),
        Op.RM: _Operation(operations.rm, changes=True),
        Op.SET_PERMS: _Operation(operations.set_permissions, changes=True),
        Op.IS_DOMAIN_INTRODUCED: _Operation(control.is_domain_introduced, privileged=True),
        Op.RESUME: _Operation(control.resume, privileged=True, changes=True),
        Op.SET_TARGET: _Operation(control.set_target, privileged=True, changes=True),
        Op.RESET_WATCHES: _Operation(operations.reset_watches),
        Op.DIRECTORY_PART: _Operation(operations.directory_part),
        Op.GET_FEATURE: _Operation(control.get_feature),
        Op.SET_FEATURE: _Operation(control.set_feature, privileged=True, changes=True),
        Op.GET_QUOTA: _Operation(control.get_quota, privileged=True),
        Op.SET_QUOTA: _Operation(control.set_quota, privileged=True, changes=True),
    }.items()
}


class Server:
    """One store. `quotas` changes the defaults (names as in `domains.DEFAULT_QUOTAS`, 0 means unlimited).

    When a domain is released, the nodes it owns are deleted, as both daemons have done since Xen 4.17: else
    the next domain with its id would own them. With `keep_orphans` they are given to domain 0 instead, as
    with C xenstored's option of that name.
    """

    def __init__(self, *, quotas: Mapping[str, int] | None = None, keep_orphans: bool = False) -> None:
        unknown = set(quotas or ()) - set(DEFAULT_QUOTAS)
        if unknown:
            raise ValueError(f"no such quota: {', '.join(sorted(unknown))}")
        self.quotas = {**DEFAULT_QUOTAS, **(quotas or {})}
        self.keep_orphans = keep_orphans
        self.watches = Watches()
        self.tree = Tree(self.watches)
        self.connections: dict[Connection, None] = {}
        self._domains: dict[int, Domain] = {}
        self._woken: list[Connection] = []
        self.guests: Guests | None = None
        """Who carries the guests' bytes; without, they have connections and nothing else (see `domain_connection`)."""
        self.domain(0).introduced = True

    # Connections.

    def connect(self, *, read_only: bool = False) -> Connection:
        """A new client with the rights of domain 0, as a socket's is."""
        return self._connect(self.domain(0), read_only=read_only)

    def domain_connection(self, domid: int) -> Connection:
        """The one connection of a guest that was introduced. LookupError if it was not."""
        domain = self._domains.get(domid)
        if domain is None or domain.connection is None:
            raise LookupError(f"domain {domid} has not been introduced to the Xen Store")
        return domain.connection

    def _connect(self, domain: Domain, *, read_only: bool = False) -> Connection:
        connection = Connection(domain, self._woken, read_only=read_only)
        self.connections[connection] = None
        return connection

    def disconnect(self, connection: Connection) -> None:
        """The client is gone: so are its watches and transactions. May be called again."""
        self.reset(connection)
        connection.closed = True
        connection.rest = b""
        connection.output.clear()
        self.connections.pop(connection, None)

    def reset(self, connection: Connection) -> None:
        """Drop the watches and transactions of a connection."""
        for watch in connection.watches.values():
            self.watches.remove(watch)
        for transaction in connection.transactions.values():
            transaction.close()
        connection.domain.watches -= len(connection.watches)
        connection.domain.transactions -= len(connection.transactions)
        connection.watches.clear()
        connection.transactions.clear()

    def restart(self, connection: Connection) -> None:
        """A guest's connection begins anew: nothing that it held or was asking is left."""
        self.reset(connection)
        connection.closed = False
        connection.rest = b""
        connection.take()

    def woken(self) -> list[Connection]:
        """Connections that got events by what others did, or were closed for it, since the last call."""
        woken = self._woken
        if not woken:
            return []
        distinct = [each for each in dict.fromkeys(woken) if each.output or each.closed]
        woken.clear()
        return [each for each in distinct if each in self.connections]

    # Requests.

    def receive(self, connection: Connection, data: bytes) -> bytes:
        """Take bytes from a client; return all that is now to be sent to it.

        A packet that claims more than 4096 bytes closes the connection; what was asked before it is answered.
        """
        if connection.closed:
            return b""
        if connection.rest:
            data = connection.rest + data
        if connection.waiting is not None:
            connection.rest = data
            return b""
        output = connection.output
        get = self.tree.nodes.get
        fast = connection.privileged
        size = len(data)
        start = 0
        while size - start >= 16 and not connection.closed:
            op, req_id, tx_id, length = _unpack_from(data, start)
            end = start + 16 + length
            if end > size or length > MAX_PAYLOAD:
                if length > MAX_PAYLOAD:
                    connection.closed = True
                break
            if op == _READ and fast and not tx_id and length > 1:
                node = get(data[start + 16 : end - 1])
                if node is not None and not data[end - 1] and data[start + 16] == _SLASH:
                    value = node.value
                    output.append(_pack(_READ, req_id, 0, len(value)) + value)
                    start = end
                    continue
            answered = self._serve(connection, op, req_id, tx_id, data[start + 16 : end])
            start = end
            if not answered:
                break
        connection.rest = data[start:] if not connection.closed else b""
        return connection.take()

    def _serve(self, connection: Connection, op: int, req_id: int, tx_id: int, payload: bytes) -> bool:
        """Answer one request; the reply joins the connection's output. False: it will be answered later."""
        try:
            operation = _OPERATIONS.get(op)
            if operation is None:
                raise Refused("ENOSYS")
            handler, privileged, changes, outside = operation
            if privileged and not connection.privileged:
                raise Refused("EACCES")
            if changes and connection.read_only:
                raise Refused("EROFS")
            view: View = self.tree
            if tx_id and not outside:
                transaction = connection.transactions.get(tx_id)
                if transaction is None:
                    raise Refused("ENOENT")
                view = transaction
            answer = handler(self, connection, view, payload)
            if answer is None:
                connection.waiting = (op, req_id, tx_id)
                return False
            reply = answer
            if len(reply) > MAX_PAYLOAD:
                raise Refused("E2BIG")
        except Refused as refusal:
            op = _ERROR
            reply = error_payload(refusal.errno)
        connection.output.append(_pack(op, req_id, tx_id, len(reply)) + reply)
        if connection.greeting is not None:
            connection.push_event(connection.greeting, always=True)
            connection.greeting = None
        return True

    def answer(self, connection: Connection, problem: str | None) -> None:
        """The one request that was to be answered later is: with OK, or with an error. Then what came after it."""
        waiting, connection.waiting = connection.waiting, None
        if waiting is None or connection.closed:
            return
        op, req_id, tx_id = waiting
        reply = b"OK\0" if problem is None else error_payload(problem)
        op = op if problem is None else _ERROR
        connection.output.append(_pack(op, req_id, tx_id, len(reply)) + reply)
        more = self.receive(connection, b"")
        if more:
            connection.output.append(more)
        self._woken.append(connection)

    # Domains.

    def domain(self, domid: int) -> Domain:
        """What is known of a domain; nothing yet, perhaps."""
        domain = self._domains.get(domid)
        if domain is None:
            domain = self._domains[domid] = Domain(domid, self.quotas)
        return domain

    @property
    def domain_count(self) -> int:
        """How many domains are introduced, domain 0 among them."""
        return sum(domain.introduced for domain in self._domains.values())

    def is_introduced(self, domid: int) -> bool:
        """Whether the domain was introduced and not released since. Domain 0 always is."""
        domain = self._domains.get(domid)
        return domain is not None and domain.introduced

    def introduced(self, domid: int) -> Domain:
        """A domain that is introduced; else Refused ENOENT."""
        if not self.is_introduced(domid):
            raise Refused("ENOENT")
        return self._domains[domid]

    def domains(self) -> list[Domain]:
        """All that were spoken of."""
        return list(self._domains.values())

    def reintroduce(self, domain: Domain, gfn: int, evtchn: int) -> Connection:
        """A domain of a saved state: it was introduced before, and nobody is told."""
        domain.gfn, domain.evtchn = gfn, evtchn
        domain.introduced = True
        domain.connection = self._connect(domain)
        return domain.connection

    def guests_introduced(self) -> list[tuple[int, int]]:
        """(id, port) of each domain that is introduced, but domain 0."""
        return [
            (each.domid, each.evtchn) for each in self._domains.values() if each.introduced and each.domid
        ]

    def introduce_later(self, connection: Connection, domid: int, gfn: int, evtchn: int) -> None:
        """INTRODUCE on a host with rings: it is answered when the ring is mapped and the channel bound."""
        assert self.guests is not None
        problem = self.guests.attach(domid, evtchn, partial(self._attached, connection, domid, gfn, evtchn))
        if problem is not None:
            raise Refused(problem)

    def _attached(
        self, connection: Connection, domid: int, gfn: int, evtchn: int, problem: str | None
    ) -> None:
        if problem is None and self.guests is not None:
            self.introduce(domid, gfn, evtchn)
            self.guests.introduced(domid)
        self.answer(connection, problem)

    def introduce(self, domid: int, gfn: int, evtchn: int) -> None:
        """INTRODUCE: the domain may connect, `@introduceDomain` fires. Once more: its connection is reset."""
        domain = self.domain(domid)
        domain.gfn = gfn
        domain.evtchn = evtchn
        if domain.introduced:
            if domain.connection is not None:
                self.restart(domain.connection)
            return
        domain.introduced = True
        domain.shutdown = False
        domain.connection = self._connect(domain)
        self._fire_special(b"@introduceDomain", domid)

    def release(self, domid: int) -> None:
        """RELEASE, or the domain was destroyed: its connection and its nodes go, `@releaseDomain` fires.

        Nothing happens if it was not introduced.
        """
        domain = self._domains.get(domid)
        if domain is None or not domain.introduced or not domid:
            return
        if self.guests is not None:
            self.guests.detach(domid)
        if domain.connection is not None:
            self.disconnect(domain.connection)
        del self._domains[domid]
        for other in self._domains.values():
            if other.target == domid:
                other.target = None
        upkeep.forget(self, domid)
        self._fire_special(b"@releaseDomain", domid)

    def shut_down(self, domid: int) -> None:
        """The domain has crashed or shut down: `@releaseDomain` fires, once until RESUME."""
        domain = self._domains.get(domid)
        if domain is not None and domain.introduced and not domain.shutdown:
            domain.shutdown = True
            self._fire_special(b"@releaseDomain", domid)

    def _fire_special(self, name: bytes, domid: int) -> None:
        node = self.tree.get(name)
        if node is not None:
            self.watches.fire_special(name, domid, node.permissions)
