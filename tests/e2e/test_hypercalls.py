"""On a real Xen: what the hypercall client changes, with `xl` and the guests themselves as witnesses.

The hypercalls' errnos are compared with the simulated hypervisor's, one by one: that is what makes the simulated one
trustworthy, and the real ones known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

import lab
from purevirt.host.clock import HeldClock
from purevirt.host.hypervisor import Hypervisor
from purevirt.wire.hypercall.subops import HvmParam
from tests.channels.hypercall.memory_transport import MemoryTransport
from tests.support.hypercall_script import answers

from .conftest import Guests

HANDLE = UUID("6695eb01-f6a4-8304-79aa-97f2502e193f")

PRELUDE = """
import json, subprocess, sys, time
from purevirt import errors
from purevirt._run import run_blocking as run
from purevirt.channels.hypercall.client import HypercallClient
from purevirt.channels.hypercall.privcmd import PrivcmdTransport
from purevirt.wire.hypercall.subops import SendTrigger, ShutdownCode

client = run(HypercallClient.open(PrivcmdTransport.open()))
domid = int(sys.argv[1])

def refused(change):
    try:
        run(change)
    except errors.XenError as error:
        return f"{error.kind}: {error}"
    return None

def until(what):
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end, "it does not come about"
    return True
"""


def play(dom0: lab.Host, script: str, domid: int, *arguments: str) -> Any:
    """Run a script in Domain 0, with `client` and `domid`; what it prints last is JSON."""
    done = dom0.python(["-c", PRELUDE + script, str(domid), *arguments], timeout=120)
    return json.loads(done.stdout.splitlines()[-1]) if done.stdout else None


@pytest.fixture
def mini(dom0: lab.Host) -> Iterator[tuple[str, int]]:
    """Name and domid of a PV guest of 4 MiB with one vCPU, paused once."""
    ((name, domid),) = dom0.create_mini_guests(1, paused=True, prefix="hypercalls").items()
    yield name, domid
    dom0.run(["xl", "destroy", name], check=False)


@pytest.fixture(scope="module")
def linux(dom0: lab.Host) -> Iterator[tuple[str, int]]:
    """Name and domid of a PV guest with Linux in it, for this module's tests to change, and put right again."""
    name = "hypercalls-pv"
    dom0.create_guest(name)
    dom0.wait_for_guest(name)
    yield name, dom0.domid(name)
    dom0.run(["xl", "destroy", name], check=False)


def xl_state(dom0: lab.Host, name: str) -> str:
    """The letters of `xl list`."""
    return dom0.run(["xl", "list", name]).stdout.splitlines()[1].split()[4]


def test_every_call_is_answered_as_by_the_simulated_hypervisor(
    dom0: lab.Host, guests: Guests, mini: tuple[str, int]
) -> None:
    _, domid = mini
    module = ["-m", "tests.support.hypercall_script", str(domid), str(guests.pvh.domid)]
    real = [tuple(pair) for pair in json.loads(dom0.python(module, timeout=120).stdout)]
    major, minor = map(int, dom0.xen.split("."))
    hv = Hypervisor(HeldClock(), xen=(major, minor), cpus=2)
    pv = hv.create_domain(handle=HANDLE, memory_kib=4096, max_memory_kib=5120, paused=True)
    pvh = hv.create_domain(handle=HANDLE, kind="pvh")
    pvh.hvm_params[HvmParam.CALLBACK_IRQ] = 1  # as a kernel does that has booted
    assert answers(MemoryTransport(hv), pv.domid, pvh.domid) == real


def test_a_paused_guest_uses_no_cpu_until_it_is_unpaused(dom0: lab.Host, linux: tuple[str, int]) -> None:
    name, domid = linux
    script = """
def used():
    return run(client.domain_info(domid)).cpu_time
run(client.pause_domain(domid))
before = used()
letters = subprocess.run(["xl", "list", sys.argv[2]], capture_output=True, text=True).stdout.split()[-2]
still = used() == before
run(client.unpause_domain(domid))
moved = until(lambda: used() > before)
print(json.dumps([letters, still, moved, refused(client.unpause_domain(domid))]))
"""
    letters, still, moved, again = play(dom0, script, domid, name)
    assert re.fullmatch("-[b-]p---", letters)  # a guest that is paused in its sleep stays blocked
    assert (still, moved) == (True, True)
    assert again == f"WrongState: unpause_domain: domain {domid}: it is not paused (EINVAL)"


def test_scheduling_is_what_xl_prints(dom0: lab.Host, linux: tuple[str, int]) -> None:
    name, domid = linux
    script = """
run(client.set_sched_parameters(domid, weight=512, cap=75))
run(client.set_vcpu_affinity(domid, 0, hard=[1], soft=[0, 1]))
print(json.dumps([
    refused(client.set_sched_parameters(domid, weight=1024, cap=101)),
    refused(client.set_vcpu_affinity(domid, 1, hard=[1])),
    refused(client.set_vcpu_affinity(domid, 0, hard=[1000])),
]))
"""
    cap, vcpu, cpus = play(dom0, script, domid)
    assert cap == "InvalidConfig: set_sched_parameters: a cap is 0 (none) to 100 for this domain, not 101"
    assert vcpu == f"InvalidConfig: set_vcpu_affinity: domain {domid} has no vCPU 1"
    assert cpus == "InvalidConfig: set_vcpu_affinity: none of these CPUs is in the domain's CPU pool"
    listed = dom0.run(["xl", "sched-credit2", "-d", name]).stdout.splitlines()[-1].split()
    assert listed[-3:] == [str(domid), "512", "75"]
    pinned = dom0.run(["xl", "vcpu-list", name]).stdout.splitlines()[-1]
    assert re.search(r" 1 / (0-1|all)\s*$", pinned), pinned


def test_the_most_memory_is_what_xen_itself_prints(dom0: lab.Host, mini: tuple[str, int]) -> None:
    _, domid = mini
    script = """
run(client.set_max_memory(domid, 6 * 1024))
run(client.debug_keys("q"))
print(json.dumps(run(client.read_console()).decode()))
"""
    text = play(dom0, script, domid)
    described = text[text.rindex(f"General information for domain {domid}:") :]
    most = re.search(r"max_pages=(\d+)", described)
    assert most is not None
    assert int(most[1]) == 6 * 256


def test_the_console_is_what_xl_dmesg_prints_and_can_be_cleared(dom0: lab.Host) -> None:
    script = """
run(client.debug_keys("h"))
ours = run(client.read_console())
theirs = subprocess.run(["xl", "dmesg"], capture_output=True).stdout
cleared = run(client.read_console(clear=True))
rest = run(client.read_console())
run(client.debug_keys("h"))
print(json.dumps([ours == theirs, cleared == ours, rest.decode(), run(client.read_console()).decode()]))
"""
    same, cleared, rest, after = play(dom0, script, 0)
    assert (same, cleared, rest) == (True, True, "")
    assert after.startswith("(XEN) 'h' pressed -> ")
    assert dom0.run(["xl", "dmesg"]).stdout == after


def test_pools_are_xls(dom0: lab.Host) -> None:
    pools = play(dom0, "print(json.dumps(run(client.cpupools())))", 0)
    domains = len(dom0.run(["xl", "list"]).stdout.splitlines()) - 1
    rows = [line.split() for line in dom0.run(["xl", "cpupool-list"]).stdout.splitlines()[1:]]
    assert [[len(cpus), str(count)] for _, _, count, cpus in pools] == [
        [int(row[1]), row[-1]] for row in rows
    ]
    assert pools == [[0, 6, domains, [0, 1]]]


@pytest.fixture
def pooled(dom0: lab.Host, mini: tuple[str, int]) -> Iterator[tuple[str, int]]:
    """`mini`, alone in a CPU pool of CPU 1 with the scheduler credit."""
    script = """
        xl cpupool-cpu-remove Pool-0 1
        xl cpupool-create name='"hypercalls"' sched='"credit"' cpus='["1"]'
        xl cpupool-migrate "$1" hypercalls
    """
    back = """
        xl cpupool-migrate "$1" Pool-0 || true
        xl cpupool-destroy hypercalls || true
        xl cpupool-cpu-add Pool-0 1
    """
    try:
        dom0.shell(script, mini[0])
        yield mini
    finally:
        dom0.shell(back, mini[0])


def test_a_domain_in_a_pool_has_the_pools_scheduler_and_cpus(dom0: lab.Host, pooled: tuple[str, int]) -> None:
    name, domid = pooled
    script = """
pools = run(client.cpupools())
first = run(client.sched_parameters(domid))
run(client.set_sched_parameters(domid, weight=512, cap=40))
print(json.dumps([
    pools,
    first,
    run(client.sched_parameters(domid)),
    refused(client.set_vcpu_affinity(domid, 0, hard=[0])),
    refused(client.set_sched_parameters(domid, weight=512, cap=101)),
]))
"""
    (default, ours), first, then, affinity, cap = play(dom0, script, domid)
    assert (default[0], default[1], default[3]) == (0, 6, [0])
    assert (ours[1], ours[2], ours[3]) == (5, 1, [1])
    assert (first, then) == ([256, 0], [512, 40])
    assert affinity == "InvalidConfig: set_vcpu_affinity: none of these CPUs is in the domain's CPU pool"
    assert cap == "InvalidConfig: set_sched_parameters: a cap is 0 (none) to 100 for this domain, not 101"
    listed = dom0.run(["xl", "sched-credit", "-d", name]).stdout.splitlines()[-1].split()
    assert listed[-3:] == [str(domid), "512", "40"]


def test_an_nmi_does_not_harm_a_kernel_and_buttons_are_not_for_pv(
    dom0: lab.Host, linux: tuple[str, int]
) -> None:
    name, domid = linux
    script = """
run(client.send_trigger(domid, SendTrigger.NMI, 0))
print(json.dumps([
    refused(client.send_trigger(domid, SendTrigger.POWER, 0)),
    refused(client.send_trigger(domid, SendTrigger.RESET, 0)),
    refused(client.send_trigger(domid, SendTrigger.NMI, 1)),
]))
"""
    power, reset, vcpu = play(dom0, script, domid)
    assert power.startswith(f"Unsupported: send_trigger: domain {domid} is a PV domain")
    assert reset.startswith("Unsupported: send_trigger: this hypervisor does not have")
    assert vcpu == f"InvalidConfig: send_trigger: domain {domid} has no vCPU 1"
    # What the kernel makes of it is its own affair; it goes on.
    assert xl_state(dom0, name)[4:] == "--"


def test_a_crash_stays_until_it_is_taken_back_or_destroyed(dom0: lab.Host, mini: tuple[str, int]) -> None:
    name, domid = mini
    script = """
run(client.unpause_domain(domid))
run(client.shutdown_domain(domid, ShutdownCode.CRASH))
def letters():
    return subprocess.run(["xl", "list", sys.argv[2]], capture_output=True, text=True).stdout.split()[-2]
crashed = letters()
run(client.resume_domain(domid))
resumed = letters()
run(client.destroy_domain(domid))
until(lambda: run(client.domain_info(domid)) is None)
print(json.dumps([crashed, resumed, refused(client.destroy_domain(domid))]))
"""
    crashed, resumed, gone = play(dom0, script, domid, name)
    assert crashed[3:5] == "sc"
    assert resumed[3:5] == "--"
    assert gone == f"NoSuchDomain: destroy_domain: there is no domain {domid} (ESRCH)"
    assert dom0.run(["xl", "list", name], check=False).status != 0


def test_a_linux_guest_is_suspended_by_force_and_goes_on(dom0: lab.Host, linux: tuple[str, int]) -> None:
    name, domid = linux
    script = """
run(client.shutdown_domain(domid, ShutdownCode.SUSPEND))
info = run(client.domain_info(domid))
before = info.cpu_time
run(client.resume_domain(domid))
print(json.dumps([info.shutdown_code, until(lambda: run(client.domain_info(domid)).cpu_time > before)]))
"""
    assert play(dom0, script, domid) == [2, True]
    assert xl_state(dom0, name)[2:] == "----"


def test_domain_0_cannot_be_shut_down_by_mistake(dom0: lab.Host) -> None:
    script = """
print(json.dumps([
    refused(client.shutdown_domain(0, ShutdownCode.POWEROFF)),
    refused(client.destroy_domain(0)),
    refused(client.pause_domain(0)),
]))
"""
    stopped, destroyed, paused = play(dom0, script, 0)
    assert "would stop the machine" in stopped
    assert "cannot do that to itself (EINVAL)" in destroyed
    assert "cannot do that to itself (EINVAL)" in paused
