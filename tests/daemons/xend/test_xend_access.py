"""Who may do what, what is written down of it, and how callers are told apart."""

from __future__ import annotations

import asyncio
import grp
import json
import os
import socket
import stat
from pathlib import Path

import pytest

from purevirt.channels.files.libxl import record_path
from purevirt.daemons.xend import access, audit
from purevirt.daemons.xend.access import Doorman
from purevirt.daemons.xend.audit import DENIALS, AuditLog
from purevirt.daemons.xend.operations import OPERATIONS
from purevirt.errors import Denied
from purevirt.formats.xend_results import RESULTS
from purevirt.model import Caller, DomainRef, Role
from tests.daemons.xend.world import ADMIN, NOBODY, OPERATOR, READER, both


def test_the_table_is_the_one_that_the_library_knows() -> None:
    assert set(OPERATIONS) == set(RESULTS)


def test_the_least_role_of_each_operation() -> None:
    others = {"whoami": Role.NONE, "migrate": Role.ADMIN, "saved_description": Role.OPERATOR}
    for name, operation in OPERATIONS.items():
        usual = Role.OPERATOR if operation.changes else Role.READER
        assert operation.role is others.get(name, usual), name


@pytest.mark.parametrize("caller", [NOBODY, READER], ids=["nobody", "reader"])
def test_every_change_is_refused_and_noted(tmp_path: Path, caller: Caller) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            changes = [name for name, operation in OPERATIONS.items() if operation.changes]
            before = await host.store.tree("/")
            for name in changes:
                role = OPERATIONS[name].role.name.lower()
                with pytest.raises(Denied, match=f"takes the role {role}"):
                    await xend.call(name, "test", by=caller, name="x")
            assert await host.store.tree("/") == before
            lines = xend.audit()
            assert [line["operation"] for line in lines] == changes
            assert {(line["uid"], line["role"], line["result"]) for line in lines} == {
                (caller.uid, caller.role.name.lower(), "denied")
            }

    asyncio.run(main())


def give_screen(record: Path) -> None:
    """With a password, in libxl's record of a domain."""
    known = json.loads(record.read_text().rstrip("\0"))
    record.write_text(json.dumps({**known, "vfbs": [{"vnc": {"passwd": "s3cret"}}]}))


def test_passwords_are_told_to_administrators_who_ask(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            resident = host.toolstack.find("test")
            give_screen(Path(record_path(host.root, resident.domid, str(resident.uuid))))
            for caller in (READER, OPERATOR, ADMIN):
                told = await xend.call("description", "test", by=caller)
                assert [screen.password for screen in told.description.graphics] == [None]
            for caller in (READER, OPERATOR):
                with pytest.raises(Denied, match="told to administrators only"):
                    await xend.call("description", "test", by=caller, security_info=True)
            told = await xend.call("description", "test", security_info=True)
            assert [screen.password for screen in told.description.graphics] == ["s3cret"]

    asyncio.run(main())


def test_nobody_sees_nothing_but_himself(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (_, xend):
            assert await xend.call("whoami", by=NOBODY) == NOBODY
            with pytest.raises(Denied, match="takes the role reader, and user 1003 has none"):
                await xend.call("list_domains", by=NOBODY)
            assert len(await xend.call("list_domains", by=READER)) == 2
            assert [line["operation"] for line in xend.audit()] == [
                "list_domains"
            ]  # reads are not written down

    asyncio.run(main())


def test_an_operator_changes_domains_but_not_the_host(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            await xend.call("suspend", "test", by=OPERATOR)
            with pytest.raises(Denied, match="of Domain 0 takes the role admin"):
                await xend.call("set_memory", 0, by=OPERATOR, kib=524288)
            assert not await host.store.exists("/local/domain/0/memory/target")
            results = [(line["operation"], line["role"], line["result"]) for line in xend.audit()]
            assert results == [("suspend", "operator", "done"), ("set_memory", "operator", "denied")]

    asyncio.run(main())


def test_what_an_audit_line_says(tmp_path: Path) -> None:
    async def main() -> None:
        async with asyncio.timeout(30), both(tmp_path) as (host, xend):
            await xend.call("set_memory", "test", by=OPERATOR, kib=131072)
            with pytest.raises(Exception, match="can have"):
                await xend.call("set_memory", "test", kib=1)
            done, failed = xend.audit()
            uuid = str(host.toolstack.find("test").uuid)
            assert done.pop("seconds") >= 0
            assert done.pop("time").endswith("Z")
            assert done == {
                "uid": 1001,
                "gid": 1001,
                "pid": 2,
                "role": "operator",
                "operation": "set_memory",
                "domain": {"uuid": uuid, "domid": 1, "name": "test"},
                "arguments": {"kib": 131072},
                "result": "done",
                "error": None,
            }
            assert (failed["result"], failed["role"]) == ("InvalidConfig", "admin")
            assert "4 to 262144 KiB" in failed["error"]

    asyncio.run(main())


# --- the log's file


def record(log: AuditLog, **arguments: object) -> None:
    log.record(ADMIN, "suspend", DomainRef(bytes(16), 1, "test"), arguments, result="done")


@pytest.mark.parametrize(
    ("domain", "shown"),
    [
        (None, None),
        (DomainRef(b"", None, None), {"uuid": None, "domid": None, "name": None}),
        (
            DomainRef(bytes(range(16)), 7, 'a "quoted"\n\\ ä \udcff name'),
            {
                "uuid": "00010203-0405-0607-0809-0a0b0c0d0e0f",
                "domid": 7,
                "name": 'a "quoted"\n\\ ä \udcff name',
            },
        ),
    ],
)
def test_a_line_is_one_of_json_whatever_is_in_it(
    domain: DomainRef | None, shown: object, tmp_path: Path
) -> None:
    log = AuditLog(str(tmp_path / "audit.log"))
    arguments = {"mode": 'power"off', "kib": 5, "live": True, "none": None}
    log.record(READER, 'a "b"\n', domain, arguments, result="fault", error='x: "y"\n', seconds=0.25)
    log.record(ADMIN, "resume", domain, {}, result="done", seconds=1e-9)
    first, second = Path(log.path).read_bytes().splitlines()
    assert json.loads(first) == {
        "time": json.loads(first)["time"],
        "uid": READER.uid,
        "gid": READER.gid,
        "pid": READER.pid,
        "role": "reader",
        "operation": 'a "b"\n',
        "domain": shown,
        "arguments": arguments,
        "result": "fault",
        "error": 'x: "y"\n',
        "seconds": 0.25,
    }
    assert first == json.dumps(json.loads(first)).encode()
    assert json.loads(second)["error"] is None
    assert json.loads(second)["arguments"] == {}
    assert second == json.dumps(json.loads(second)).encode()


def test_the_log_is_made_with_its_directory_and_survives_rotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "_MOVED", 0.0)
    log = AuditLog(str(tmp_path / "deep" / "audit.log"))
    record(log)
    assert stat.S_IMODE(os.stat(log.path).st_mode) & 0o137 == 0
    os.rename(log.path, f"{log.path}.1")
    record(log)
    assert len(Path(log.path).read_text().splitlines()) == 1
    assert log.lost == 0


def test_a_line_that_cannot_be_written_is_said_once_and_fails_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "audit.log").symlink_to(tmp_path / "elsewhere")
    log = AuditLog(str(tmp_path / "audit.log"))
    record(log)
    record(log)
    assert log.lost == 2
    assert (tmp_path / "elsewhere").read_text() == ""
    assert len([entry for entry in caplog.records if "cannot be written" in entry.message]) == 1
    os.unlink(log.path)
    record(log)
    assert log.lost == 2


def test_one_line_whatever_the_arguments(tmp_path: Path) -> None:
    log = AuditLog(str(tmp_path / "audit.log"))
    record(log, name="two\nlines\ud800", cpus=list(range(100000)), more="x" * 100000)
    (line,) = Path(log.path).read_bytes().splitlines()
    assert len(line) < 2000


def test_who_is_refused_all_the_time_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr("purevirt.daemons.xend.audit.time.monotonic", lambda: now[0])
    log = AuditLog(str(tmp_path / "audit.log"))
    for _ in range(DENIALS + 50):
        log.denied(READER, "suspend", None, {str(number): 0 for number in range(1000)})
    log.denied(NOBODY, "suspend", None, {})
    lines = Path(log.path).read_text().splitlines()
    assert len(lines) == DENIALS + 1
    assert max(map(len, lines)) < 2000
    now[0] += 60.0
    log.denied(READER, "suspend", None, {})
    log.denied(READER, "suspend", None, {})
    more, last = Path(log.path).read_text().splitlines()[-2:]
    assert json.loads(more)["error"] == "and 50 more before"
    assert json.loads(last)["error"] is None


# --- who is there


def peer() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)


def test_the_user_that_the_daemon_runs_as_is_admin() -> None:
    ours, theirs = peer()
    with ours, theirs:
        caller = Doorman().caller_of(ours)
        assert caller == Caller(os.geteuid(), os.getegid(), os.getpid(), Role.ADMIN)


def test_a_connection_that_is_no_unix_socket_is_anonymous() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        accepted, _ = server.accept()
        with accepted:
            assert Doorman().caller_of(accepted) == Caller(-1, -1, 0, Role.NONE)
            # Whatever is configured: nobody without a name is more than a reader.
            for asked in (Role.READER, Role.OPERATOR, Role.ADMIN):
                assert Doorman(anonymous=asked).caller_of(accepted).role is Role.READER


def test_a_peer_that_the_kernel_does_not_know_has_no_role() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        assert Doorman().caller_of(sock).role is Role.NONE


def test_roles_by_group() -> None:
    group = grp.getgrall()[0]
    other = grp.getgrall()[1]
    doorman = Doorman(group.gr_name, other.gr_name)
    assert doorman.role_of(frozenset((group.gr_gid,))) is Role.READER
    assert doorman.role_of(frozenset((group.gr_gid, other.gr_gid))) is Role.OPERATOR
    assert doorman.role_of(frozenset((123456789,))) is Role.NONE
    assert Doorman("no-such-group").role_of(frozenset((0, 1, 2))) is Role.NONE
    assert Doorman(None).role_of(frozenset((0,))) is Role.NONE


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize(("groups", "role"), [([], Role.NONE), ([6], Role.READER), ([6, 7], Role.OPERATOR)])
def test_supplementary_groups_of_the_peer(tmp_path: Path, groups: list[int], role: Role) -> None:
    names = {entry.gr_gid: entry.gr_name for entry in grp.getgrall()}
    doorman = Doorman(names[6], names[7])
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        os.chmod(path, 0o666)
        server.listen(1)
        child = _connect_as(path, 12345, groups)
        accepted, _ = server.accept()
        with accepted:
            caller = doorman.caller_of(accepted)
        assert os.waitpid(child, 0)[1] == 0
    assert caller == Caller(12345, 12345, child, role)


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
def test_a_peer_in_very_many_groups(tmp_path: Path) -> None:
    names = {entry.gr_gid: entry.gr_name for entry in grp.getgrall()}
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        os.chmod(path, 0o666)
        server.listen(1)
        child = _connect_as(path, 12345, [6, *range(50000, 50400)])
        accepted, _ = server.accept()
        with accepted:
            assert Doorman(names[6]).caller_of(accepted).role is Role.READER
            # A process that is not the peer's any more is not believed.
            assert access._groups_of_process(child, 54321) == ()
        assert os.waitpid(child, 0)[1] == 0
    assert access._groups_of_process(child, 12345) == ()


def _connect_as(path: str, uid: int, groups: list[int]) -> int:
    """A child process of that user that connects, and holds on until it is hung up on."""
    os.chmod(os.path.dirname(path), 0o755)
    opened = os.open(os.path.dirname(path), os.O_PATH)
    child = os.fork()
    if child:
        os.close(opened)
        return child
    try:
        os.setgroups(groups)
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(f"/proc/self/fd/{opened}/socket")
            sock.recv(1)
        os._exit(0)
    except BaseException:
        os._exit(1)
