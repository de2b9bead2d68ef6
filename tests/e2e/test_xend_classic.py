"""On a real Xen: old clients, at the classic HTTP interface of the Xen daemon on both of its sockets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import lab
from purevirt.wire import sxp

from .daemon import SOCKET, xl_row

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
