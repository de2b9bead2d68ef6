"""What the end-to-end tests stand on: a Domain 0 with this checkout in it, booted once per session, and
guests.

Every test in this directory gets the marker `e2e` and time enough for the first one to build an image and
boot. Those marked `full` as well are left out of the quick run. `--xen 4.20` boots another version than 4.17;
given twice, every test runs on both, one machine after the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import lab
from lab.errors import say
from lab.recipe import RECIPES

from .daemon import AUDIT, READER, STRANGER, Program

CHECKOUT = Path(__file__).parents[2]
_HERE = Path(__file__).parent
_KINDS = ("pv", "pvh")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--xen",
        action="append",
        choices=sorted(RECIPES),
        help="the Xen to boot, may be repeated; default: 4.17",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "dom0" in metafunc.fixturenames:
        # No such option where this directory is not what pytest was started for.
        versions = metafunc.config.getoption("--xen", default=None) or ["4.17"]
        metafunc.parametrize("dom0", versions, indirect=True, scope="session")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "full: takes long; only in `make e2e-full`")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(600))


@pytest.fixture(scope="session")
def dom0(request: pytest.FixtureRequest) -> Iterator[lab.Host]:
    """A booted Domain 0; `dom0.purevirt([…])` and `dom0.python([…])` run this checkout there."""
    with lab.boot(request.param) as host:
        host.install_checkout(CHECKOUT)
        yield host


@dataclass(frozen=True, slots=True)
class Guest:
    """A running guest of the session: what `xl` knows it as, and what was attached to it."""

    name: str
    kind: str
    domid: int
    console: str


@dataclass(frozen=True, slots=True)
class Guests:
    """The guests that the tests of a session share: look at them, do not change them."""

    pv: Guest
    pvh: Guest


@pytest.fixture(scope="session")
def shared_guests(dom0: lab.Host) -> dict[str, Guest]:
    """Both kinds are created before one is waited for: they boot beside each other."""
    for kind in _KINDS:
        _create(dom0, kind)
    return {kind: _up(dom0, kind) for kind in _KINDS}


@pytest.fixture
def guests(dom0: lab.Host, shared_guests: dict[str, Guest]) -> Guests:
    """Two guests, both up: PV with a disk (xvda, 16 MiB) and an interface on xenbr0, PVH with neither."""
    for kind, guest in shared_guests.items():
        # Under emulation a PVH guest triple-faults now and then, without fault of its own, and xl starts it
        # again with another domid.
        if dom0.run(["xl", "domid", guest.name], check=False).stdout.strip() != str(guest.domid):
            say(f"lab: {guest.name} is no longer domain {guest.domid}; making it anew")
            shared_guests[kind] = _anew(dom0, kind)
    return Guests(**shared_guests)


def _up(dom0: lab.Host, kind: str) -> Guest:
    """The guest of that kind once it is up."""
    name = f"e2e-{kind}"
    try:
        console = dom0.wait_for_guest(name)
    except lab.LabError as error:
        # About one boot in thirty dies.
        say(f"{error}\nlab: trying {name} once more")
        return _anew(dom0, kind)
    return Guest(name, kind, dom0.domid(name), console)


def _anew(dom0: lab.Host, kind: str) -> Guest:
    name = f"e2e-{kind}"
    dom0.run(["xl", "destroy", name], check=False)
    _create(dom0, kind)
    return Guest(name, kind, dom0.domid(name), dom0.wait_for_guest(name))


def _create(dom0: lab.Host, kind: str) -> None:
    if kind == "pv":
        dom0.create_guest("e2e-pv", "pv", disks=[16], vifs=["bridge=xenbr0"])
    else:
        dom0.create_guest("e2e-pvh", "pvh")


@pytest.fixture(scope="module")
def xend(dom0: lab.Host, users: None) -> Iterator[Program]:
    """The Xen daemon, while the tests of one module run, with an audit log of its own; it ends without complaint."""
    dom0.run(["rm", "-f", AUDIT])
    program = Program(dom0, "xend")
    yield program
    program.end()
    assert "Traceback" not in program.process.output(), program.process.output()
    left = dom0.shell("ls /run/purevirt /var/run/xenstored", check=False).stdout.split()
    assert not {"xend.sock", "socket_ro"} & set(left)


@pytest.fixture(scope="session")
def users(dom0: lab.Host) -> None:
    """READER, in the group xen, and STRANGER, in no group that matters."""
    dom0.shell(
        """
        getent group xen >/dev/null || groupadd --system xen
        useradd --no-create-home --groups xen "$1"
        useradd --no-create-home "$2"
        """,
        READER,
        STRANGER,
    )
