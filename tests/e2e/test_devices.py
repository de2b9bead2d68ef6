"""On a real Xen: disks and interfaces attached to a running guest, used by it, and detached; beside `xl`, which sees
ours as we see its. And what fails: scripts, guests that never answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import lab
from lab.checkout import ENVIRONMENT
from lab.errors import say

from .daemon import store_paths, wait_until

pytestmark = pytest.mark.usefixtures("xend")

NAME = "dev-pv"
IMAGE = "/var/lib/xen/images/dev.img"
OTHER = "/var/lib/xen/images/other.img"
MAC = "00:16:3e:0d:0e:0f"


@pytest.fixture(scope="module")
def guest(dom0: lab.Host) -> Iterator[int]:
    """A guest that is up; its domid."""
    dom0.shell(f"mkdir -p /var/lib/xen/images; truncate -s 16M {IMAGE} {OTHER}")
    for attempt in (1, 2):
        dom0.create_guest(NAME, "pv", disks=[8], vifs=["bridge=xenbr0"])
        try:
            dom0.wait_for_guest(NAME)
            break
        except lab.LabError as error:
            say(f"{error}\nlab: trying {NAME} once more")
            if attempt == 2:
                raise
            dom0.run(["xl", "destroy", NAME], check=False)
    yield dom0.domid(NAME)
    dom0.run(["xl", "destroy", NAME], check=False)


def typed(dom0: lab.Host, domid: int, command: str, mark: str) -> None:
    """Type a command at the guest's shell, and wait until it has succeeded; `mark` is a word not used before."""
    tty = dom0.run(["xenstore-read", f"/local/domain/{domid}/console/tty"]).stdout.strip()
    first, rest = mark[:1], mark[1:]
    dom0.shell('echo "$1" > "$2"', f"{command} && echo {first}''{rest}", tty)
    wait_until(dom0, f"grep -q {mark} /var/log/xen/console/guest-{NAME}.log")


def failing(dom0: lab.Host, *arguments: str) -> tuple[int, str]:
    done = dom0.purevirt(list(arguments), check=False)
    return done.status, done.stderr.strip()


def listed(dom0: lab.Host) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(dom0.run(["xl", "list", "-l", NAME]).stdout)[0]["config"]
    return found


def test_a_disk_is_attached_written_to_and_detached(dom0: lab.Host, guest: int) -> None:
    before = store_paths(dom0)
    made = json.loads(dom0.purevirt(["attach-disk", NAME, IMAGE, "xvdb", "--json"]).stdout)
    assert made == {"kind": "disk", "number": 51728, "name": "xvdb", "mac": None, "source": IMAGE}
    rows = dom0.run(["xl", "block-list", NAME]).stdout
    assert any(line.split()[0] == "51728" and line.split()[3] == "4" for line in rows.splitlines()[1:]), rows
    ours = next(disk for disk in listed(dom0)["disks"] if disk["vdev"] == "xvdb")
    assert ours == {"pdev_path": IMAGE, "vdev": "xvdb", "format": "raw", "readwrite": 1}
    typed(dom0, guest, "echo written-by-the-guest | dd of=/dev/xvdb bs=512 conv=sync,fsync", "WROTE1")
    assert dom0.run(["head", "-c", "20", IMAGE]).stdout == "written-by-the-guest"
    again = failing(dom0, "attach-disk", NAME, OTHER, "xvdb")
    assert again == (1, f"purevirt: disk xvdb of domain {NAME}: there is one already")
    assert "Disk detached" in dom0.purevirt(["detach-disk", NAME, "xvdb"]).stdout
    assert store_paths(dom0) == before
    assert IMAGE not in dom0.run(["losetup", "-a"]).stdout
    assert [disk["vdev"] for disk in listed(dom0)["disks"]] == ["xvda"]


def test_what_we_attach_xl_detaches_and_the_reverse(dom0: lab.Host, guest: int) -> None:
    before = store_paths(dom0)
    dom0.purevirt(["attach-disk", NAME, IMAGE, "xvdc"])
    dom0.run(["xl", "block-detach", NAME, "xvdc"])
    dom0.run(["xl", "block-attach", NAME, f"format=raw,vdev=xvdd,access=ro,target={IMAGE}"])
    dom0.purevirt(["detach-disk", NAME, "xvdd"])
    assert store_paths(dom0) == before
    assert IMAGE not in dom0.run(["losetup", "-a"]).stdout


def test_what_we_write_is_what_xl_writes(dom0: lab.Host, guest: int) -> None:
    tables = []
    for attach in (
        ["xl", "block-attach", NAME, f"format=raw,vdev=xvde,access=ro,target={IMAGE}"],
        ["python3", "-m", "purevirt", "attach-disk", NAME, IMAGE, "xvde", "--mode", "readonly"],
    ):
        dom0.run(attach, env=ENVIRONMENT)
        nodes = dom0.shell("xenstore-ls -fp | grep -a 51776 | grep -av 'ring-ref\\|event-channel'").stdout
        record = next(disk for disk in listed(dom0)["disks"] if disk["vdev"] == "xvde")
        tables.append((nodes, record))
        dom0.run(["xl", "block-detach", NAME, "xvde"])
    assert tables[0] == tables[1]


def test_an_interface_is_attached_pinged_through_moved_and_detached(dom0: lab.Host, guest: int) -> None:
    before = store_paths(dom0)
    dom0.shell("ip link add lab1 type bridge; ip link set lab1 up; ip address add 10.78.0.1/24 dev lab1")
    made = json.loads(
        dom0.purevirt(["attach-interface", NAME, "bridge", "lab1", "--mac", MAC, "--json"]).stdout
    )
    assert (made["number"], made["name"], made["source"]) == (1, f"vif{guest}.1", "lab1")
    assert MAC in dom0.run(["xl", "network-list", NAME]).stdout
    ours = next(nic for nic in listed(dom0)["nics"] if nic["devid"] == 1)
    assert ours == {"devid": 1, "mac": MAC, "bridge": "lab1", "nictype": "vif"}
    up = "ip link set eth1 up; ip address add 10.78.0.7/24 dev eth1"
    typed(dom0, guest, f"{up}; ping -c 1 -W 20 10.78.0.1", "PINGED1")
    dom0.shell("ip link add lab2 type bridge; ip link set lab2 up; ip address add 10.79.0.1/24 dev lab2")
    text = f"<interface type='bridge'><mac address='{MAC}'/><source bridge='lab2'/></interface>"
    dom0.shell('printf %s "$1" > /tmp/nic.xml', text)
    dom0.purevirt(["update-device", NAME, "/tmp/nic.xml"])
    assert "master lab2" in dom0.run(["ip", "link", "show", f"vif{guest}.1"]).stdout
    typed(dom0, guest, "ip address add 10.79.0.7/24 dev eth1; ping -c 1 -W 20 10.79.0.1", "PINGED2")
    dom0.purevirt(["detach-interface", NAME, "bridge", "--mac", MAC])
    assert store_paths(dom0) == before
    assert f"vif{guest}.1" not in dom0.run(["ip", "link"]).stdout


SCRIPTS = {
    "block-failing": "echo so it is >&2\nexit 1",
    "block-hanging": "echo waiting\nsleep 600",
}


def test_what_cannot_be_leaves_nothing_behind(dom0: lab.Host, guest: int) -> None:
    before = store_paths(dom0)
    for name, body in SCRIPTS.items():
        dom0.shell(
            'printf "#!/bin/sh\\n[ \\$1 = add ] || exit 0\\n%s\\n" "$2" > "$1"; chmod 755 "$1"',
            f"/etc/xen/scripts/{name}",
            body,
        )
    disk = f"purevirt: disk xvdf of domain {NAME}: "
    script = "its hotplug script /etc/xen/scripts"
    asked = ["attach-disk", NAME, IMAGE, "xvdf"]
    assert failing(dom0, *asked, "--script", "block-failing") == (
        1,
        f"{disk}{script}/block-failing failed: so it is",
    )
    status, words = failing(dom0, *asked, "--script", "block-hanging", "--timeout", "4")
    assert (status, words.startswith(f"{disk}{script}/block-hanging did not end within")) == (7, True), words
    assert failing(dom0, *asked, "--script", "block-none") == (1, f"{disk}{script}/block-none does not exist")
    assert failing(dom0, "attach-disk", NAME, "/nowhere.img", "xvdf") == (
        2,
        "purevirt: source: /nowhere.img: No such file or directory",
    )
    assert failing(dom0, "attach-interface", NAME, "bridge", "nowhere") == (
        2,
        "purevirt: bridge: nowhere does not exist on this host",
    )
    assert failing(dom0, *asked, "--subdriver", "qcow2")[0] == 6
    assert store_paths(dom0) == before
    assert "sleep 600" not in dom0.run(["ps", "ax"]).stdout
    assert [disk["vdev"] for disk in listed(dom0)["disks"]] == ["xvda"]


def test_a_guest_that_never_answers_gets_no_disk(dom0: lab.Host) -> None:
    (mini,) = dom0.create_mini_guests(1, paused=False, prefix="dev-mini")
    dom0.shell(f"mkdir -p $(dirname {OTHER}); truncate -s 16M {OTHER}")
    try:
        before = store_paths(dom0)
        status, words = failing(dom0, "attach-disk", mini, OTHER, "xvda", "--timeout", "6")
        assert status == 7, words
        assert "the backend is InitWait (2), the frontend Initialising (1); it was taken away again" in words
        assert store_paths(dom0) == before
        assert OTHER not in dom0.run(["losetup", "-a"]).stdout
        dom0.run(["xl", "pause", mini])
        dom0.purevirt(["attach-disk", mini, OTHER, "xvda"])
        dom0.purevirt(["detach-disk", mini, "xvda"])
        assert store_paths(dom0) == before
    finally:
        dom0.run(["xl", "destroy", mini], check=False)
