"""On a real Xen: the contract suite inside Domain 0, blocking and by asyncio, with the Xen daemon and without it.

What purevirt says there is held against facts that `xl` and the store give. The daemon's changes are tried on a guest
of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

import lab
from lab.checkout import ENVIRONMENT, ROOT

from .conftest import Guests
from .daemon import Program

FACTS = "/tmp/contract-facts.json"


@pytest.fixture(scope="module")
def subject(dom0: lab.Host) -> Iterator[str]:
    """The name of a guest for the changes."""
    name = "contract-subject"
    dom0.create_guest(name, "pv")
    dom0.wait_for_guest(name)
    yield name
    dom0.run(["xl", "destroy", name], check=False)


def facts_of(dom0: lab.Host, names: list[str]) -> list[dict[str, Any]]:
    """What was created, from xl's and the store's own words: never from purevirt's."""
    known = []
    for entry in json.loads(dom0.run(["xl", "list", "-l"]).stdout):
        config = entry["config"]
        if config["c_info"]["name"] not in names:
            continue
        info = config["b_info"]
        known.append(
            {
                "name": config["c_info"]["name"],
                "type": config["c_info"]["type"],
                "memory_kib": info["max_memkb"],
                "vcpus": info["max_vcpus"],
                "domid": entry["domid"],
                "uuid": config["c_info"]["uuid"],
                "disks": [
                    {"target": disk["vdev"], "source": disk["pdev_path"]} for disk in config.get("disks", [])
                ],
                "vifs": [{"mac": nic["mac"], "bridge": nic["bridge"]} for nic in config.get("nics", [])],
            }
        )
    return known


def hold(dom0: lab.Host, guests: list[dict[str, Any]], changeable: str | None) -> str:
    """Run the suite; what it printed, if all of it passed."""
    document = json.dumps({"guests": guests, "changeable": changeable})
    dom0.run(["tee", FACTS], input=document)
    argv = [
        "python3",
        "-m",
        "pytest",
        "tests/contract",
        "-q",
        "-p",
        "no:cacheprovider",
        "--timeout=300",
        "-rfE",
    ]
    variables = {"PUREVIRT_CONTRACT_URI": "xen:///", "PUREVIRT_CONTRACT_FACTS": FACTS}
    done = dom0.run(argv, check=False, timeout=800, cwd=ROOT, env={**ENVIRONMENT, **variables})
    print(done.stdout)
    assert done.status == 0, done.stdout[-8000:] + done.stderr[-2000:]
    return done.stdout


def passed(printed: str) -> int:
    found = re.search(r"(\d+) passed", printed)
    assert found is not None
    return int(found[1])


@pytest.mark.full
@pytest.mark.timeout(900)
def test_the_contract_holds_without_the_daemon(dom0: lab.Host, guests: Guests) -> None:
    facts = facts_of(dom0, [guests.pv.name, guests.pvh.name])
    assert len(facts) == 2
    assert passed(hold(dom0, facts, None)) > 100


@pytest.mark.timeout(900)
def test_the_contract_holds_on_a_real_xen(
    dom0: lab.Host, guests: Guests, subject: str, xend: Program
) -> None:
    """With the daemon: all reads, what it tells without root, what it changes, and its events."""
    facts = facts_of(dom0, [guests.pv.name, guests.pvh.name, subject])
    assert len(facts) == 3
    assert passed(hold(dom0, facts, subject)) > 100
