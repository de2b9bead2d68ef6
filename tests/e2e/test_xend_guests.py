"""On a real Xen: guests that `xl` made, and what purevirt's daemon does to them; `xl` says what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import lab
from lab.checkout import ENVIRONMENT
from lab.errors import say

from .daemon import READER, Program, audit, store_paths, wait_until, xl_row

pytestmark = pytest.mark.usefixtures("xend")

# What a connection without root sees of events, by asyncio; a line "ready" when it listens, then one for each event.
LISTEN = """
import asyncio, json, purevirt
from purevirt.cli.output import jsonable
async def main():
    async with await purevirt.open_async_read_only() as host:
        events = await host.events()
        print("ready", flush=True)
        while True:
            event = await events.next(600)
            print(json.dumps(jsonable(event)), flush=True)
asyncio.run(main())
"""


def create(dom0: lab.Host, name: str, kind: str, **settings: Any) -> int:
    """A guest of Linux that is up. Returns its domid. (Under emulation a boot dies now and then: one more try.)"""
    for attempt in (1, 2):
        dom0.create_guest(name, kind, **settings)
        try:
            dom0.wait_for_guest(name)
            break
        except lab.LabError as error:
            say(f"{error}\nlab: trying {name} once more")
            if attempt == 2:
                raise
            dom0.run(["xl", "destroy", name], check=False)
    return dom0.domid(name)


@pytest.fixture
def mini(dom0: lab.Host) -> Iterator[str]:
    """The name of a PV guest of 4 MiB that runs, and never answers anybody."""
    (name,) = dom0.create_mini_guests(1, paused=False, prefix="xend-mini")
    yield name
    dom0.run(["xl", "destroy", name], check=False)


def events_of(process: lab.Background, domid: int) -> list[dict[str, Any]]:
    """What a stream has printed about one domain."""
    lines = [json.loads(line) for line in process.output().splitlines() if line.startswith("{")]
    return [event for event in lines if event["domid"] == domid]


def words(events: list[dict[str, Any]]) -> list[str]:
    """ "kind" or "kind: detail" of each."""
    return [event["kind"] + (f": {event['detail']}" if event["detail"] else "") for event in events]


@pytest.mark.timeout(900)
def test_the_life_of_a_pv_guest(dom0: lab.Host) -> None:
    """From its creation by xl to its shutdown: everything in between by purevirt, and told to those who listen."""
    looking = dom0.spawn(["python3", "-m", "purevirt", "event", "--loop", "--json"], env=ENVIRONMENT)
    told = dom0.spawn(["python3", "-c", LISTEN], env=ENVIRONMENT, user=READER)
    name = "xend-pv"
    try:
        wait_until(dom0, f"grep -qx ready {told.log}")
        domid = create(dom0, name, "pv", disks=[8], vifs=["bridge=xenbr0"], vcpus=2, memory=128)
        _live(dom0, name, domid)
        dom0.purevirt(["shutdown", name])
        wait_until(dom0, f"! xl domid {name}")
        wait_until(dom0, f"""grep '"domid": {domid},' {told.log} | grep -q stopped""")
        wait_until(dom0, f"""grep '"domid": {domid},' {looking.log} | grep -q stopped""")
    finally:
        looking.kill()
        told.kill()
        dom0.run(["xl", "destroy", name], check=False)
    # The journal has all that the daemon did in its exact place …
    assert words(events_of(told, domid)) == [
        "created",
        "started: booted",
        "suspended: paused",
        "resumed: unpaused",
        "changed: set_memory",
        "changed: set_max_memory",
        "renamed: xend-pv",
        "renamed: xend-renamed",
        "changed: set_vcpus",
        "changed: pin_vcpu",
        "changed: set_scheduler_parameters",
        "changed: send_sysrq",
        "changed: shutdown poweroff",
        "shutdown: poweroff",
        "stopped: poweroff",
    ]
    # … who looks for himself sees states change, and hears from the journal what changed no state.
    seen = events_of(looking, domid)
    states = ["suspended: paused", "resumed: unpaused", "renamed: xend-pv", "renamed: xend-renamed"]
    found = words(
        [event for event in seen if event["kind"] not in ("changed", "devices", "created", "started")]
    )
    assert found in ([*states, "shutdown: poweroff", "stopped: poweroff"], [*states, "stopped: poweroff"])
    assert [event["detail"] for event in seen if event["kind"] == "changed"] == [
        "set_memory",
        "set_max_memory",
        "set_vcpus",
        "pin_vcpu",
        "set_scheduler_parameters",
        "send_sysrq",
        "shutdown poweroff",
    ]
    for events in (seen, events_of(told, domid)):
        assert [event["seq"] for event in events] == sorted({event["seq"] for event in events})
        last = events[-1]
        assert (last["libvirt_event"], last["libvirt_detail"]) == (5, 0)
    done = [entry for entry in audit(dom0) if (entry["domain"] or {}).get("domid") == domid]
    assert [(entry["operation"], entry["result"]) for entry in done] == [
        ("suspend", "done"),
        ("suspend", "WrongState"),
        ("resume", "done"),
        ("set_memory", "done"),
        ("set_max_memory", "done"),
        ("rename", "DomainExists"),
        ("rename", "done"),
        ("rename", "done"),
        ("set_vcpus", "InvalidConfig"),
        ("set_vcpus", "done"),
        ("pin_vcpu", "done"),
        ("set_scheduler_parameters", "done"),
        ("send_sysrq", "done"),
        ("shutdown", "done"),
    ]
    assert {(entry["uid"], entry["role"]) for entry in done} == {(0, "admin")}


def _live(dom0: lab.Host, name: str, domid: int) -> None:
    """One change after the other, and what xl says after each."""
    dom0.purevirt(["suspend", name])
    assert re.fullmatch("-[b-]p---", xl_row(dom0, name)[3])
    again = dom0.purevirt(["suspend", name], check=False)
    assert (again.status, again.stderr) == (
        1,
        f"purevirt: suspend: domain {name} is paused already\n",
    )
    dom0.purevirt(["resume", name])
    assert "p" not in xl_row(dom0, name)[3]

    before = int(xl_row(dom0, name)[1])
    dom0.purevirt(["setmem", name, "112M"])
    wait_until(
        dom0, f"test $(xl list {name} | tail -n 1 | rev | tr -s ' ' | cut -d ' ' -f 4 | rev) -lt {before}"
    )
    assert dom0.run(["xenstore-read", f"/local/domain/{domid}/memory/target"]).stdout == "114688\n"
    dom0.purevirt(["setmaxmem", name, "120M"])
    assert (
        json.loads(dom0.purevirt(["dominfo", "--json", name]).stdout)["max_memory_kib"] == 120 * 1024 + 1024
    )

    taken = dom0.purevirt(["domrename", name, "Domain-0"], check=False)
    assert (taken.status, taken.stderr) == (1, "purevirt: domain 0 is named 'Domain-0' already\n")
    dom0.purevirt(["domrename", name, "xend-renamed"])
    assert xl_row(dom0, "xend-renamed")[0] == str(domid)
    assert dom0.run(["xl", "list", name], check=False).status != 0
    dom0.purevirt(["domrename", "xend-renamed", name])
    assert xl_row(dom0, name)[0] == str(domid)

    wrong = dom0.purevirt(["setvcpus", name, "3"], check=False)
    assert (wrong.status, wrong.stderr) == (
        2,
        f"purevirt: domain {name} can have 1 to 2 vCPUs, not 3\n",
    )
    dom0.purevirt(["setvcpus", name, "1"])
    wait_until(dom0, f"test $(xl list {name} | tail -n 1 | rev | tr -s ' ' | cut -d ' ' -f 3 | rev) = 1")
    dom0.purevirt(["vcpupin", name, "0", "1"])
    pinned = dom0.run(["xl", "vcpu-list", name]).stdout.splitlines()
    assert re.search(r" 1 / (0-1|all)\s*$", pinned[1]), pinned
    assert re.search(r" 1 +- +--p ", pinned[2]), pinned
    dom0.purevirt(["schedinfo", name, "--weight", "512", "--cap", "75"])
    listed = dom0.run(["xl", "sched-credit2", "-d", name]).stdout.splitlines()[-1].split()
    assert listed[-3:] == [str(domid), "512", "75"]
    dom0.purevirt(["sysrq", name, "h"])
    wait_until(dom0, f"grep -q 'sysrq: HELP' /var/log/xen/console/guest-{name}.log")


def test_destroy_leaves_nothing(dom0: lab.Host) -> None:
    """Not in the store, not of backends and what their scripts set up; xl's own process sees it and ends."""
    before = store_paths(dom0)
    domid = create(dom0, "xend-end", "pv", disks=[8], vifs=["bridge=xenbr0"])
    looked = 'ls /sys/class/net /sys/bus/xen-backend/devices; losetup --all; ls /var/lib/xen; pgrep -af "[x]l create"'
    with_it = dom0.shell(looked, check=False).stdout
    for trace in (
        f"vif{domid}.0",
        f"vbd-{domid}-51712",
        "xend-end-0.img",
        f"userdata-d.{domid}.",
        "xend-end.cfg",
    ):
        assert trace in with_it
    dom0.purevirt(["destroy", "xend-end"])
    assert store_paths(dom0) <= before
    assert "xend-end" not in dom0.run(["xl", "list"]).stdout
    wait_until(dom0, "! pgrep -f '[x]l create.*xend-end.cfg'")
    after = dom0.shell(looked, check=False).stdout
    for trace in (f"vif{domid}.", f"vbd-{domid}-", "xend-end-0.img", f"userdata-d.{domid}."):
        assert trace not in after
    gone = dom0.purevirt(["destroy", "xend-end"], check=False)
    assert (gone.status, gone.stdout) == (3, "")


def test_the_life_of_a_pvh_guest(dom0: lab.Host) -> None:
    create(dom0, "xend-pvh", "pvh")
    dom0.purevirt(["suspend", "xend-pvh"])
    assert re.fullmatch("-[b-]p---", xl_row(dom0, "xend-pvh")[3])
    dom0.purevirt(["resume", "xend-pvh"])
    assert "p" not in xl_row(dom0, "xend-pvh")[3]
    dom0.purevirt(["shutdown", "xend-pvh"])
    wait_until(dom0, "! xl domid xend-pvh")


def test_a_pvh_guest_is_destroyed(dom0: lab.Host) -> None:
    before = store_paths(dom0)
    dom0.create_guest("xend-pvh2", "pvh", paused=True)
    dom0.purevirt(["destroy", "xend-pvh2"])
    assert "xend-pvh2" not in dom0.run(["xl", "list"]).stdout
    assert store_paths(dom0) <= before


def test_a_guest_that_does_not_answer_or_refuses(dom0: lab.Host, mini: str) -> None:
    domid = dom0.domid(mini)
    node = f"/local/domain/{domid}/control"
    silent = dom0.purevirt(["shutdown", mini, "--timeout", "2"], check=False)
    assert (silent.status, silent.stdout) == (7, "")
    assert silent.stderr.startswith(
        f"purevirt: the guest in domain {mini} did not answer poweroff in {node}/shutdown"
    )
    dom0.run(["xenstore-write", f"{node}/feature-reboot", "0"])
    refused = dom0.purevirt(["reboot", mini], check=False)
    assert (refused.status, refused.stdout) == (1, "")
    assert (
        refused.stderr == f"purevirt: the guest in domain {mini} refuses reboot: {node}/feature-reboot is 0\n"
    )
    buttons = dom0.purevirt(["trigger", mini, "power"], check=False)
    assert (buttons.status, buttons.stdout) == (6, "")
    assert xl_row(dom0, mini)[0] == str(domid)


def test_a_guest_that_answers_something_else_refuses(dom0: lab.Host, mini: str) -> None:
    """It writes what it likes into control/shutdown: the request ends at once."""
    node = f"/local/domain/{dom0.domid(mini)}/control/shutdown"
    script = f"""
until test "$(xenstore-read {node} 2>/dev/null)" = poweroff; do sleep 0.1; done
xenstore-write {node} not-today
"""
    guest = dom0.spawn(["sh", "-c", script])
    try:
        refused = dom0.purevirt(["shutdown", mini], check=False)
    finally:
        guest.kill()
    assert (refused.status, refused.stdout) == (1, "")
    assert refused.stderr == (
        f"purevirt: the guest in domain {mini} refuses poweroff: it answered 'not-today' in {node}\n"
    )


def test_domain_0_stays(dom0: lab.Host, xend: Program) -> None:
    for command in (["destroy", "0"], ["suspend", "0"], ["shutdown", "0"], ["domrename", "0", "x"]):
        refused = dom0.purevirt(command, check=False)
        assert refused.status in (1, 6), command
        assert len(refused.stderr.splitlines()) == 1
    assert xl_row(dom0, "Domain-0")[3] == "r-----"
