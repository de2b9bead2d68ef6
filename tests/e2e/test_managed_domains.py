"""On a real Xen: a domain that the daemon remembers and answers for, from its definition to its end; `xl` and the store
say the same at each step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import lab
from lab.guests import KERNEL, RAMDISK

from .daemon import store_paths, wait_until, waiting

pytestmark = pytest.mark.usefixtures("xend")

NAME = "managed-pv"
UUID = "6695a0c4-0000-4000-8000-00000000c001"
IMAGE = "/var/lib/xen/images/managed.img"
OTHER = "/var/lib/xen/images/managed-other.img"
MAC = "00:16:3e:0d:0e:21"
LOG = f"/var/log/xen/console/guest-{NAME}.log"
WORDS = "console=hvc0 quiet loglevel=3 mitigations=off random.trust_cpu=on sysrq_always_enabled lab.ip=10.77.0.91/24"
XML = f"""<domain type='xen'>
  <!-- the end-to-end tests' own -->
  <name>{NAME}</name>
  <uuid>{UUID}</uuid>
  <memory unit='MiB'>128</memory>
  <vcpu>1</vcpu>
  <os>
    <type machine='xenpv'>linux</type>
    <kernel>{KERNEL}</kernel>
    <initrd>{RAMDISK}</initrd>
    <cmdline>{WORDS}</cmdline>
  </os>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>restart</on_reboot>
  <on_crash>restart</on_crash>
  <devices>
    <disk type='file' device='disk'>
      <driver name='phy' type='raw'/>
      <source file='{IMAGE}'/>
      <target dev='xvda' bus='xen'/>
    </disk>
    <interface type='bridge'>
      <source bridge='xenbr0'/>
    </interface>
  </devices>
</domain>
"""


def ups(dom0: lab.Host) -> int:
    """How often the guest has said that it is up."""
    return int(dom0.shell(f"grep -c GUEST-UP {LOG} || true").stdout or 0)


def wait_up(dom0: lab.Host, times: int) -> None:
    wait_until(dom0, f"test $(grep -c GUEST-UP {LOG}) -ge {times}", timeout=150)


def listed(dom0: lab.Host, name: str = NAME) -> dict[str, Any] | None:
    """What `xl` says of it."""
    for known in json.loads(dom0.run(["xl", "list", "-l"]).stdout):
        if known["config"]["c_info"]["name"] == name:
            found: dict[str, Any] = known
            return found
    return None


def state(dom0: lab.Host, name: str = NAME) -> str:
    return dom0.purevirt(["domstate", name]).stdout.strip()


def typed(dom0: lab.Host, domid: int, command: str, mark: str) -> None:
    """Type a command at the guest's shell, and wait until it has succeeded."""
    tty = dom0.run(["xenstore-read", f"/local/domain/{domid}/console/tty"]).stdout.strip()
    dom0.shell('echo "$1" > "$2"', f"{command} && echo {mark[:1]}''{mark[1:]}", tty)
    wait_until(dom0, f"grep -q {mark} {LOG}")


def jobs(dom0: lab.Host, since: int = 0) -> list[dict[str, Any]]:
    """Those of this domain, with a number above `since`."""
    found: list[dict[str, Any]] = json.loads(dom0.purevirt(["job-list", "--json"]).stdout)
    return [job for job in found if job["uuid"] == UUID and job["id"] > since]


@pytest.fixture
def definition(dom0: lab.Host) -> Iterator[str]:
    """The file with the definition."""
    dom0.shell(f"mkdir -p /var/lib/xen/images; truncate -s 16M {IMAGE} {OTHER}; rm -f {LOG}")
    dom0.shell('printf %s "$1" > /tmp/managed.xml', XML)
    yield "/tmp/managed.xml"
    dom0.run(["xl", "destroy", NAME], check=False)


@pytest.mark.timeout(900)
def test_the_whole_life_of_a_domain(dom0: lab.Host, definition: str) -> None:
    before = store_paths(dom0)
    waiters = waiting(dom0)
    last = max((job["id"] for job in jobs(dom0)), default=0)
    heard = len(dom0.python(["-c", EVENTS, UUID]).stdout.split())
    dom0.purevirt(["define", definition])
    assert state(dom0) == "shut off"
    assert listed(dom0) is None

    dom0.purevirt(["start", NAME], timeout=120)
    first = dom0.domid(NAME)
    assert state(dom0) in ("running", "idle")
    assert waiting(dom0) <= waiters
    wait_up(dom0, 1)  # it is seen booting on its console
    assert "GUEST-PING" in dom0.run(["cat", LOG]).stdout

    dom0.purevirt(["setmem", NAME, "112M", "--live", "--config"])
    wait_until(dom0, f"test $(xl list {NAME} | awk 'END {{ print $3 }}') -le 112")
    dom0.purevirt(["attach-disk", NAME, OTHER, "xvdb", "--persistent"])
    dom0.purevirt(["attach-interface", NAME, "bridge", "xenbr0", "--mac", MAC, "--persistent"])
    typed(dom0, first, "dd if=/dev/zero of=/dev/xvdb bs=4096 count=4 conv=fsync 2>/dev/null", "DISK-USED")
    typed(dom0, first, "ip link set eth1 up && cat /sys/class/net/eth1/address", "NIC-USED")
    assert MAC in dom0.run(["cat", LOG]).stdout
    dom0.purevirt(["detach-disk", NAME, "xvdb", "--persistent"])
    dom0.purevirt(["detach-interface", NAME, "bridge", "--mac", MAC, "--persistent"])
    text = dom0.purevirt(["dumpxml", NAME, "--inactive"]).stdout
    assert "xvdb" not in text
    assert "<currentMemory unit='KiB'>114688<" in text

    dom0.purevirt(["save", NAME, "/tmp/managed.save"], timeout=120)
    assert listed(dom0) is None
    assert state(dom0) == "shut off"
    dom0.purevirt(["restore", "/tmp/managed.save"], timeout=120)
    second = dom0.domid(NAME)
    typed(dom0, second, "true", "STILL-THERE")
    assert ups(dom0) == 1  # it did not boot again

    dom0.purevirt(["reboot", NAME])
    wait_up(dom0, 2)
    third = dom0.domid(NAME)
    dom0.purevirt(["sysrq", NAME, "c"])
    wait_up(dom0, 3)
    fourth = dom0.domid(NAME)
    assert first < second < third < fourth

    dom0.purevirt(["shutdown", NAME])
    wait_until(dom0, f"! xl domid {NAME}")
    dom0.purevirt(["undefine", NAME])
    gone = dom0.purevirt(["domstate", NAME], check=False)
    assert gone.status == 3
    assert [(job["kind"], job["state"], job["domid"]) for job in jobs(dom0, last)] == [
        ("start", "done", first),
        ("save", "done", None),
        ("restore", "done", second),
        ("restart", "done", third),
        ("restart", "done", fourth),
    ]
    wait_until(dom0, f"! xenstore-exists /libxl/{fourth}")
    assert store_paths(dom0) == before
    events = dom0.python(["-c", EVENTS, UUID]).stdout.split()[heard:]
    assert [event for event in events if event not in ("changed", "devices")] == [
        "defined", "created", "started", *["defined"] * 5, "stopped",
        "created", "started", "shutdown", "stopped",
        "created", "started", "crashed", "stopped",
        "created", "started", "shutdown", "stopped", "undefined",
    ]  # fmt: skip


EVENTS = """
import asyncio, sys
from purevirt.drivers.xen.daemon import Daemon

async def main():
    daemon = Daemon("", "aio")
    for event in await daemon.call("journal", None, {"since": 0}):
        if str(event.uuid) == sys.argv[1]:
            print(event.kind.value)
    await daemon.close()

asyncio.run(main())
"""


@pytest.mark.timeout(600)
def test_a_managed_save_and_a_daemon_that_is_killed(dom0: lab.Host, definition: str, xend: Any) -> None:
    """While the daemon is down domains run on, and a policy that fell due is carried out when it returns."""
    dom0.purevirt(["define", definition])
    dom0.purevirt(["start", NAME], timeout=120)
    wait_up(dom0, 1)
    dom0.purevirt(["managedsave", NAME], timeout=120)
    assert listed(dom0) is None
    assert "Managed save:   yes" in dom0.purevirt(["dominfo", NAME]).stdout
    xend.end(9)
    xend.restart()
    dom0.purevirt(["start", NAME], timeout=120)
    assert "Managed save:   no" in dom0.purevirt(["dominfo", NAME]).stdout
    domid = dom0.domid(NAME)
    typed(dom0, domid, "true", "GOES-ON")
    assert ups(dom0) == 1

    xend.end(9)
    typed(dom0, domid, "true", "RUNS-ON")
    typed(dom0, domid, "reboot -f & true", "REBOOTING")
    wait_until(dom0, f"xl list {NAME} | awk 'END {{ print $5 }}' | grep -q s")
    xend.restart()
    wait_up(dom0, 2)
    assert dom0.domid(NAME) > domid
    dom0.purevirt(["destroy", NAME])
    dom0.purevirt(["undefine", NAME])


@pytest.mark.timeout(600)
def test_a_domain_of_xls_is_adopted(dom0: lab.Host) -> None:
    """Before, it is looked at and not acted on; from then on there is no waiter, and the daemon restarts it."""
    name = "managed-xl"
    dom0.create_guest(name, "pv")
    try:
        dom0.wait_for_guest(name)
        domid = dom0.domid(name)
        assert dom0.shell(f"pgrep -f '[x]l create.*{name}' || true").stdout
        dom0.purevirt(["adopt", name])
        assert not dom0.shell(f"pgrep -f '[x]l create.*{name}' || true").stdout
        again = dom0.purevirt(["adopt", name], check=False)
        assert (again.status, again.stderr) == (
            1,
            f"purevirt: adopt: the Xen daemon answers for domain {name} already\n",
        )
        dom0.purevirt(["reboot", name])
        wait_until(dom0, f"test $(xl domid {name}) -gt {domid}", timeout=60)
        dom0.purevirt(["destroy", name])
    finally:
        dom0.run(["xl", "destroy", name], check=False)


@pytest.mark.timeout(600)
def test_a_pvh_domain_is_migrated_to_the_same_host(dom0: lab.Host) -> None:
    name, log = "managed-pvh", "/var/log/xen/console/guest-managed-pvh.log"
    text = re.sub(r"<devices>.*</devices>", "<devices/>", XML, flags=re.DOTALL)
    text = (
        text.replace(NAME, name)
        .replace("xenpv", "xenpvh")
        .replace("c001", "c002")
        .replace("'>linux", "'>xenpvh")
    )
    dom0.shell('printf %s "$1" > /tmp/pvh.xml; rm -f "$2"', text, log)
    here = "/tmp/here"
    dom0.shell('printf "#!/bin/sh\\nshift\\nexec \\"\\$@\\"\\n" > "$1"; chmod +x "$1"', here)
    try:
        dom0.purevirt(["create", "/tmp/pvh.xml"], timeout=120)
        wait_until(dom0, f"grep -q GUEST-UP {log}", timeout=150)
        domid = dom0.domid(name)
        nowhere = dom0.purevirt(["migrate", name, "localhost", "--ssh", "false"], check=False, timeout=120)
        assert nowhere.status == 1, nowhere
        assert dom0.domid(name) == domid
        dom0.purevirt(["migrate", name, "localhost", "--ssh", here], timeout=200)
        assert dom0.domid(name) > domid
        assert state(dom0, name) in ("running", "idle")
        dom0.purevirt(["reboot", name])  # the daemon answers for it still
        wait_until(dom0, f"test $(grep -c GUEST-UP {log}) -ge 2", timeout=150)
    finally:
        dom0.run(["xl", "destroy", name], check=False)
