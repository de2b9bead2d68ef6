"""The client's logic, over a transport that is a function."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable

import pytest

from purevirt import errors
from purevirt._run import run_blocking
from purevirt.channels.xenstore.client import Feature, Permission, StoreClient, Transaction
from purevirt.channels.xenstore.nodes import PART_RESTARTS
from purevirt.wire.xenstore import Op
from tests.channels.xenstore.fakes import Answer, Scripted


def client(answer: Answer, *, read_only: bool = False) -> tuple[StoreClient, Scripted]:
    transport = Scripted(answer)
    return StoreClient(transport, read_only=read_only), transport


def tree_of(nodes: dict[str, bytes | str]) -> Answer:
    """READ and DIRECTORY on a dict; a value of text is an errno's name."""

    def answer(op: int, tx_id: int, payload: bytes) -> bytes | str:
        path = payload[:-1].decode()
        value = nodes.get(path, "ENOENT")
        if op == Op.READ or isinstance(value, str):
            return value
        prefix = path.rstrip("/") + "/"
        names = [name[len(prefix) :] for name in nodes if name.startswith(prefix) and name != prefix]
        return b"".join(name.encode() + b"\0" for name in names if "/" not in name)

    return answer


NODES: dict[str, bytes | str] = {
    "/": b"",
    "/local": b"",
    "/local/domain": b"",
    "/local/domain/0": b"",
    "/local/domain/0/name": b"Domain-0",
    "/tool": b"t",
}


def test_many_nodes_are_one_exchange_and_missing_ones_are_none() -> None:
    store, transport = client(tree_of(NODES))
    assert run_blocking(store.read_many(["/tool", "/nope", b"/local"])) == [b"t", None, b""]
    assert run_blocking(store.read_many(iter(["/tool"]))) == [b"t"]
    assert run_blocking(store.directory_many(["/", "/nope", "/tool"])) == [["local", "tool"], None, []]
    assert [len(exchange) for exchange in transport.asked] == [3, 1, 3]


def test_another_error_among_many_is_raised_with_its_path() -> None:
    store, _ = client(tree_of(NODES | {"/secret": "EACCES"}))
    for call in (store.read_many(["/tool", "/secret"]), store.directory_many(["/tool", "/secret"])):
        with pytest.raises(errors.Denied) as caught:
            run_blocking(call)
        assert caught.value.path == "/secret"


def test_a_missing_node_is_an_error_that_says_where() -> None:
    store, _ = client(tree_of(NODES))
    with pytest.raises(errors.NoSuchNode) as caught:
        run_blocking(store.read(b"/nope"))
    assert (caught.value.operation, caught.value.path, caught.value.errno) == ("read", "/nope", errno.ENOENT)
    assert caught.value.exit_status == 3
    assert run_blocking(store.exists("/tool"))
    assert not run_blocking(store.exists("/nope"))


def test_a_tree_is_one_exchange_per_level_in_the_order_of_a_walk() -> None:
    store, transport = client(tree_of(NODES))
    assert list(run_blocking(store.tree("/")).items()) == list(NODES.items())
    assert len(transport.asked) == 6  # the top's value, then levels 0 to 4; the last finds nothing below
    assert run_blocking(store.tree("/local/domain/0/name")) == {"/local/domain/0/name": b"Domain-0"}


def test_a_tree_leaves_out_what_vanishes_and_what_is_denied() -> None:
    listing = tree_of(NODES | {"/tool/a": b"1", "/tool/b": b"2", "/tool/c": b"3"})

    def answer(op: int, tx_id: int, payload: bytes) -> bytes | str:
        if payload == b"/tool/a\0":
            return "ENOENT"
        if payload == b"/tool/b\0":
            return "EACCES"
        return listing(op, tx_id, payload)

    store, _ = client(answer)
    assert run_blocking(store.tree("/tool")) == {"/tool": b"t", "/tool/c": b"3"}
    with pytest.raises(errors.NoSuchNode):
        run_blocking(store.tree("/tool/a"))


def test_a_tree_passes_on_other_errors() -> None:
    store, _ = client(tree_of(NODES | {"/tool/a": "EIO"}))
    with pytest.raises(errors.StoreError, match="EIO"):
        run_blocking(store.tree("/tool"))


# --- long directories


def parts(listings: list[bytes], size: int = 10) -> tuple[Answer, list[int]]:
    """A server with DIRECTORY_PART; it moves on to the next listing (and generation) each time one is begun."""
    offsets: list[int] = []
    state = {"generation": 0}

    def answer(op: int, tx_id: int, payload: bytes) -> bytes | str:
        if op == Op.DIRECTORY:
            return "E2BIG"
        offset = int(payload.split(b"\0")[1])
        if offset > 0 and state["generation"] < len(listings):
            state["generation"] += 1
        offsets.append(offset)
        generation = max(1, state["generation"])
        listing = listings[generation - 1]
        chunk = listing[offset : offset + size]
        end = b"\0" if offset + size >= len(listing) else b""
        return b"%d\0" % generation + chunk + end

    return answer, offsets


NAMES = [f"name{number}" for number in range(20)]
LISTING = b"".join(name.encode() + b"\0" for name in NAMES)


def test_a_long_directory_comes_in_parts() -> None:
    answer, offsets = parts([LISTING], size=14)
    store, _ = client(answer)
    assert run_blocking(store.directory("/a")) == NAMES
    assert offsets == list(range(0, len(LISTING), 14))
    assert run_blocking(store.directory_many(["/a", "/a"])) == [NAMES, NAMES]


def test_parts_begin_anew_when_the_directory_has_changed() -> None:
    answer, offsets = parts([LISTING, LISTING, b"only\0"])
    store, _ = client(answer)
    assert run_blocking(store.directory("/a")) == ["only"]
    assert offsets.count(0) > 1


def test_a_directory_that_never_rests_is_given_up() -> None:
    generation = iter(range(10_000))

    def answer(op: int, tx_id: int, payload: bytes) -> bytes | str:
        return "E2BIG" if op == Op.DIRECTORY else b"%d\0abc\0" % next(generation)

    store, transport = client(answer)
    with pytest.raises(errors.StoreError, match=f"changed {PART_RESTARTS} times"):
        run_blocking(store.directory("/a"))
    assert len(transport.asked) == 1 + 2 * PART_RESTARTS


@pytest.mark.parametrize("name", ["ENOSYS", "EINVAL"])
def test_a_daemon_without_parts_is_told_as_unsupported(name: str) -> None:
    store, _ = client(lambda op, tx_id, payload: "E2BIG" if op == Op.DIRECTORY else name)
    with pytest.raises(errors.Unsupported, match="/a has too many children") as caught:
        run_blocking(store.directory("/a"))
    assert caught.value.path == "/a"


def test_a_long_directory_that_vanishes_is_missing() -> None:
    store, _ = client(lambda op, tx_id, payload: "E2BIG" if op == Op.DIRECTORY else "ENOENT")
    with pytest.raises(errors.NoSuchNode):
        run_blocking(store.directory("/a"))
    assert run_blocking(store.directory_many(["/a"])) == [None]


# --- writing


def test_changes_are_sent_as_the_protocol_says() -> None:
    store, transport = client(lambda op, tx_id, payload: b"OK\0")
    run_blocking(store.write("/a", "é"))
    run_blocking(store.write_many([("/b", b"1"), ("/c", "2")]))
    run_blocking(store.mkdir("/d"))
    run_blocking(store.rm("/e"))
    run_blocking(store.set_perms("/f", ["n0", Permission("r", 5)]))
    run_blocking(store.introduce(3, 4, 5))
    run_blocking(store.release(3))
    run_blocking(store.resume(3))
    run_blocking(store.set_target(4, 3))
    run_blocking(store.reset_watches())
    assert [request for exchange in transport.asked for request in exchange] == [
        (Op.WRITE, 0, b"/a\0\xc3\xa9"),
        (Op.WRITE, 0, b"/b\x001"),
        (Op.WRITE, 0, b"/c\x002"),
        (Op.MKDIR, 0, b"/d\0"),
        (Op.RM, 0, b"/e\0"),
        (Op.SET_PERMS, 0, b"/f\0n0\0r5\0"),
        (Op.INTRODUCE, 0, b"3\x004\x005\0"),
        (Op.RELEASE, 0, b"3\0"),
        (Op.RESUME, 0, b"3\0"),
        (Op.SET_TARGET, 0, b"4\x003\0"),
        (Op.RESET_WATCHES, 0, b"\0"),
    ]


def test_the_first_failure_of_many_writes_is_raised() -> None:
    store, _ = client(lambda op, tx_id, payload: "EACCES" if payload.startswith(b"/b") else b"OK\0")
    with pytest.raises(errors.Denied) as caught:
        run_blocking(store.write_many([("/a", "1"), ("/b", "2")]))
    assert caught.value.path == "/b"
    run_blocking(store.write_many([]))


CHANGES: list[Callable[[StoreClient], Awaitable[object]]] = [
    lambda store: store.write("/a", ""),
    lambda store: store.write_many([("/a", "")]),
    lambda store: store.mkdir("/a"),
    lambda store: store.rm("/a"),
    lambda store: store.set_perms("/a", ["n0"]),
    lambda store: store.introduce(1, 1, 1),
    lambda store: store.release(1),
    lambda store: store.resume(1),
    lambda store: store.set_target(1, 2),
    lambda store: store.control("check"),
    lambda store: store.set_feature(1, 1),
    lambda store: store.set_quota("nodes", 1),
]


@pytest.mark.parametrize("change", CHANGES)
def test_read_only_refuses_every_change_before_a_byte_is_sent(
    change: Callable[[StoreClient], Awaitable[object]],
) -> None:
    store, transport = client(lambda op, tx_id, payload: b"OK\0", read_only=True)
    with pytest.raises(errors.ReadOnly, match="open read-only") as caught:
        run_blocking(change(store))  # type: ignore[arg-type]
    assert caught.value.exit_status == 4
    assert transport.asked == []
    assert store.read_only


def test_read_only_covers_transactions_too() -> None:
    store, transport = client(lambda op, tx_id, payload: b"9\0", read_only=True)
    view = run_blocking(store.begin())
    with pytest.raises(errors.ReadOnly):
        run_blocking(view.write("/a", ""))
    assert len(transport.asked) == 1


def test_a_reply_that_is_not_ok_is_the_servers_fault() -> None:
    store, _ = client(lambda op, tx_id, payload: b"KO\0")
    with pytest.raises(errors.RemoteProtocolError, match="where OK belongs"):
        run_blocking(store.write("/a", ""))


def test_a_refused_change_of_a_domain_names_the_domain() -> None:
    store, _ = client(lambda op, tx_id, payload: "EINVAL")
    with pytest.raises(errors.StoreError) as caught:
        run_blocking(store.introduce(3, 4, 5))
    assert (caught.value.operation, caught.value.domain) == ("introduce", "3")


# --- the daemon


def test_questions_about_domains_and_the_daemon() -> None:
    answers = {
        Op.IS_DOMAIN_INTRODUCED: b"T\0",
        Op.GET_DOMAIN_PATH: b"/local/domain/3\0",
        Op.CONTROL: b"help text\0",
        Op.GET_PERMS: b"n0\0r5\0",
        Op.GET_FEATURE: b"5\0",
        Op.GET_QUOTA: b"nodes watches\0",
        Op.SET_FEATURE: b"OK\0",
        Op.SET_QUOTA: b"OK\0",
    }
    store, transport = client(lambda op, tx_id, payload: answers[Op(op)])
    assert run_blocking(store.is_domain_introduced(3))
    assert run_blocking(store.get_domain_path(3)) == "/local/domain/3"
    assert run_blocking(store.control("help", "me")) == "help text"
    assert run_blocking(store.get_perms("/a")) == (Permission("n", 0), Permission("r", 5))
    assert run_blocking(store.get_feature(3)) == Feature.RECONNECTION | Feature.WATCH_DEPTH
    run_blocking(store.set_feature(3, Feature.ERROR_FIELD))
    run_blocking(store.set_quota("nodes", 7, 3))
    assert run_blocking(store.quota_names()) == ["nodes", "watches"]
    answers[Op.GET_QUOTA] = b"1000\0"
    assert run_blocking(store.get_quota("nodes", 3)) == 1000
    assert transport.asked[-1] == [(Op.GET_QUOTA, 0, b"3\0nodes\0")]


def test_a_request_without_payload_is_never_alone() -> None:
    """oxenstored does not look at an empty packet before more bytes come."""
    store, transport = client(lambda op, tx_id, payload: b"7\0")
    run_blocking(store.get_feature())
    run_blocking(store.quota_names())
    for exchange in transport.asked:
        assert exchange[0][2] == b""
        assert exchange[1] == (Op.GET_DOMAIN_PATH, 0, b"0\0")


@pytest.mark.parametrize("name", ["ENOSYS", "EINVAL"])
def test_old_daemons_do_not_know_features_and_quotas(name: str) -> None:
    store, _ = client(lambda op, tx_id, payload: name)
    for call in (store.get_feature(), store.quota_names()):
        with pytest.raises(errors.Unsupported, match="unknown to this Xen Store daemon"):
            run_blocking(call)


def test_another_errno_of_the_new_operations_is_itself() -> None:
    store, _ = client(lambda op, tx_id, payload: "EINVAL")
    with pytest.raises(errors.StoreError, match="EINVAL"):
        run_blocking(store.get_quota("no-such-quota"))


# --- deadlines


def test_calls_use_the_clients_deadline_or_their_own() -> None:
    transport = Scripted(lambda op, tx_id, payload: b"v")
    store = StoreClient(transport, timeout=7)
    run_blocking(store.read("/a"))
    run_blocking(store.read("/a", timeout=3))
    run_blocking(store.read_many(["/a"], timeout=4))
    assert transport.timeouts == [7, 3, 4]


def test_what_takes_several_exchanges_has_one_deadline_for_all() -> None:
    store, transport = client(tree_of(NODES))
    run_blocking(store.tree("/", timeout=50))
    assert transport.timeouts == sorted(transport.timeouts, key=lambda left: -(left or 0))
    assert all(left is not None and 0 < left <= 50 for left in transport.timeouts)


def test_no_deadline_is_no_deadline() -> None:
    transport = Scripted(tree_of(NODES))
    run_blocking(StoreClient(transport, timeout=None).tree("/"))
    assert set(transport.timeouts) == {None}


# --- transactions


class Transactional:
    """A server of transactions that loses the first `conflicts` of them."""

    def __init__(self, conflicts: int) -> None:
        self.conflicts = conflicts
        self.log: list[str] = []
        self.number = 10

    def __call__(self, op: int, tx_id: int, payload: bytes) -> bytes | str:
        if op == Op.TRANSACTION_START:
            assert (tx_id, payload) == (0, b"\0")
            self.number += 1
            self.log.append("begin")
            return b"%d\0" % self.number
        assert tx_id == self.number
        if op != Op.TRANSACTION_END:
            return b"OK\0" if op == Op.WRITE else b"v"
        if payload == b"F\0":
            self.log.append("abort")
            return b"OK\0"
        if self.conflicts > 0:
            self.conflicts -= 1
            self.log.append("conflict")
            return "EAGAIN"
        self.log.append("commit")
        return b"OK\0"


async def _touch(view: Transaction) -> bytes:
    value = await view.read("/a")
    await view.write("/b", value)
    return value


def test_a_transaction_is_committed_and_returns_what_the_body_returned() -> None:
    server = Transactional(0)
    store, transport = client(server)
    assert run_blocking(store.transaction(_touch)) == b"v"
    assert server.log == ["begin", "commit"]
    assert [request[1] for exchange in transport.asked for request in exchange] == [0, 11, 11, 11]


def test_a_conflict_runs_the_whole_body_again() -> None:
    server = Transactional(2)
    store, transport = client(server)
    assert run_blocking(store.transaction(_touch)) == b"v"
    assert server.log == ["begin", "conflict", "begin", "conflict", "begin", "commit"]
    assert transport.paused == []


def test_retries_are_bounded_and_slow_down() -> None:
    server = Transactional(1000)
    store, transport = client(server)
    with pytest.raises(errors.TransactionConflict, match="lost to another writer 11 times"):
        run_blocking(store.transaction(_touch, retries=10))
    assert server.log.count("begin") == 11
    assert len(transport.paused) == 7
    assert transport.paused == sorted(transport.paused)
    assert max(transport.paused) <= 0.1


def test_no_retries_is_one_attempt() -> None:
    server = Transactional(1)
    store, _ = client(server)
    with pytest.raises(errors.TransactionConflict):
        run_blocking(store.transaction(_touch, retries=0))
    assert server.log == ["begin", "conflict"]


def test_an_exception_in_the_body_aborts_and_is_passed_on() -> None:
    server = Transactional(0)
    store, _ = client(server)

    async def body(view: Transaction) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run_blocking(store.transaction(body))
    assert server.log == ["begin", "abort"]


def test_a_body_may_end_its_transaction_itself() -> None:
    server = Transactional(0)
    store, _ = client(server)

    async def body(view: Transaction) -> int:
        await view.abort()
        return 5

    assert run_blocking(store.transaction(body)) == 5
    assert server.log == ["begin", "abort"]


def test_a_transaction_can_be_driven_by_hand() -> None:
    server = Transactional(1)
    store, _ = client(server)
    view = run_blocking(store.begin())
    assert (view.tx_id, view.ended) == (11, False)
    with pytest.raises(errors.TransactionConflict, match="lost to another writer") as caught:
        run_blocking(view.commit())
    assert caught.value.errno == errno.EAGAIN
    assert view.ended
    run_blocking(view.abort())  # it has ended: nothing happens
    with pytest.raises(errors.Closed, match="the transaction has ended"):
        run_blocking(view.read("/a"))
    for call in (view.read_many(["/a"]), view.directory_many(["/a"]), view.write_many([("/a", "")])):
        with pytest.raises(errors.Closed, match="the transaction has ended"):
            run_blocking(call)
    assert server.log == ["begin", "conflict"]


@pytest.mark.parametrize("reply", [b"0\0", b"x\0", b""])
def test_a_transaction_without_a_number_is_the_servers_fault(reply: bytes) -> None:
    store, _ = client(lambda op, tx_id, payload: reply)
    with pytest.raises(errors.RemoteProtocolError):
        run_blocking(store.begin())


def test_closing() -> None:
    store, transport = client(lambda op, tx_id, payload: b"")

    async def scenario() -> None:
        async with store as same:
            assert same is store
            assert not store.closed

    run_blocking(scenario())
    assert store.closed
    assert transport.closed


def test_watches_need_a_way_to_connect() -> None:
    store, _ = client(lambda op, tx_id, payload: b"")
    with pytest.raises(errors.ChannelUnavailable, match="not a way to make another"):
        run_blocking(store.open_watcher())
