"""The commands that change domains, and `event`: what they say, what they send, and how they fail."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from purevirt import Connection, Events, testing
from purevirt.cli.app import COMMANDS
from purevirt.drivers.xen.routes import table
from purevirt.errors import DomainExists, Timeout, WrongState
from purevirt.formats.xend_json import Call
from purevirt.model import AttachedDevice, VcpuCount
from tests.support.rpc_peer import RpcPeer
from tests.support.terminal import Terminal


@pytest.fixture(scope="module")
def host() -> Iterator[testing.Host]:
    with testing.Host(held=True, xend=False) as simulated:
        yield simulated


class Xend(RpcPeer):
    """A daemon that does whatever it is asked to, unless it is told to raise."""

    def __init__(self, root: str) -> None:
        self.error: Exception | None = None
        super().__init__(root, {name: self._do for name, row in table().items() if row.change})

    def _do(self, call: Call) -> object:
        if self.error is not None:
            raise self.error
        if call.operation == "set_memory":
            return call.arguments["kib"]
        if call.operation.endswith("_device"):
            return AttachedDevice("disk", 51728, "xvdb", None, "/x.img")
        return VcpuCount(2, 1) if call.operation == "set_vcpus" else None


@pytest.fixture
def xend(host: testing.Host) -> Iterator[Xend]:
    with Xend(host.root) as daemon:
        yield daemon


DEVICE = str(Path(__file__).parents[1] / "data" / "devices" / "small.xml")
LINES: list[tuple[list[str], str, dict[str, object], str]] = [
    (["suspend", "test"], "suspend", {}, "Domain 'test' suspended\n"),
    (["resume", "test"], "resume", {}, "Domain 'test' resumed\n"),
    (["shutdown", "test"], "shutdown", {"mode": "poweroff"}, "Domain 'test' is being shutdown\n"),
    (
        ["shutdown", "test", "--mode", "halt"],
        "shutdown",
        {"mode": "halt"},
        "Domain 'test' is being shutdown\n",
    ),
    (["reboot", "test"], "reboot", {}, "Domain 'test' is being rebooted\n"),
    (["destroy", "1"], "destroy", {}, "Domain '1' destroyed\n"),
    (["domrename", "test", "www"], "rename", {"name": "www"}, "Domain successfully renamed\n"),
    (["setmem", "test", "65536"], "set_memory", {"kib": 65536}, ""),
    (["setmem", "test", "512M", "--live"], "set_memory", {"kib": 524288}, ""),
    (["setmem", "test", "--size", "1G"], "set_memory", {"kib": 1 << 20}, ""),
    (["setmaxmem", "test", "1GiB"], "set_max_memory", {"kib": 1 << 20}, ""),
    (
        ["setvcpus", "test", "2"],
        "set_vcpus",
        {"count": 2},
        "Domain 'test' was asked for 2 virtual CPUs; online now: 1\n",
    ),
    (
        ["vcpupin", "test", "0", "0-3,^2"],
        "pin_vcpu",
        {"vcpu": 0, "cpus": [0, 1, 3], "soft": False},
        "",
    ),
    (
        ["vcpupin", "test", "0", "r", "--soft"],
        "pin_vcpu",
        {"vcpu": 0, "cpus": [0, 1, 2, 3], "soft": True},
        "",
    ),
    (
        ["attach-disk", "test", "/x.img", "xvdb", "--mode", "readonly", "--live"],
        "attach_device",
        {"device": "vdev=xvdb, access=ro, format=raw, target=/x.img", "format": "xl-disk"},
        "Disk attached successfully\n",
    ),
    (
        [
            "attach-disk",
            "test",
            "/x.iso",
            "xvdd",
            "--type",
            "cdrom",
            "--driver",
            "phy",
            "--script",
            "block-x",
        ],
        "attach_device",
        {
            "device": "vdev=xvdd, devtype=cdrom, format=raw, backendtype=phy, script=block-x, target=/x.iso",
            "format": "xl-disk",
        },
        "Disk attached successfully\n",
    ),
    (
        ["attach-interface", "test", "bridge", "br0", "--mac", "00:16:3e:00:00:01", "--outbound", "10Mb/s"],
        "attach_device",
        {"device": "mac=00:16:3e:00:00:01,bridge=br0,rate=10Mb/s", "format": "xl-vif"},
        "Interface attached successfully\n",
    ),
    (
        ["attach-device", "test", DEVICE],
        "attach_device",
        {"device": "<disk/>", "format": None},
        "Device attached successfully\n",
    ),
    (
        ["detach-disk", "test", "xvdb", "--force"],
        "detach_device",
        {"device": "<disk>\n  <target dev='xvdb'/>\n</disk>", "format": "xml", "force": True},
        "Disk detached successfully\n",
    ),
    (
        ["detach-interface", "test", "bridge"],
        "detach_device",
        {"device": "devid=0", "format": "xl-vif", "force": False},
        "Interface detached successfully\n",
    ),
    (
        ["detach-interface", "test", "bridge", "--mac", "00:16:3e:00:00:01"],
        "detach_device",
        {"device": "mac=00:16:3e:00:00:01", "format": "xl-vif", "force": False},
        "Interface detached successfully\n",
    ),
    (
        ["detach-device", "test", DEVICE],
        "detach_device",
        {"device": "<disk/>", "format": None, "force": False},
        "Device detached successfully\n",
    ),
    (
        ["update-device", "test", DEVICE, "--format", "xl-vif"],
        "update_device",
        {"device": "<disk/>", "format": "xl-vif"},
        "Device updated successfully\n",
    ),
    (
        ["change-media", "test", "hdc", "/x.iso"],
        "update_device",
        {"device": "vdev=hdc, devtype=cdrom, target=/x.iso", "format": "xl-disk"},
        "Successfully updated media.\n",
    ),
    (
        ["change-media", "test", "hdc", "--eject"],
        "update_device",
        {"device": "vdev=hdc, devtype=cdrom", "format": "xl-disk"},
        "Successfully ejected media.\n",
    ),
    (["sysrq", "test", "s"], "send_sysrq", {"key": "s"}, ""),
    (["inject-nmi", "test"], "inject_nmi", {}, ""),
    (["trigger", "test", "power", "--vcpu", "1"], "send_trigger", {"trigger": "power", "vcpu": 1}, ""),
]


def test_every_command_of_the_section_is_tried_here() -> None:
    assert {line[0][0] for line in LINES} | {"schedinfo"} == set(COMMANDS["Changes"])


@pytest.mark.parametrize(("line", "operation", "arguments", "said"), LINES, ids=lambda part: str(part)[:30])
def test_a_change(
    purevirt: Terminal, xend: Xend, line: list[str], operation: str, arguments: dict[str, object], said: str
) -> None:
    assert purevirt(*line) == said
    (call,) = xend.calls
    assert (call.operation, call.arguments, call.timeout) == (operation, arguments, 30.0)
    assert call.domain is not None
    assert call.domain.domid == 1
    assert isinstance(purevirt.json(*line), dict)


def test_a_change_may_be_given_another_time_limit(purevirt: Terminal, xend: Xend) -> None:
    purevirt("shutdown", "--timeout", "2.5", "test")
    assert xend.calls[0].timeout == 2.5


def test_schedinfo_sets_and_shows(purevirt: Terminal, xend: Xend) -> None:
    assert purevirt("schedinfo", "test").splitlines() == [
        "Scheduler      : credit2",
        "weight         : 256",
        "cap            : 0",
    ]
    assert not xend.calls
    purevirt("schedinfo", "test", "--weight", "512")
    purevirt("schedinfo", "test", "--set", "weight=100,cap=50")
    purevirt("schedinfo", "test", "--set", "cap=0", "--set", "weight=7")
    assert [call.arguments for call in xend.calls] == [
        {"weight": 512},
        {"weight": 100, "cap": 50},
        {"weight": 7, "cap": 0},
    ]
    assert purevirt.json("schedinfo", "test") == {"scheduler": "credit2", "weight": 256, "cap": 0}


def test_vcpupin_shows_where_vcpus_may_run(purevirt: Terminal) -> None:
    assert purevirt("vcpupin", "test").splitlines()[2].split() == ["0", "0-3"]
    assert purevirt.json("vcpupin", "test", "0") == {"0": [0, 1, 2, 3]}
    assert "no virtual CPU 9" in purevirt("vcpupin", "test", "9", status=2)


def test_cpupools_and_dmesg(purevirt: Terminal) -> None:
    lines = purevirt("cpupool-list").splitlines()
    assert lines[0].split() == ["Id", "Name", "CPUs", "Scheduler", "Domains"]
    assert lines[2].split()[0] == "0"
    assert purevirt.json("cpupool-list")[0]["cpus"] == [0, 1, 2, 3]
    assert set(purevirt.json("dmesg")) == {"dmesg"}


@pytest.mark.parametrize(
    ("line", "told"),
    [
        (["setmem", "test"], "give one size"),
        (["setmem", "test", "1G", "--size", "1G"], "give one size"),
        (["setmem", "test", "lots"], "'lots' is no size"),
        (["setvcpus", "test", "0"], "0 is not in the range"),
        (["vcpupin", "test", "0", "3-1"], "no list of CPUs"),
        (["schedinfo", "test", "--weight", "0"], "is not in the range 1<=x<=65535"),
        (["schedinfo", "test", "--set", "colour=red"], "write weight=NUMBER or cap=NUMBER"),
        (["sysrq", "test", "sync"], "is no SysRq key"),
        (["trigger", "test", "happy"], "'happy' is not one of"),
        (["shutdown", "test", "--mode", "gently"], "'gently' is not one of"),
        (["event", "--event", "exploded"], "'exploded' is not one of"),
        (["shutdown", "test", "--timeout", "0"], "is not in the range"),
    ],
)
def test_a_mistake_is_one_line_and_sends_nothing(
    purevirt: Terminal, xend: Xend, line: list[str], told: str
) -> None:
    assert told in purevirt(*line, status=2)
    assert not [call for call in xend.calls if call.operation != "scheduler_parameters"]


def test_failures_have_their_exit_statuses(purevirt: Terminal, xend: Xend) -> None:
    assert "no domain has" in purevirt("suspend", "nobody", status=3)
    xend.error = WrongState("the guest refuses to shut down", operation="shutdown")
    assert purevirt("shutdown", "test", status=1) == "purevirt: the guest refuses to shut down\n"
    xend.error = Timeout("the guest did not answer", operation="shutdown")
    purevirt("shutdown", "test", status=7)
    xend.error = DomainExists("the name is taken", operation="rename")
    error = json.loads(purevirt("domrename", "test", "Domain-0", "--json", status=1))
    assert error["error"]["kind"] == "DomainExists"


def test_without_a_daemon_the_error_says_what_to_start(purevirt: Terminal) -> None:
    error = purevirt("suspend", "test", status=5)
    assert "suspend needs the Xen daemon" in error
    assert "purevirt xend" in error
    assert "suspend changes a domain" in purevirt("-r", "suspend", "test", status=4)


def test_explain_tells_of_the_daemon(purevirt: Terminal, xend: Xend) -> None:
    assert "read and write, with the Xen daemon" in purevirt("explain")
    assert "read-only, with the Xen daemon" in purevirt("-r", "explain", "list_domains")
    assert purevirt.json("explain", "suspend")["routes"][0]["channels"] == ["daemon"]
    assert purevirt.json("explain")["daemon"] is True


def test_a_reader_lists_domains_with_their_states_through_the_daemon(purevirt: Terminal, xend: Xend) -> None:
    assert purevirt("-r", "list") == purevirt("list")
    assert "list_domains" in xend.operations


# --- event


@pytest.fixture
def once_subscribed(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Lets something happen as soon as the command has subscribed."""

    def plan(act: Callable[[], object]) -> None:
        subscribe = Connection.events

        def events(*args: Any, **kwargs: Any) -> Events:
            made = subscribe(*args, **kwargs)
            act()
            return made

        monkeypatch.setattr(Connection, "events", events)

    return plan


def test_event_waits_for_one(
    purevirt: Terminal, host: testing.Host, once_subscribed: Callable[[Callable[[], object]], None]
) -> None:
    once_subscribed(lambda: host.rename("test", "w\x1bww"))
    said = purevirt("event", "--event", "renamed", "--domain", "1", "--timeout", "30")
    host.rename(1, "test")
    assert said == "event 'renamed' for domain 'w\\x1bww': test\nevents received: 1\n"


def test_event_in_a_loop_prints_an_object_a_line(
    purevirt: Terminal, host: testing.Host, once_subscribed: Callable[[Callable[[], object]], None]
) -> None:
    def act() -> None:
        host.pause("test")
        host.create_domain("new")

    once_subscribed(act)
    lines = purevirt("event", "--loop", "--event", "lifecycle", "--timeout", "0.5", "--json").splitlines()
    events = [json.loads(line) for line in lines]
    assert {(event["kind"], event["name"]) for event in events} >= {("suspended", "test"), ("created", "new")}
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    host.unpause("test")
    host.destroy("new")


def test_event_prints_when(
    purevirt: Terminal, host: testing.Host, once_subscribed: Callable[[Callable[[], object]], None]
) -> None:
    once_subscribed(lambda: host.pause("test"))
    said = purevirt("event", "--timestamp", "--event", "suspended")
    host.unpause("test")
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+0000: event 'suspended' for domain 'test'", said)


def test_event_has_an_end(purevirt: Terminal) -> None:
    assert purevirt("event", "--timeout", "0", status=7) == "purevirt: no event came within 0 s\n"
    assert purevirt("event", "--loop", "--timeout", "0.01") == "events received: 0\n"
    assert "suspended" in purevirt("event", "--list").splitlines()
    assert "lost" in purevirt.json("event", "--list")
    assert "no domain has" in purevirt("event", "--domain", "nobody", status=3)


# --- completion


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["suspend", "te"], ["test"]),
        (["event", "--domain", ""], ["Domain-0", "test"]),
        (["event", "--event", "susp"], ["suspended"]),
        (["shutdown", "--mode", "p"], ["poweroff"]),
        (["trigger", "test", "n"], ["nmi"]),
        (["inj"], ["inject-nmi"]),
    ],
)
def test_the_shell_is_offered_what_fits(host: testing.Host, words: list[str], offered: list[str]) -> None:
    line = ["purevirt", "-c", host.uri, *words]
    done = subprocess.run(
        [sys.executable, "-m", "purevirt"],
        capture_output=True,
        text=True,
        check=False,
        env={
            "PYTHONPATH": str(Path(testing.__file__).resolve().parents[1]),
            "PATH": "/usr/bin:/bin",
            "_PUREVIRT_COMPLETE": "bash_complete",
            "COMP_WORDS": shlex.join(line),
            "COMP_CWORD": str(len(line) - 1),
        },
    )
    assert done.stderr == ""
    assert [entry.partition(",")[2] for entry in done.stdout.splitlines()] == offered
