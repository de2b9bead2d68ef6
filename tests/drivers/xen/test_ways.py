"""The four ways of being connected: with and without hypercalls, with and without the Xen daemon."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import purevirt
from purevirt import errors, testing
from purevirt.api.uri import root_uri
from purevirt.channels.xend import SOCKET
from purevirt.drivers.xen.routes import table
from purevirt.formats.xend_json import Call
from purevirt.formats.xend_results import RESULTS
from purevirt.model import (
    Access,
    AttachedDevice,
    Channel,
    Definition,
    DefinitionText,
    DomainRef,
    DomainState,
    DomainType,
    Job,
    JobKind,
    JobState,
    Role,
    SchedulerParameters,
    VcpuCount,
)
from tests.support.http_peer import ScriptedPeer
from tests.support.memory_host import MemoryHost
from tests.support.rpc_peer import RpcPeer

Do = Callable[..., Any]

# Each change: how the API is called, and what the daemon hears of it.
DISK = "<disk><target dev='xvdb'/></disk>"
NAMED = "<disk>\n  <target dev='xvdb'/>\n</disk>"
CHANGES: dict[str, tuple[str, tuple[Any, ...], dict[str, Any], dict[str, Any]]] = {
    "suspend": ("suspend", (), {}, {}),
    "resume": ("resume", (), {}, {}),
    "destroy": ("destroy", (), {}, {}),
    "shutdown": ("shutdown", ("halt",), {}, {"mode": "halt"}),
    "reboot": ("reboot", (), {}, {}),
    "set_memory": ("set_memory", (65536,), {}, {"kib": 65536}),
    "set_max_memory": ("set_max_memory", (131072,), {}, {"kib": 131072}),
    "set_vcpus": ("set_vcpus", (2,), {}, {"count": 2}),
    "pin_vcpu": ("pin_vcpu", (0, {2, 1}), {"soft": True}, {"vcpu": 0, "cpus": [1, 2], "soft": True}),
    "set_scheduler_parameters": ("set_scheduler_parameters", (), {"weight": 512}, {"weight": 512}),
    "rename": ("rename", ("other",), {}, {"name": "other"}),
    "attach_device": ("attach_device", (DISK,), {}, {"device": DISK, "format": None}),
    "detach_device": ("detach_disk", ("xvdb",), {}, {"device": NAMED, "format": "xml", "force": False}),
    "update_device": (
        "change_media",
        ("hdc", "/x.iso"),
        {},
        {"device": "vdev=hdc, devtype=cdrom, target=/x.iso", "format": "xl-disk"},
    ),
    "send_sysrq": ("send_sysrq", ("s",), {}, {"key": "s"}),
    "inject_nmi": ("inject_nmi", (), {}, {}),
    "send_trigger": ("send_trigger", ("power",), {}, {"trigger": "power", "vcpu": 0}),
}
# Those that are about what the daemon remembers, and its jobs: how they are asked, and what the daemon hears.
TEXT = "name = 'x'"
RUNNING = Job(7, JobKind.START, UUID(int=5), "test", JobState.RUNNING, 0, 1.0)
_LEAVING: dict[str, Any] = {"deadline": None}
MANAGED: dict[str, tuple[Callable[[Any, Any], Any], dict[str, Any]]] = {
    "define": (
        lambda c, d: c.define(TEXT, revision=3),
        {"text": TEXT, "format": None, "revision": 3},
    ),
    "undefine": (lambda c, d: d.undefine(managed_save=True), {"managed_save": True}),
    "set_autostart": (lambda c, d: d.set_autostart(order=4), {"autostart": True, "order": 4}),
    "start": (
        lambda c, d: d.start(paused=True, wait=False),
        {"paused": True, "force_boot": False, **_LEAVING},
    ),
    "create": (
        lambda c, d: c.create(TEXT, format="xen-xl", wait=False),
        {"text": TEXT, "format": "xen-xl", "paused": False, **_LEAVING},
    ),
    "restore": (
        lambda c, d: c.restore("/s", wait=False, deadline=9.0),
        {"path": "/s", "text": None, "format": None, "paused": False, "deadline": 9.0},
    ),
    "save": (lambda c, d: d.save("/s", wait=False), {"path": "/s", **_LEAVING}),
    "managed_save": (lambda c, d: d.managed_save(wait=False), _LEAVING),
    "managed_save_remove": (lambda c, d: d.managed_save_remove(), {}),
    "dump": (
        lambda c, d: d.dump("/c", live=True, wait=False),
        {"path": "/c", "live": True, "crash": False, **_LEAVING},
    ),
    "migrate": (
        lambda c, d: d.migrate("other", command=("ssh", "-4"), wait=False),
        {"host": "other", "command": ["ssh", "-4"], "live": True, **_LEAVING},
    ),
    "adopt": (lambda c, d: d.adopt(), {}),
    "job_cancel": (lambda c, d: c.cancel_job(7), {"id": 7}),
}
OF_THE_HOST = ("define", "create", "restore", "job_cancel")
DEFINITION = Definition(bytes(16), "test", 1, "xen-xl", DomainType.PV, 1, 1, 1, 1)
ATTACHED = AttachedDevice("disk", 51728, "xvdb", None, "/x.img")
ANSWERS = {
    "set_memory": 65536,
    "set_vcpus": VcpuCount(2, 1),
    **dict.fromkeys(("attach_device", "detach_device", "update_device"), ATTACHED),
    "define": DEFINITION,
    **dict.fromkeys(("start", "create", "restore", "save", "managed_save"), RUNNING),
    **dict.fromkeys(("dump", "migrate", "job_cancel"), RUNNING),
}


def carried_out(call: Call) -> object:
    return ANSWERS.get(call.operation)


ALL_CHANGES = dict.fromkeys((*CHANGES, *MANAGED), carried_out)


@pytest.fixture(scope="module")
def shared() -> Iterator[testing.Host]:
    with testing.Host(held=True, xend=False) as found:
        yield found


@pytest.fixture
def host(shared: testing.Host) -> testing.Host:
    """A host without a daemon, and without the socket of one that was."""
    Path(shared.root + SOCKET).unlink(missing_ok=True)
    return shared


@pytest.fixture(params=["blocking", "aio"])
def do(request: pytest.FixtureRequest) -> Iterator[Do]:
    """Runs a call of either half of the API: `do(connection.version)`; `do("open", uri)` opens."""
    loop = asyncio.new_event_loop() if request.param == "aio" else None

    def run(function: Callable[..., Any] | str, *args: Any, **kwargs: Any) -> Any:
        if isinstance(function, str):
            function = getattr(purevirt, function.replace("open", "open_async") if loop else function)
        assert callable(function)
        result = function(*args, **kwargs)
        return loop.run_until_complete(result) if loop and inspect.isawaitable(result) else result

    yield run
    if loop is not None:
        loop.close()


def test_every_change_of_the_table_is_tried_here() -> None:
    assert {*CHANGES, *MANAGED} == {name for name, row in table().items() if row.change}


def test_what_the_table_gives_to_the_daemon_can_be_asked_of_it() -> None:
    driver = MemoryHost().driver
    for name, row in table().items():
        if Channel.DAEMON in row.ro_daemon.channels and name not in ("events", "whoami", *REMEMBERED):
            assert getattr(driver, name).operation == name
            assert name in RESULTS


def test_a_cell_without_a_channel_says_why_there_is_none() -> None:
    for name, row in table().items():
        for access in Access:
            served = row.on(access)
            assert served.channels or served.note, f"{name} on {access.value}"


def test_the_way_is_what_answered_when_it_was_opened(host: testing.Host, do: Do) -> None:
    def ways() -> list[str]:
        found = []
        for opener in ("open", "open_read_only"):
            connection = do(opener, host.uri)
            assert connection.read_only is (opener == "open_read_only")
            found.append(connection._access.value)
            assert connection.has_daemon is connection._access.value.endswith("+daemon")
            assert len(connection.explain()) == len(table())
            do(connection.close)
        return found

    assert ways() == ["rw", "ro"]
    with RpcPeer(host.root):
        assert ways() == ["rw+daemon", "ro+daemon"]
    assert ways() == ["rw", "ro"]  # its socket is still there, and nobody listens


@pytest.mark.parametrize("operation", CHANGES)
def test_a_change_without_a_daemon_says_what_to_start(host: testing.Host, operation: str) -> None:
    method, args, kwargs, _ = CHANGES[operation]
    with purevirt.open(host.uri) as connection:
        domain = connection.lookup_by_name("test")
        with pytest.raises(errors.ChannelUnavailable) as caught:
            getattr(domain, method)(*args, **kwargs)
    assert str(caught.value).startswith(f"{operation} needs the Xen daemon, and none answered")
    assert "there is no such file" in str(caught.value)
    assert f"start it with 'purevirt xend --root {host.root}', then open" in str(caught.value)
    assert (caught.value.operation, caught.value.channel) == (operation, "daemon")


@pytest.mark.parametrize("operation", CHANGES)
def test_a_change_on_a_read_only_connection_is_refused_before_anything_is_sent(
    host: testing.Host, operation: str
) -> None:
    method, args, kwargs, _ = CHANGES[operation]
    with purevirt.open_read_only(host.uri) as connection, pytest.raises(errors.ReadOnly) as caught:
        getattr(connection.lookup_by_name("test"), method)(*args, **kwargs)
    assert caught.value.operation == operation
    with RpcPeer(host.root, ALL_CHANGES) as daemon:
        with purevirt.open_read_only(host.uri) as connection:
            domain = connection.lookup_by_name("test")
            heard = len(daemon.calls)
            with pytest.raises(errors.ReadOnly):
                getattr(domain, method)(*args, **kwargs)
        assert len(daemon.calls) == heard


@pytest.mark.parametrize("operation", CHANGES)
def test_a_change_is_the_daemons(host: testing.Host, do: Do, operation: str) -> None:
    method, args, kwargs, heard = CHANGES[operation]
    with RpcPeer(host.root, ALL_CHANGES) as daemon:
        connection = do("open", host.uri)
        domain = do(connection.lookup_by_name, "test")
        assert do(getattr(domain, method), *args, timeout=7.0, **kwargs) == ANSWERS.get(operation)
        do(connection.close)
    (call,) = daemon.calls
    assert call == Call(operation, domain._ref._replace(name="test"), heard, 7.0)


def test_a_change_has_thirty_seconds_unless_it_is_told(host: testing.Host) -> None:
    with RpcPeer(host.root, ALL_CHANGES) as daemon, purevirt.open(host.uri) as connection:
        connection.lookup_by_name("test").suspend()
        assert daemon.calls[-1].timeout == 30.0


def test_a_word_that_is_none_is_refused_before_anything_is_sent(host: testing.Host) -> None:
    with RpcPeer(host.root, ALL_CHANGES) as daemon, purevirt.open(host.uri) as connection:
        domain = connection.lookup_by_name("test")
        for wrong in (
            lambda: domain.shutdown("gently"),
            lambda: domain.send_trigger("happy"),
            lambda: domain.set_scheduler_parameters(),
            lambda: connection.events(["exploded"]),
        ):
            with pytest.raises(ValueError):
                wrong()
        assert not daemon.calls


# What a read-only user asks, and how.
QUESTIONS: dict[str, Callable[[Any], Any]] = {
    "version": lambda c: c.version(),
    "node_info": lambda c: c.node_info(),
    "free_memory": lambda c: c.free_memory(),
    "numa_cells": lambda c: c.numa_cells(),
    "scheduler": lambda c: c.scheduler(),
    "cpupools": lambda c: c.cpupools(),
    "dmesg": lambda c: c.dmesg(),
    "capabilities": lambda c: c.capabilities(),
    "domain_capabilities": lambda c: c.domain_capabilities("hvm", "i686"),
    "list_domains": lambda c: c.domain_infos(),
    "count_domains": lambda c: c.count_domains(),
    "lookup_id": lambda c: c.lookup_by_id(1)._ref,
    "lookup_name": lambda c: c.lookup_by_name("test")._ref,
    "lookup_uuid": lambda c: c.lookup_by_uuid(c.lookup_by_name("test").uuid)._ref,
    "domain_stats": lambda c: c.domain_stats(["vcpu", "block"]),
    "domid": lambda c: c.lookup_by_name("test").id(),
    "domain_name": lambda c: c.lookup_by_name("test").name(),
    "domain_type": lambda c: c.lookup_by_name("test").type(),
    "domain_state": lambda c: c.lookup_by_name("test").state(),
    "domain_info": lambda c: c.lookup_by_name("test").info(),
    "max_memory": lambda c: c.lookup_by_name("test").max_memory(),
    "vcpus": lambda c: c.lookup_by_name("test").vcpus(),
    "scheduler_parameters": lambda c: c.lookup_by_name("test").scheduler_parameters(),
    "description": lambda c: c.lookup_by_name("test").description(),
    "block_devices": lambda c: c.lookup_by_name("test").block_devices(),
    "block_stats": lambda c: c.lookup_by_name("test").block_stats("xvda"),
    "interfaces": lambda c: c.lookup_by_name("test").interfaces(),
    "interface_stats": lambda c: c.lookup_by_name("test").interface_stats("0"),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_daemon_tells_a_read_only_user_what_hypercalls_would(host: testing.Host, question: str) -> None:
    with RpcPeer(host.root) as daemon:
        with purevirt.open(host.uri) as root, purevirt.open_read_only(host.uri) as user:
            assert QUESTIONS[question](user) == QUESTIONS[question](root)
        assert daemon.operations[-1] == question


def test_every_read_through_the_daemon_is_asked_here() -> None:
    through = {name for name, row in table().items() if row.ro_daemon.channels == (Channel.DAEMON,)}
    assert set(QUESTIONS) == through - {"events", "whoami", *REMEMBERED}


# What only the daemon knows, on any connection: how it is asked, what the daemon hears, and what it answers.
REMEMBERED: dict[str, tuple[Callable[[Any], Any], dict[str, Any], Any]] = {
    "list_definitions": (lambda c: c.definitions(), {}, [DEFINITION]),
    "definition": (lambda c: c.lookup_by_name("test").definition(), {}, DEFINITION),
    "definition_text": (
        lambda c: c.lookup_by_name("test").definition_text(),
        {"security_info": False},
        DefinitionText(TEXT, "xen-xl", 1),
    ),
    "saved_description": (
        lambda c: c.saved_description("/s"),
        {"path": "/s"},
        DefinitionText("<domain/>", "xml", 0),
    ),
    "jobs": (lambda c: c.jobs(active=True), {"active": True}, [RUNNING]),
    "job": (lambda c: c.job(RUNNING), {"id": 7, "since": -1, "wait": 0.0}, RUNNING),
    "job_log": (lambda c: c.job_log(7), {"id": 7}, ["12:00:00 checking"]),
}


@pytest.mark.parametrize("operation", REMEMBERED)
@pytest.mark.parametrize("opener", ["open", "open_read_only"])
def test_what_the_daemon_remembers_is_asked_of_it_alone(
    host: testing.Host, operation: str, opener: str
) -> None:
    ask, heard, answer = REMEMBERED[operation]
    needed = pytest.raises(errors.ChannelUnavailable, match="needs the Xen daemon")
    with getattr(purevirt, opener)(host.uri) as connection, needed:
        ask(connection)
    with RpcPeer(host.root, {operation: lambda _: answer}) as daemon:
        with getattr(purevirt, opener)(host.uri) as connection:
            assert ask(connection) == answer
        assert daemon.calls[-1].operation == operation
        assert daemon.calls[-1].arguments == heard


@pytest.mark.parametrize("operation", MANAGED)
def test_what_the_daemon_is_to_do_is_heard(host: testing.Host, operation: str) -> None:
    ask, heard = MANAGED[operation]
    with RpcPeer(host.root, ALL_CHANGES) as daemon:
        with purevirt.open(host.uri) as connection:
            domain = connection.lookup_by_name("test")
            ask(connection, domain)
        call = daemon.calls[-1]
        assert (call.operation, call.arguments, call.timeout) == (operation, heard, 30.0)
        assert (call.domain is None) is (operation in OF_THE_HOST)
        with purevirt.open_read_only(host.uri) as connection:
            domain = connection.lookup_by_name("test")
            count = len(daemon.calls)
            with pytest.raises(errors.ReadOnly) as caught:
                ask(connection, domain)
            assert caught.value.operation == operation
            assert len(daemon.calls) == count
    with purevirt.open(host.uri) as connection:
        domain = connection.lookup_by_name("test")
        with pytest.raises(errors.ChannelUnavailable, match=f"{operation} needs the Xen daemon, and none"):
            ask(connection, domain)


def test_a_job_is_waited_for_and_its_failure_raised(host: testing.Host, do: Do) -> None:
    looks = iter(
        [
            RUNNING._replace(revision=1, step="checking", progress=0.5),
            RUNNING._replace(revision=2, state=JobState.FAILED, error="NoMemory", message="too little"),
        ]
    )
    seen: list[Job] = []
    with RpcPeer(host.root, {**ALL_CHANGES, "job": lambda _: next(looks)}) as daemon:
        connection = do("open", host.uri)
        domain = do(connection.lookup_by_name, "test")
        with pytest.raises(errors.NoMemory, match="too little") as caught:
            do(domain.start, progress=seen.append)
        do(connection.close)
    assert (caught.value.operation, caught.value.domain, caught.value.detail) == ("start", "test", "job 7")
    assert [job.step for job in seen] == [None, "checking", None]
    asked = [call.arguments for call in daemon.calls if call.operation == "job"]
    assert asked == [{"id": 7, "since": 0, "wait": 30.0}, {"id": 7, "since": 1, "wait": 30.0}]


def test_a_domain_that_is_only_defined_is_found_through_the_daemon(host: testing.Host, do: Do) -> None:
    ref = DomainRef(bytes(range(16)), None, "web")
    with RpcPeer(host.root, {"lookup_name": lambda _: ref}) as daemon:
        connection = do("open", host.uri)
        assert do(connection.lookup_by_name, "web")._ref == ref
        assert do(connection.lookup_by_name, "test").uuid != ref.uuid
        assert daemon.operations == ["lookup_name"]
        do(connection.close)
    with RpcPeer(host.root) as daemon:
        connection = do("open", host.uri)
        daemon.close()
        with pytest.raises(errors.NoSuchDomain):
            do(connection.lookup_by_name, "web")
        do(connection.close)


def test_the_daemons_errors_come_as_what_they_are(host: testing.Host, do: Do) -> None:
    def refuse(call: Call) -> object:
        raise errors.WrongState(
            "the guest refuses to shut down", operation=call.operation, domain="test", path="/local/domain/1"
        )

    with RpcPeer(host.root, {"shutdown": refuse}):
        connection = do("open", host.uri)
        domain = do(connection.lookup_by_name, "test")
        with pytest.raises(errors.WrongState, match="the guest refuses") as caught:
            do(domain.shutdown)
        assert (caught.value.operation, caught.value.path) == ("shutdown", "/local/domain/1")
        do(connection.close)


def test_a_daemon_lost_later_is_an_error_and_one_that_comes_back_is_asked_again(
    host: testing.Host, do: Do
) -> None:
    with RpcPeer(host.root, ALL_CHANGES):
        changing = do("open", host.uri)
        looking = do("open_read_only", host.uri)
        domain = do(changing.lookup_by_name, "test")
        do(domain.suspend)
    for call, operation in ((domain.suspend, "suspend"), (looking.domain_infos, "list_domains")):
        with pytest.raises(errors.ChannelUnavailable) as caught:
            do(call)
        assert str(caught.value).startswith(f"{operation} needs the Xen daemon, which answered when")
        assert caught.value.operation == operation
        assert caught.value.exit_status == 5
    assert do(changing.count_domains) == 2  # what hypercalls serve goes on
    with RpcPeer(host.root, ALL_CHANGES):
        do(domain.suspend)
        assert len(do(looking.domain_infos)) == 2
        do(changing.close)
        do(looking.close)


@pytest.mark.parametrize("part", ["xenstored", "hypervisor"])
def test_a_lost_channel_is_an_error_that_names_operation_channel_and_reason(part: testing.Part) -> None:
    channel = "store" if part == "xenstored" else "hypervisor"
    with testing.Host(xend=False) as host, purevirt.open(host.uri) as connection:
        connection.domain_infos()
        host.kill(part)
        host.restart(part)
        for _ in range(2):  # a connection that is lost does not come back by itself
            with pytest.raises(errors.Closed, match="is lost") as caught:
                connection.domain_infos()
            assert (caught.value.operation, caught.value.channel) == ("list_domains", channel)
        with purevirt.open(host.uri) as another:
            assert another.domain_infos()


def test_a_user_without_a_role_is_served_by_the_store_alone(host: testing.Host) -> None:
    with RpcPeer(host.root, role=Role.NONE), purevirt.open_read_only(host.uri) as connection:
        assert not connection.has_daemon
        assert connection.lookup_by_name("test").state()[0] is DomainState.NOSTATE
        with pytest.raises(
            errors.ChannelUnavailable, match="lets user 1000 see nothing: members of its group"
        ):
            connection.whoami()


def test_a_reader_is_told_who_he_is(host: testing.Host) -> None:
    with RpcPeer(host.root, role=Role.READER), purevirt.open_read_only(host.uri) as connection:
        assert connection.whoami().role is purevirt.Role.READER


def test_a_daemon_that_does_not_answer_in_time_is_as_good_as_none(host: testing.Host, do: Do) -> None:
    path = host.root + SOCKET
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with ScriptedPeer(path, [None]):
        connection = do("open_read_only", host.uri, timeout=0.1)
        assert not connection.has_daemon
        assert do(connection.count_domains) == 2
        do(connection.close)


def test_where_no_store_may_be_read_the_daemon_serves_alone(tmp_path: Path, do: Do) -> None:
    (tmp_path / "proc/xen").mkdir(parents=True)
    (tmp_path / "proc/xen/capabilities").write_text("control_d\n")
    with RpcPeer(str(tmp_path), {"count_domains": lambda _: 7}):
        connection = do("open_read_only", root_uri(str(tmp_path)))
        assert do(connection.count_domains) == 7
        with pytest.raises(errors.ChannelUnavailable, match="is xenstored running"):
            _ = connection.store
        do(connection.close)
    with pytest.raises(errors.ConnectError, match="is xenstored running"):
        do("open_read_only", root_uri(str(tmp_path)))


def test_scheduler_parameters_and_pools_come_from_the_hypervisor(host: testing.Host, do: Do) -> None:
    connection = do("open", host.uri)
    domain = do(connection.lookup_by_name, "test")
    name = do(connection.scheduler).name
    assert do(domain.scheduler_parameters) == SchedulerParameters(name, 256, 0)
    (pool,) = do(connection.cpupools)
    assert (pool.id, pool.scheduler, pool.domains) == (0, name, 2)
    assert pool.cpus == tuple(range(do(connection.node_info).cpus))
    assert isinstance(do(connection.dmesg), str)
    do(connection.close)


def test_the_timeout_of_a_call_is_kept_here_as_well(host: testing.Host) -> None:
    with purevirt.open(host.uri) as connection:
        pass
    path = host.root + SOCKET
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with ScriptedPeer(path, [b"never", None], [None]), purevirt.open(host.uri) as connection:
        domain = connection.lookup_by_name("test")
        with pytest.raises(errors.Timeout) as caught:
            domain.suspend(timeout=0.0)
        assert "suspend: the Xen daemon did not answer within" in str(caught.value)
        assert caught.value.operation == "suspend"
        assert json.dumps(caught.value.as_dict())
