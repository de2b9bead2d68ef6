"""On a real Xen: the way in without root. What a user sees, what is refused, and how far one gets past the library.

READER is in the group xen, STRANGER in none. The guests are the session's, and stay as they are.
"""

from __future__ import annotations

import json
import signal
from typing import Any

import pytest

import lab

from .conftest import Guests
from .daemon import READER, SOCKET, STRANGER, Program, as_user, audit, store_paths, xl_row

pytestmark = pytest.mark.usefixtures("xend")

RO_SOCKET = "/run/purevirt/socket_ro"
CLASSIC_RO_SOCKET = "/var/run/xenstored/socket_ro"

CHANGES: dict[str, dict[str, Any]] = {
    "suspend": {},
    "resume": {},
    "destroy": {},
    "shutdown": {"mode": "poweroff"},
    "reboot": {},
    "set_memory": {"kib": 65536},
    "set_max_memory": {"kib": 65536},
    "set_vcpus": {"count": 1},
    "pin_vcpu": {"vcpu": 0, "cpus": [0]},
    "set_scheduler_parameters": {"weight": 300},
    "rename": {"name": "another"},
    "send_sysrq": {"key": "h"},
    "inject_nmi": {},
    "send_trigger": {"trigger": "nmi"},
}

# Every change, by the library's own methods; prints the operations that were refused as they should be.
TRY_ALL = """
import json, sys, purevirt
from purevirt.errors import ReadOnly
refused = []
with purevirt.open_read_only() as host:
    domain = host.lookup_by_name(sys.argv[1])
    for method, arguments in json.loads(sys.argv[2]).items():
        try:
            getattr(domain, method)(**arguments)
        except ReadOnly as error:
            refused.append(error.operation)
    for change in (lambda: host.store.write(f"/local/domain/{domain.id()}/name", "x"),
                   lambda: host.store.remove(f"/local/domain/{domain.id()}/name")):
        try:
            change()
        except ReadOnly:
            refused.append("store")
print(json.dumps(refused))
"""


def raw(dom0: lab.Host, user: str, requests: list[list[Any]]) -> list[Any]:
    """The answers to requests that no library has looked at."""
    done = dom0.python(["-m", "tests.support.raw_clients", json.dumps(requests)], user=user, timeout=120)
    answers: list[Any] = json.loads(done.stdout)
    return answers


def call(operation: str, domid: int | None, arguments: dict[str, Any]) -> list[Any]:
    """One of those requests: an operation of the daemon's RPC."""
    domain = None if domid is None else {"domid": domid, "uuid": None, "name": None}
    body = {"operation": operation, "domain": domain, "arguments": arguments, "timeout": None}
    return ["http", SOCKET, "POST", "/purevirt/v1/call", body]


def explained(done: lab.Completed) -> tuple[bool, bool, dict[str, list[str]]]:
    """Of `explain --json`: read-only?, with the daemon?, operation -> channels."""
    document = json.loads(done.stdout)
    channels = {route["operation"]: route["channels"] for route in document["routes"]}
    return document["read_only"], document["daemon"], channels


def test_a_reader_sees_what_xl_sees(dom0: lab.Host, guests: Guests) -> None:
    before = {name: xl_row(dom0, name) for name in ("Domain-0", guests.pv.name, guests.pvh.name)}
    listed = {info["name"]: info for info in json.loads(as_user(dom0, READER, "-r", "list", "--json").stdout)}
    after = {name: xl_row(dom0, name) for name in before}
    for name, (domid, memory, vcpus, _, seconds) in before.items():
        info = listed[name]
        assert (info["domid"], info["vcpus"]) == (int(domid), int(vcpus))
        assert (info["memory_kib"] + info["outstanding_kib"]) // 1024 == int(memory)
        assert info["state"] in ("running", "blocked")
        assert float(seconds) - 0.1 <= info["cpu_time_ns"] / 1e9 <= float(after[name][4]) + 0.1
    stats = json.loads(as_user(dom0, READER, "-r", "domblkstat", guests.pv.name, "xvda", "--json").stdout)
    assert stats["xvda"]["rd_req"] > 0


def test_a_reader_with_the_daemon_may_change_nothing(dom0: lab.Host, guests: Guests, xend: Program) -> None:
    """In the library; past it, by the daemon; past that, by the read-only store."""
    arguments = json.dumps(CHANGES)
    done = dom0.python(["-c", TRY_ALL, guests.pv.name, arguments], user=READER, timeout=120)
    assert set(json.loads(done.stdout)) == {*CHANGES, "store"}
    needs_root = as_user(dom0, READER, "suspend", guests.pv.name)
    assert (needs_root.status, needs_root.stdout) == (5, "")
    read_only = as_user(dom0, READER, "-r", "suspend", guests.pv.name)
    assert (read_only.status, read_only.stdout) == (4, "")

    known = len(audit(dom0))
    calls = [call(operation, guests.pv.domid, given) for operation, given in CHANGES.items()]
    pauses = ["http", SOCKET, "POST", f"/xend/domain/{guests.pv.domid}", "op=pause"]
    *answers, classic = raw(dom0, READER, [*calls, pauses])
    for operation, (status, _, text) in zip(CHANGES, answers, strict=True):
        error = json.loads(text)["error"]
        assert (status, error["kind"], error["operation"]) == (403, "Denied", operation)
        assert "has only reader" in error["message"]
    assert classic[0] == 403
    written = audit(dom0)[known:]
    assert [entry["operation"] for entry in written] == [*CHANGES, "suspend"]
    assert {(entry["result"], entry["role"]) for entry in written} == {("denied", "reader")}
    assert len({entry["uid"] for entry in written}) == 1
    assert written[0]["uid"] != 0
    assert "p" not in xl_row(dom0, guests.pv.name)[3]


@pytest.mark.parametrize("path", [RO_SOCKET, CLASSIC_RO_SOCKET])
def test_the_read_only_store_takes_no_change_and_shows_no_secret(
    dom0: lab.Host, guests: Guests, path: str
) -> None:
    home = f"/local/domain/{guests.pv.domid}"
    before = store_paths(dom0)
    name = dom0.run(["xenstore-read", f"{home}/name"]).stdout
    read, write, mkdir, rm, perms, hidden, console, watch = raw(
        dom0,
        STRANGER,
        [
            ["store", path, 2, [f"{home}/name"]],
            ["store", path, 11, [f"{home}/name", "evil"]],
            ["store", path, 12, [f"{home}/evil"]],
            ["store", path, 13, [home]],
            ["store", path, 14, [f"{home}/name", "b0"]],
            ["store", path, 2, [f"{home}/control/shutdown"]],
            ["store", path, 2, [f"{home}/console/tty"]],
            ["store", path, 4, [f"{home}/name", "token"]],
        ],
    )
    assert read == [2, guests.pv.name]
    assert [write, mkdir, rm, perms] == [[16, "EROFS"]] * 4
    assert [hidden, console] == [[16, "ENOENT"]] * 2
    assert watch[0] in (4, 15)  # the answer, or the event that each watch begins with
    assert dom0.run(["xenstore-read", f"{home}/name"]).stdout == name
    assert store_paths(dom0) == before


def test_a_user_outside_the_group_gets_nothing_of_the_daemon(dom0: lab.Host, guests: Guests) -> None:
    reads = ["list_domains", "domain_state", "journal", "dmesg"]
    requests = [call(operation, guests.pv.domid if "state" in operation else None, {}) for operation in reads]
    requests += [call("suspend", guests.pv.domid, {}), ["http", SOCKET, "GET", "/xend/domain"]]
    *answers, listing = raw(dom0, STRANGER, requests)
    for status, _, text in answers:
        assert (status, json.loads(text)["error"]["kind"]) == (403, "Denied")
    assert listing[0] == 403
    assert guests.pv.name not in listing[2]
    listed = json.loads(as_user(dom0, STRANGER, "-r", "list", "--json").stdout)
    assert {info["cpu_time_ns"] for info in listed} == {None}
    private = raw(dom0, STRANGER, [["store", "/var/run/xenstored/socket", 2, ["/local/domain/0/name"]]])
    assert private == [[None, "refused"]]


def test_the_four_ways_of_being_connected(dom0: lab.Host, guests: Guests, xend: Program) -> None:
    """rw+daemon, ro+daemon and ro; and, with the daemon killed, rw, and what the store alone can tell."""
    read_only, daemon, channels = explained(dom0.purevirt(["explain", "--json"]))
    assert (read_only, daemon, channels["suspend"]) == (False, True, ["daemon"])
    assert channels["list_domains"] == ["hypervisor", "store"]
    read_only, daemon, channels = explained(as_user(dom0, READER, "-r", "explain", "--json"))
    assert (read_only, daemon, channels["suspend"], channels["list_domains"]) == (True, True, [], ["daemon"])
    read_only, daemon, channels = explained(as_user(dom0, STRANGER, "-r", "explain", "--json"))
    assert (read_only, daemon, channels["list_domains"]) == (True, False, ["store"])

    xend.end(signal.SIGKILL)
    store = None
    try:
        read_only, daemon, channels = explained(dom0.purevirt(["explain", "--json"]))
        assert (read_only, daemon, channels["suspend"]) == (False, False, [])
        missing = dom0.purevirt(["suspend", guests.pv.name], check=False)
        assert (missing.status, missing.stdout) == (5, "")
        assert "start it with 'purevirt xend'" in missing.stderr
        nobody = as_user(dom0, READER, "-r", "list")
        assert (nobody.status, len(nobody.stderr.splitlines())) == (5, 1)

        store = Program(dom0, "rostore")
        listed = {
            info["name"]: info for info in json.loads(as_user(dom0, READER, "-r", "list", "--json").stdout)
        }
        assert {guests.pv.name, guests.pvh.name, "Domain-0"} <= set(listed)
        told = listed[guests.pv.name]
        assert (told["domid"], told["type"], told["state"], told["cpu_time_ns"]) == (
            guests.pv.domid,
            "pv",
            "nostate",
            None,
        )
        disks = json.loads(as_user(dom0, READER, "-r", "domblklist", guests.pv.name, "--json").stdout)
        assert [disk["target"] for disk in disks] == ["xvda"]
        write = ["store", RO_SOCKET, 11, [f"/local/domain/{guests.pv.domid}/name", "evil"]]
        assert raw(dom0, READER, [write]) == [[16, "EROFS"]]
    finally:
        if store is not None:
            store.end()
        xend.restart()
    assert explained(as_user(dom0, READER, "-r", "explain", "--json"))[1]
