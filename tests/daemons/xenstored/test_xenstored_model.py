"""Transactions and permissions beside a model that is simple enough to be believed.

The model judges a commit by replaying the transaction's requests on the tree as it is then: if a transaction
may be committed, each of its replies must be what it would have been had the whole transaction run at that
moment. (The daemon may fail more transactions than need be; it must never commit one that the replay
contradicts.)
"""

from __future__ import annotations

import copy

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from purevirt.daemons.xenstored import Server
from tests.daemons.xenstored.talk import Talk, sound

OK = b"OK\0"
GUEST = 5
Answer = bytes | str | list[bytes]

PATHS = st.sampled_from([b"/g", b"/g/a", b"/g/a/b", b"/g/c", b"/h", b"/h/a", b"/"])
PERMISSIONS = st.sampled_from([b"n0", b"r0", b"b0", b"n5", b"n0 r5", b"n0 w5", b"r5 b6", b"b0 n5"])
WHO = st.sampled_from([0, GUEST])
STEPS = st.one_of(
    st.tuples(st.just("read"), PATHS),
    st.tuples(st.just("list"), PATHS),
    st.tuples(st.just("permissions"), PATHS),
    st.tuples(st.just("write"), PATHS, st.sampled_from([b"1", b"2"])),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("rm"), PATHS),
    st.tuples(st.just("allow"), PATHS, PERMISSIONS),
)


def parent(path: bytes) -> bytes:
    return path.rpartition(b"/")[0] or b"/"


class Model:
    """A store as one dict: path -> [value, permissions as text]."""

    def __init__(self) -> None:
        self.nodes: dict[bytes, list[bytes]] = {}

    def rights(self, who: int, path: bytes) -> str:
        """Some of "rwo" (o: owner)."""
        entries = self.nodes[path][1].decode().split()
        if who == 0 or int(entries[0][1:]) == who:
            return "rwo"
        letter = next((each[0] for each in entries[1:] if int(each[1:]) == who), entries[0][0])
        return {"n": "", "r": "r", "w": "w", "b": "rw"}[letter]

    def why_not(self, who: int, path: bytes, need: str) -> str | None:
        """The error of a request that needs these rights, or None."""
        if path in self.nodes and set(need) <= set(self.rights(who, path)):
            return None
        above = parent(path)
        while above not in self.nodes:
            above = parent(above)
        if path in self.nodes or not set(need) & set(self.rights(who, above)):
            return "EACCES"
        return "ENOENT"

    def do(self, who: int, step: tuple[bytes | str, ...]) -> Answer:
        kind, path, *more = step
        assert isinstance(path, bytes)
        need = {"read": "r", "list": "r", "permissions": "r", "allow": "wo"}.get(str(kind), "w")
        error = self.why_not(who, path, need)
        if error == "EACCES" or (error and need != "w"):
            return error
        if kind == "read":
            return self.nodes[path][0]
        if kind == "permissions":
            return self.nodes[path][1]
        if kind == "list":
            below = path.rstrip(b"/") + b"/"
            names = [at[len(below) :] for at in self.nodes if at.startswith(below) and at != below]
            return sorted(name for name in names if b"/" not in name)
        if kind == "allow":
            permissions = more[0]
            assert isinstance(permissions, bytes)
            if who and permissions.split()[0][1:] != self.nodes[path][1].split()[0][1:]:
                return "EPERM"
            self.nodes[path][1] = permissions
        elif kind == "rm":
            if error:
                return OK if parent(path) in self.nodes else "ENOENT"
            if path == b"/":
                return "EINVAL"
            doomed = [at for at in self.nodes if at == path or at.startswith(path + b"/")]
            for at in doomed:
                del self.nodes[at]
        else:
            if error:
                self.create(who, path)
            if kind == "write":
                assert isinstance(more[0], bytes)
                self.nodes[path][0] = more[0]
        return OK

    def create(self, who: int, path: bytes) -> None:
        above = parent(path)
        if above not in self.nodes:
            self.create(who, above)
        permissions = self.nodes[above][1]
        if who:
            first, *others = permissions.split(b" ")
            permissions = b" ".join([first[:1] + b"%d" % who, *others])
        self.nodes[path] = [b"", permissions]


class Open:
    """A transaction under way: its id at the server, and what was said in it."""

    def __init__(self, tx_id: int) -> None:
        self.tx_id = tx_id
        self.said: list[tuple[tuple[bytes | str, ...], Answer]] = []


def ask(client: Talk, step: tuple[bytes | str, ...], tx_id: int = 0) -> Answer:
    kind, *arguments = step
    answer: Answer = getattr(client, str(kind))(*arguments, tx_id=tx_id)
    return answer


class Store(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.server = Server(quotas={"nodes": 0})
        dom0 = Talk(self.server)
        guest = dom0.guest(GUEST)
        self.clients = {0: dom0, GUEST: guest}
        self.model = Model()
        self.model.nodes = {
            b"/": [b"", b"n0"],
            b"/tool": [b"", b"n0"],
            b"/tool/xenstored": [b"", b"n0"],
        }
        self.open: dict[int, list[Open]] = {0: [], GUEST: []}
        for step in (("mkdir", b"/g"), ("allow", b"/g", b"n5"), ("mkdir", b"/h"), ("allow", b"/h", b"r0")):
            assert ask(dom0, step) == self.model.do(0, step) == OK

    @rule(who=WHO, step=STEPS)
    def at_once(self, who: int, step: tuple[bytes | str, ...]) -> None:
        assert ask(self.clients[who], step) == self.model.do(who, step)

    @rule(who=WHO)
    def start(self, who: int) -> None:
        if len(self.open[who]) < 3:
            self.open[who].append(Open(self.clients[who].start()))

    @rule(who=WHO, which=st.integers(0, 2), step=STEPS)
    def within(self, who: int, which: int, step: tuple[bytes | str, ...]) -> None:
        if which < len(self.open[who]):
            transaction = self.open[who][which]
            transaction.said.append((step, ask(self.clients[who], step, transaction.tx_id)))

    @rule(who=WHO, which=st.integers(0, 2), commit=st.booleans())
    def end(self, who: int, which: int, commit: bool) -> None:
        if which >= len(self.open[who]):
            return
        transaction = self.open[who].pop(which)
        answer = self.clients[who].end(transaction.tx_id, commit=commit)
        if not commit:
            assert answer == OK
        elif answer == OK:
            for step, said in transaction.said:
                assert self.model.do(who, step) == said
        else:
            assert answer == "EAGAIN"

    @rule(who=WHO, steps=st.lists(STEPS, max_size=5))
    def undisturbed(self, who: int, steps: list[tuple[bytes | str, ...]]) -> None:
        """A transaction that nobody disturbs does what its requests would do one by one, and succeeds."""
        client = self.clients[who]
        tx_id = client.start()
        copied = copy.deepcopy(self.model)
        for step in steps:
            assert ask(client, step, tx_id) == copied.do(who, step)
        assert client.end(tx_id) == OK
        self.model = copied

    @invariant()
    def the_trees_are_the_same(self) -> None:
        tree = self.server.tree.nodes
        found = {
            path: [node.value, b" ".join(str(entry).encode() for entry in node.permissions)]
            for path, node in tree.items()
            if path[:1] == b"/"
        }
        assert found == self.model.nodes
        sound(self.server)


TestStore = Store.TestCase
TestStore.settings = settings(max_examples=60, stateful_step_count=40)
