"""On a real Xen: old clients, at the classic HTTP interface of the Xen daemon on both of its sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

import lab
from lab.guests import KERNEL, MINI_KERNEL, RAMDISK
from purevirt.wire import sxp

from .daemon import SOCKET, store_paths, waiting, xl_row

pytestmark = pytest.mark.usefixtures("xend")

CLASSIC_SOCKET = "/var/lib/xend/xend-socket"


@pytest.fixture
def mini(dom0: lab.Host) -> Iterator[str]:
    """The name of a PV guest of 4 MiB that runs."""
    (name,) = dom0.create_mini_guests(1, paused=False, prefix="classic-mini")
    yield name
    dom0.run(["xl", "destroy", name], check=False)


def ask(
    dom0: lab.Host, *requests: tuple[str, str, str | None], path: str = CLASSIC_SOCKET
) -> list[list[Any]]:
    """[status, reason, text] for each (method, target, form)."""
    wanted = json.dumps([["http", path, *request] for request in requests])
    done = dom0.python(["-m", "tests.support.raw_clients", wanted], timeout=120)
    answers: list[list[Any]] = json.loads(done.stdout)
    return answers


def test_an_old_client_sees_and_pauses_a_guest_of_xls(dom0: lab.Host, mini: str) -> None:
    domid = xl_row(dom0, mini)[0]
    names, detail, one, paused, again = ask(
        dom0,
        ("GET", "/xend/domain", None),
        ("GET", "/xend/domain?detail=1", None),
        ("GET", f"/xend/domain/{domid}", None),
        ("POST", f"/xend/domain/{mini}", "op=pause"),
        ("POST", f"/xend/domain/{mini}", "op=pause"),
    )
    assert mini in names[2].strip()[1:-1].split()
    everybody = {sxp.value(domain, "name"): domain for domain in sxp.parse(detail[2].encode())[0]}
    assert {"Domain-0", mini} <= set(everybody)
    for found in (everybody[mini], sxp.parse(one[2].encode())[0]):
        assert sxp.value(found, "domid") == domid
        assert sxp.value(found, "memory") == xl_row(dom0, mini)[1]
        assert re.fullmatch("[r-][b-]----", sxp.value(found, "state") or "")
    assert (paused[0], again[0]) == (200, 500)
    assert re.fullmatch("--p---|-bp---|r-p---", xl_row(dom0, mini)[3])
    ((status, _, _),) = ask(dom0, ("POST", f"/xend/domain/{mini}", "op=unpause"), path=SOCKET)
    assert status == 200
    assert "p" not in xl_row(dom0, mini)[3]


LINUX = (
    "(vm (name classic-linux) (memory 96) (vcpus 1) (uuid 7d1c2a52-3c1b-4b57-9b55-6f2f4d0e8a11) (on_crash preserve)"
    f" (image (linux (kernel {KERNEL}) (ramdisk {RAMDISK})"
    " (args 'console=hvc0 quiet loglevel=3 mitigations=off random.trust_cpu=on'))))"
)
MINI = f"(vm (name classic-made) (memory 4) (image (linux (kernel {MINI_KERNEL}))))"
IMAGE = "/var/lib/xen/images/classic.img"
DISK = f"(vbd (uname file:{IMAGE}) (dev xvdb) (mode w))"


def form(op: str, **arguments: object) -> str:
    return urlencode({"op": op, **arguments})


def test_an_old_client_creates_a_guest_paused_and_has_it_go_on(dom0: lab.Host) -> None:
    before = store_paths(dom0)
    waiters = waiting(dom0)
    try:
        ((status, reason, text),) = ask(dom0, ("POST", "/xend/domain", form("create", config=MINI)))
        assert (status, reason) == (201, "created"), text
        made = sxp.parse_one(text.encode())
        domid, memory, _, state, _ = xl_row(dom0, "classic-made")
        assert (sxp.value(made, "domid"), sxp.value(made, "memory"), state) == (domid, memory, "--p---")
        assert sxp.value(made, "image", "linux", "kernel") == MINI_KERNEL
        target = "/xend/domain/classic-made"
        again, unpaused = ask(
            dom0,
            ("POST", "/xend/domain", form("create", config=MINI)),
            ("POST", target, form("unpause")),
        )
        assert (again[0], again[1], unpaused[0]) == (500, "Request failed: create", 200)
        assert "p" not in xl_row(dom0, "classic-made")[3]
        assert waiting(dom0) <= waiters
        ((status, _, text),) = ask(dom0, ("POST", target, form("destroy")))
        assert status == 202, text
        assert store_paths(dom0) == before
    finally:
        dom0.run(["xl", "destroy", "classic-made"], check=False)


def test_an_old_client_keeps_a_guest_with_a_disk_and_saves_it(dom0: lab.Host) -> None:
    dom0.shell(f"mkdir -p /var/lib/xen/images /var/lib/xen/save; truncate -s 16M {IMAGE}")
    before = store_paths(dom0)
    target, saved = "/xend/domain/classic-linux", "/var/lib/xen/save/classic-linux"
    try:
        new, halted, started = ask(
            dom0,
            ("POST", "/xend/domain", form("new", config=LINUX)),
            ("GET", "/xend/domain?state=halted", None),
            ("POST", target, form("start", paused=0)),
        )
        assert (new[0], halted[2], started[0]) == (200, "(classic-linux)", 202), (new, started)
        dom0.wait_for_guest("classic-linux")
        made, disks, gone = ask(
            dom0,
            ("POST", target, form("device_create", config=DISK)),
            ("POST", target, form("devices", type="vbd")),
            ("POST", target, form("device_destroy", type="vbd", dev="xvdb", force=0, rm_cfg=1)),
        )
        assert made[0] == 200, made
        assert disks[2] == f"((51728 (vbd (dev xvdb:disk) (uname file:{IMAGE}) (mode w) (backend 0))))"
        assert gone == [200, "OK", ""]
        left, halted, back = ask(
            dom0,
            ("POST", target, form("save", file=saved)),
            ("GET", "/xend/domain?state=halted", None),
            ("POST", "/xend/domain", form("restore", file=saved)),
        )
        assert (left[0], halted[2], back[0]) == (202, "(classic-linux)", 201), (left, back)
        assert xl_row(dom0, "classic-linux")[1] == "96"
        destroyed, deleted, missing = ask(
            dom0,
            ("POST", target, form("destroy")),
            ("POST", target, form("delete")),
            ("GET", target, None),
        )
        assert (destroyed[0], deleted[0], missing[0]) == (202, 202, 404)
        assert store_paths(dom0) == before
    finally:
        dom0.run(["xl", "destroy", "classic-linux"], check=False)
        dom0.run(["rm", "-f", saved, IMAGE])


def test_the_node_is_xl_infos(dom0: lab.Host) -> None:
    ((status, _, text),) = ask(dom0, ("GET", "/xend/node", None))
    assert status == 200
    node = sxp.parse(text.encode())[0]
    rows = (line.partition(":") for line in dom0.run(["xl", "info"]).stdout.splitlines())
    info = {key.strip(): value.strip() for key, _, value in rows}
    for key in (
        "host",
        "release",
        "nr_cpus",
        "nr_nodes",
        "total_memory",
        "xen_major",
        "xen_minor",
        "xen_caps",
    ):
        assert (sxp.value(node, key) or "").strip() == info[key], key
    assert sxp.value(node, "xen_scheduler") == info["xen_scheduler"]
    assert sxp.value(node, "xend_config_format") == "4"


def test_what_is_not_there(dom0: lab.Host) -> None:
    missing, wrong, nothing = ask(
        dom0,
        ("GET", "/xend/domain/no-such-domain", None),
        ("POST", "/xend/domain/0", "op=pause"),
        ("POST", "/xend/domain/0", "op=dance"),
    )
    assert missing == [404, "Not found", "<Fault 3: 'no-such-domain'>"]
    assert (wrong[0], wrong[1]) == (500, "Request failed: pause")
    assert (nothing[0], nothing[1]) == (501, "Operation not implemented: dance")
    assert xl_row(dom0, "Domain-0")[3] == "r-----"
