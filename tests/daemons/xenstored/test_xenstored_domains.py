"""Domains, special watches, quotas, features and CONTROL."""

from __future__ import annotations

import pytest

from purevirt.daemons.xenstored import Server
from purevirt.daemons.xenstored.domains import DEFAULT_QUOTAS
from purevirt.wire.xenstore import Feature, Op
from tests.daemons.xenstored.talk import Talk, packets, request, sound

OK = b"OK\0"


@pytest.fixture
def guest(dom0: Talk) -> Talk:
    """Domain 5, which owns /g."""
    guest = dom0.guest(5)
    dom0.mkdir(b"/g")
    dom0.allow(b"/g", b"n5")
    return guest


def introduced(dom0: Talk, domid: int) -> bool:
    answer = dom0.ask(Op.IS_DOMAIN_INTRODUCED, b"%d\0" % domid)
    assert answer in (b"T\0", b"F\0")
    return answer == b"T\0"


# Introducing and releasing.


def test_a_domain_is_introduced_and_released(server: Server, dom0: Talk) -> None:
    assert not introduced(dom0, 5)
    assert dom0.ask(Op.INTRODUCE, b"5\x00-1\x003\0") == OK
    assert introduced(dom0, 5)
    domain = server.domain(5)
    assert (domain.gfn, domain.evtchn) == (-1, 3)
    assert dom0.ask(Op.RELEASE, b"5\0") == OK
    assert not introduced(dom0, 5)
    assert dom0.ask(Op.RELEASE, b"5\0") == "ENOENT"
    with pytest.raises(LookupError):
        server.domain_connection(5)


def test_domain_0_is_always_there(server: Server, dom0: Talk) -> None:
    assert introduced(dom0, 0)
    assert introduced(dom0, 0x7FF0)  # DOMID_SELF
    assert dom0.ask(Op.RELEASE, b"0\0") == "EINVAL"
    server.release(0)
    assert introduced(dom0, 0)


def test_introduced_again_it_starts_anew(dom0: Talk, guest: Talk) -> None:
    guest.watch(b"/g")
    guest.events()
    tx = guest.start()
    assert dom0.ask(Op.INTRODUCE, b"5\x007\x008\0") == OK
    assert guest.end(tx) == "ENOENT"
    assert guest.unwatch(b"/g") == "ENOENT"
    assert guest.events() == []


@pytest.mark.parametrize(
    "payload",
    [b"", b"5\0", b"5\x001\0", b"5\x001\x000\0", b"x\x001\x001\0", b"-1\x001\x001\0", b"32752\x001\x001\0"],
)
def test_what_introduces_nobody_is_einval(dom0: Talk, payload: bytes) -> None:
    assert dom0.ask(Op.INTRODUCE, payload) == "EINVAL"


def test_the_path_of_a_domain(dom0: Talk, guest: Talk) -> None:
    for client in (dom0, guest):
        assert client.ask(Op.GET_DOMAIN_PATH, b"5\0") == b"/local/domain/5\0"
        assert client.ask(Op.GET_DOMAIN_PATH, b"007\0") == b"/local/domain/7\0"
        assert client.ask(Op.GET_DOMAIN_PATH, b"x\0") == "EINVAL"
        assert client.ask(Op.GET_DOMAIN_PATH, b"5") == "EINVAL"


@pytest.mark.parametrize("op", [Op.RELEASE, Op.RESUME])
def test_nothing_to_do_for_a_domain_that_is_unknown(dom0: Talk, op: Op) -> None:
    assert dom0.ask(op, b"9\0") == "ENOENT"
    assert dom0.ask(op, b"0\0") == "EINVAL"
    assert dom0.ask(op, b"") == "EINVAL"


def test_a_target_must_be_introduced(dom0: Talk, guest: Talk) -> None:
    assert dom0.ask(Op.SET_TARGET, b"5\x009\0") == "ENOENT"
    assert dom0.ask(Op.SET_TARGET, b"9\x005\0") == "ENOENT"
    assert dom0.ask(Op.SET_TARGET, b"5\0") == "EINVAL"


def test_the_nodes_of_a_released_domain_go_with_all_below(dom0: Talk, guest: Talk) -> None:
    guest.write(b"/g/a/b")
    dom0.write(b"/g/by-dom0")
    dom0.write(b"/h")
    dom0.watch(b"/g/a/b")
    dom0.events()
    dom0.ask(Op.RELEASE, b"5\0")
    assert dom0.list(b"/") == [b"h", b"tool"]
    assert dom0.paths() == [b"/g/a/b"]


def test_the_rights_of_a_released_domain_go_too(dom0: Talk, guest: Talk) -> None:
    dom0.mkdir(b"/a")
    dom0.allow(b"/a", b"r0 b5 w6")
    dom0.allow(b"@releaseDomain", b"n0 r5")
    dom0.ask(Op.RELEASE, b"5\0")
    assert dom0.permissions(b"/a") == b"r0 w6"
    assert dom0.permissions(b"@releaseDomain") == b"n0"


def test_orphans_can_be_kept() -> None:
    server = Server(keep_orphans=True)
    dom0 = Talk(server)
    dom0.guest(5)
    dom0.write(b"/a/b", b"kept")
    dom0.allow(b"/a/b", b"r5 b5 w6")
    dom0.ask(Op.RELEASE, b"5\0")
    assert dom0.read(b"/a/b") == b"kept"
    assert dom0.permissions(b"/a/b") == b"r0 w6"
    sound(server)


def test_a_released_domain_is_not_heard_any_more(server: Server, dom0: Talk, guest: Talk) -> None:
    guest.watch(b"/g")
    guest.start()
    dom0.ask(Op.RELEASE, b"5\0")
    assert guest.connection.closed
    assert server.receive(guest.connection, request(Op.READ, b"/g\0")) == b""
    assert guest.connection.take() == b""


# Special watches.


def test_special_watches_tell_of_domains(server: Server, dom0: Talk) -> None:
    dom0.watch(b"@introduceDomain", b"i")
    dom0.watch(b"@releaseDomain", b"r")
    assert dom0.events() == [(b"@introduceDomain", b"i"), (b"@releaseDomain", b"r")]
    dom0.guest(5)
    assert dom0.events() == [(b"@introduceDomain", b"i")]
    dom0.guest(5)
    assert dom0.events() == []
    dom0.ask(Op.RELEASE, b"5\0")
    assert dom0.events() == [(b"@releaseDomain", b"r")]


def test_every_special_event_counts(server: Server, dom0: Talk) -> None:
    dom0.watch(b"@introduceDomain")
    dom0.events()
    server.introduce(5, 1, 1)
    server.introduce(6, 1, 1)
    assert dom0.paths() == [b"@introduceDomain"] * 2


def test_a_shutdown_is_told_once_until_resume(server: Server, dom0: Talk, guest: Talk) -> None:
    dom0.watch(b"@releaseDomain")
    dom0.events()
    server.shut_down(5)
    server.shut_down(5)
    server.shut_down(99)
    assert dom0.paths() == [b"@releaseDomain"]
    assert introduced(dom0, 5)
    assert dom0.ask(Op.RESUME, b"5\0") == OK
    server.shut_down(5)
    assert dom0.paths() == [b"@releaseDomain"]


def test_with_depth_1_they_tell_which_domain(server: Server, dom0: Talk) -> None:
    assert dom0.watch(b"@introduceDomain", b"i", b"1") == OK
    assert dom0.watch(b"@releaseDomain", b"r", b"1") == OK
    assert dom0.watch(b"@releaseDomain/6", b"only") == OK
    for depth in (b"0", b"2"):
        assert dom0.watch(b"@releaseDomain", b"x", depth) == "EINVAL"
    dom0.events()
    server.introduce(5, 1, 1)
    server.introduce(6, 1, 1)
    assert dom0.paths() == [b"@introduceDomain/5", b"@introduceDomain/6"]
    server.shut_down(5)
    server.release(6)
    assert dom0.events() == [
        (b"@releaseDomain/5", b"r"),
        (b"@releaseDomain/6", b"r"),
        (b"@releaseDomain/6", b"only"),
    ]


def test_a_guest_hears_of_domains_only_if_allowed(dom0: Talk, guest: Talk) -> None:
    guest.watch(b"@introduceDomain")
    guest.events()
    dom0.guest(6)
    assert guest.events() == []
    assert guest.allow(b"@introduceDomain", b"n5") == "EACCES"
    dom0.allow(b"@introduceDomain", b"n0 r5")
    dom0.guest(7)
    assert guest.paths() == [b"@introduceDomain"]


def test_a_special_watch_hears_of_no_nodes(dom0: Talk) -> None:
    dom0.watch(b"@any-other")
    dom0.watch(b"/")
    dom0.events()
    dom0.guest(6)
    assert dom0.events() == []


# Quotas.


def limited(server: Server, **limits: int) -> None:
    server.quotas.update({name.replace("_", "-"): limit for name, limit in limits.items()})


def test_a_guest_owns_so_many_nodes(server: Server, dom0: Talk, guest: Talk) -> None:
    limited(server, nodes=3)
    assert guest.write(b"/g/1") == OK
    assert guest.write(b"/g/2/3") == "ENOSPC"
    assert guest.write(b"/g/2") == OK
    assert guest.write(b"/g/3") == "ENOSPC"
    assert guest.write(b"/g/2", b"still") == OK
    tx = guest.start()
    assert guest.rm(b"/g/1", tx) == OK
    assert guest.write(b"/g/3", b"", tx) == OK
    assert guest.write(b"/g/4", b"", tx) == "ENOSPC"
    assert guest.end(tx) == OK
    assert dom0.write(b"/g/5") == OK


def test_a_commit_respects_the_nodes_made_meanwhile(server: Server, dom0: Talk, guest: Talk) -> None:
    limited(server, nodes=4)
    guest.mkdir(b"/g/a")
    guest.mkdir(b"/g/b")
    tx = guest.start()
    assert guest.mkdir(b"/g/a/x", tx) == OK
    assert guest.mkdir(b"/g/b/y") == OK
    assert guest.end(tx) == "ENOSPC"
    assert guest.list(b"/g/a") == []


def test_nodes_given_away_and_removed_do_not_count(server: Server, dom0: Talk, guest: Talk) -> None:
    limited(server, nodes=2)
    assert guest.write(b"/g/1") == OK
    dom0.allow(b"/g/1", b"n0")
    assert guest.write(b"/g/2") == OK
    guest.rm(b"/g/2")
    assert guest.write(b"/g/3") == OK


def test_a_node_is_so_large(server: Server, dom0: Talk, guest: Talk) -> None:
    limited(server, node_size=100)
    assert guest.write(b"/g/x", b"v" * 92) == OK
    assert guest.write(b"/g/x", b"v" * 93) == "ENOSPC"
    assert guest.write(b"/g/y", b"v" * 93) == "ENOSPC"
    assert guest.list(b"/g") == [b"x"]
    assert guest.allow(b"/g/x", b"n5 r6") == "ENOSPC"
    assert guest.write(b"/g/" + b"n" * 88) == OK
    assert guest.write(b"/g/z") == "ENOSPC"
    assert dom0.write(b"/g/x", b"v" * 4000) == OK


def test_a_guest_sets_so_many_watches(server: Server, dom0: Talk, guest: Talk) -> None:
    limited(server, watches=2)
    assert guest.watch(b"/1") == OK
    assert guest.watch(b"/2") == OK
    assert guest.watch(b"/3") == "E2BIG"
    assert guest.unwatch(b"/1") == OK
    assert guest.watch(b"/3") == OK
    assert dom0.watch(b"/1") == dom0.watch(b"/2") == dom0.watch(b"/3") == OK


def test_a_guest_has_so_many_transactions_open(server: Server, guest: Talk) -> None:
    limited(server, transactions=2)
    first = guest.start()
    guest.start()
    assert guest.ask(Op.TRANSACTION_START, b"\0") == "ENOSPC"
    guest.end(first)
    guest.start()
    guest.ask(Op.RESET_WATCHES, b"\0")
    guest.start()


def test_a_transaction_touches_so_many_nodes(server: Server, dom0: Talk, guest: Talk) -> None:
    limited(server, transaction_nodes=3)
    tx = guest.start()
    assert guest.read(b"/g", tx) == b""
    assert guest.read(b"/g/1", tx) == "ENOENT"
    assert guest.read(b"/g/2", tx) == "ENOENT"
    assert guest.read(b"/g/3", tx) == "ENOSPC"
    assert guest.read(b"/g/2", tx) == "ENOENT"
    assert guest.end(tx) == "ENOMEM"


def test_a_node_has_so_many_permissions(server: Server, dom0: Talk, guest: Talk) -> None:
    limited(server, permissions=2)
    assert guest.allow(b"/g", b"n5 r1") == OK
    assert guest.allow(b"/g", b"n5 r1 r2") == "ENOSPC"
    assert dom0.allow(b"/g", b"n5 r1 r2") == OK


def test_a_path_is_so_long(server: Server, dom0: Talk, guest: Talk) -> None:
    limited(server, path_length=20)
    dom0.mkdir(b"/local/domain/5")
    dom0.allow(b"/local/domain/5", b"n5")
    assert guest.write(b"x" * 20) == OK
    assert guest.write(b"x" * 21) == "EINVAL"
    assert guest.watch(b"/g/" + b"x" * 18) == "EINVAL"
    assert dom0.write(b"x" * 21) == OK


def test_a_released_domain_gives_its_quota_back(server: Server, dom0: Talk, guest: Talk) -> None:
    guest.watch(b"/g")
    guest.start()
    guest.write(b"/g/1")
    dom0.ask(Op.RELEASE, b"5\0")
    dom0.guest(5)
    domain = server.domain(5)
    assert (domain.watches, domain.transactions, server.tree.count_owned(5)) == (0, 0, 0)


def test_quotas_are_told_and_set(dom0: Talk) -> None:
    names = dom0.ask(Op.GET_QUOTA, b"\0")
    assert isinstance(names, bytes)
    assert {"nodes", "watches", "transactions", "node-size", "permissions"} <= set(
        names[:-1].decode().split(" ")
    )
    assert dom0.ask(Op.GET_QUOTA, b"") == names
    assert dom0.ask(Op.GET_QUOTA, b"nodes\0") == b"1000\0"
    assert dom0.ask(Op.SET_QUOTA, b"nodes\x007\0") == OK
    assert dom0.ask(Op.GET_QUOTA, b"nodes\0") == b"7\0"
    assert dom0.ask(Op.GET_QUOTA, b"9\0nodes\0") == b"7\0"
    assert dom0.ask(Op.SET_QUOTA, b"9\0nodes\x008\0") == OK
    assert dom0.ask(Op.GET_QUOTA, b"9\0nodes\0") == b"8\0"
    assert dom0.ask(Op.GET_QUOTA, b"nodes\0") == b"7\0"


def test_a_quota_for_one_domain_is_set_before_it_comes(dom0: Talk) -> None:
    assert dom0.ask(Op.SET_QUOTA, b"5\0watches\x001\0") == OK
    guest = dom0.guest(5)
    assert guest.watch(b"/1") == OK
    assert guest.watch(b"/2") == "E2BIG"
    assert dom0.ask(Op.SET_QUOTA, b"5\0watches\x000\0") == OK
    assert guest.watch(b"/2") == OK
    dom0.ask(Op.RELEASE, b"5\0")
    assert dom0.ask(Op.GET_QUOTA, b"5\0watches\0") == b"128\0"


@pytest.mark.parametrize("payload", [b"no-such\0", b"5\0no-such\0", b"x\0nodes\0", b"5\0nodes\x001\0"])
def test_no_such_quota(dom0: Talk, payload: bytes) -> None:
    assert dom0.ask(Op.GET_QUOTA, payload) == "EINVAL"


@pytest.mark.parametrize(
    "payload", [b"", b"nodes\0", b"nodes\0x\0", b"x\0nodes\x001\0", b"no\x001\0", b"\xff\x001\0"]
)
def test_no_quota_to_set(dom0: Talk, payload: bytes) -> None:
    assert dom0.ask(Op.SET_QUOTA, payload) == "EINVAL"


def test_defaults_are_given_to_the_server() -> None:
    dom0 = Talk(Server(quotas={"nodes": 3}))
    assert dom0.ask(Op.GET_QUOTA, b"nodes\0") == b"3\0"
    with pytest.raises(ValueError, match="no such quota: node"):
        Server(quotas={"node": 3})
    assert DEFAULT_QUOTAS["nodes"] == 1000


# Features.


def test_features_are_told_and_set(dom0: Talk) -> None:
    ours = b"%d\0" % (Feature.RECONNECTION | Feature.ERROR_FIELD | Feature.WATCH_DEPTH)
    assert dom0.ask(Op.GET_FEATURE, b"") == ours
    assert dom0.ask(Op.GET_FEATURE, b"\0") == ours
    assert dom0.ask(Op.GET_FEATURE, b"5\0") == ours
    assert dom0.ask(Op.SET_FEATURE, b"5\x000\0") == OK
    assert dom0.ask(Op.GET_FEATURE, b"5\0") == b"0\0"
    guest = dom0.guest(5)
    assert guest.ask(Op.GET_FEATURE, b"") == b"0\0"
    assert dom0.ask(Op.SET_FEATURE, b"5\x004\0") == "EBUSY"
    assert dom0.ask(Op.SET_FEATURE, b"6\x008\0") == "EINVAL"
    assert dom0.ask(Op.SET_FEATURE, b"6\0") == "EINVAL"
    assert dom0.ask(Op.GET_FEATURE, b"6\x007\0") == "EINVAL"


# CONTROL.


def control(dom0: Talk, *arguments: bytes) -> str:
    answer = dom0.ask(Op.CONTROL, b"".join(each + b"\0" for each in arguments))
    return answer if isinstance(answer, str) else answer[:-1].decode()


def test_control_lists_its_commands(dom0: Talk) -> None:
    commands = [line.strip() for line in control(dom0, b"help").splitlines()[1:]]
    assert commands == ["check", "help", "print", "quota"]


def test_control_counts(dom0: Talk) -> None:
    dom0.write(b"/a")
    dom0.watch(b"/a")
    dom0.guest(5)
    counts = dict(line.replace(" ", "").split(":") for line in control(dom0, b"print").splitlines())
    assert counts["nodes"] == "6"
    assert (counts["connections"], counts["domains"], counts["watches"]) == ("2", "2", "1")


def test_control_checks(server: Server, dom0: Talk) -> None:
    assert control(dom0, b"check") == "OK"
    server.tree.owned[9] = 1
    assert "nodes are owned by" in control(dom0, b"check")
    del server.tree.owned[9]


def test_control_shows_and_sets_quotas(dom0: Talk) -> None:
    assert control(dom0, b"quota", b"set", b"nodes", b"17") == "OK"
    assert "nodes            :       17" in control(dom0, b"quota")
    dom0.guest(5).watch(b"/a")
    shown = control(dom0, b"quota", b"5")
    assert shown.startswith("Domain 5:\n")
    assert "watches          :        1 (max      128)" in shown


@pytest.mark.parametrize(
    "payload", [b"", b"help", b"nonsense\0", b"quota\0set\0nodes\0", b"quota\0set\0x\x001\0", b"quota\0x\0"]
)
def test_what_control_does_not_know_is_einval(dom0: Talk, payload: bytes) -> None:
    assert dom0.ask(Op.CONTROL, payload) == "EINVAL"


def test_the_replies_come_in_the_order_of_the_requests(server: Server) -> None:
    data = b"".join(request(Op.GET_DOMAIN_PATH, b"%d\0" % number, req_id=number) for number in range(50))
    replies = list(packets(server.receive(server.connect(), data)))
    assert [packet.req_id for packet in replies] == list(range(50))
