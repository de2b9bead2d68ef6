"""The host under contract: a simulated one, or the one that the environment names."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

import purevirt

Kind = Literal["pv", "pvh", "hvm"]

DISK = {"target": "xvda", "source": "/var/lib/xen/images/contract-pv.img"}
VIF = {"mac": "00:16:3e:5e:6c:01", "bridge": "xenbr0"}


@dataclass(frozen=True)
class Guest:
    """What is known of a domain because the suite, or the lab, created it."""

    name: str
    type: str
    memory_kib: int
    vcpus: int
    domid: int
    uuid: str
    disks: list[dict[str, Any]] = field(default_factory=list)
    vifs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Facts:
    """The host under contract."""

    uri: str
    guests: list[Guest]
    changeable: str | None = None
    """The name of the PV guest that may be changed; None: any."""

    @property
    def pv(self) -> Guest:
        """The one that everything is known of: two vCPUs or more, a disk, an interface."""
        return next(guest for guest in self.guests if guest.type == "pv" and guest.disks)

    @property
    def subject(self) -> Guest:
        """The one to be changed, and put right again."""
        return next((guest for guest in self.guests if guest.name == self.changeable), self.pv)


@pytest.fixture(scope="session", params=["with a daemon", "without a daemon"])
def facts(request: pytest.FixtureRequest) -> Iterator[Facts]:
    """A simulated host with the Xen daemon, and one without; on a real one, whether it runs is as it is."""
    uri = os.environ.get("PUREVIRT_CONTRACT_URI")
    if uri is not None:
        if request.param != "with a daemon":
            pytest.skip("one round is enough: the host's daemon runs, or does not")
        known = json.loads(Path(os.environ["PUREVIRT_CONTRACT_FACTS"]).read_text())
        yield Facts(uri, [Guest(**guest) for guest in known["guests"]], known.get("changeable"))
        return
    from purevirt import testing

    with testing.Host(empty=True, xend=request.param == "with a daemon") as host:
        guests = []
        kinds: list[tuple[Kind, list[dict[str, str]], list[dict[str, str]]]]
        kinds = [("pv", [DISK], [VIF]), ("pvh", [], []), ("hvm", [], [])]
        for kind, disks, vifs in kinds:
            created = host.create_domain(
                f"contract-{kind}",
                type=kind,
                memory_kib=131072,
                vcpus=2 if kind == "pv" else 1,
                disks=[testing.Disk(disk["target"], disk["source"]) for disk in disks],
                interfaces=[testing.Interface(vif["mac"], vif["bridge"]) for vif in vifs],
            )
            guests.append(
                Guest(
                    created.name,
                    kind,
                    131072,
                    2 if kind == "pv" else 1,
                    created.domid,
                    str(created.uuid),
                    disks,
                    vifs,
                )
            )
        yield Facts(host.uri, guests)


class Caller:
    """Runs a call of either half of the API: `do(connection.version)`, `do(domain.block_stats, "xvda")`."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.loop = asyncio.new_event_loop() if mode == "aio" else None

    def __call__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        if self.loop is not None and inspect.isawaitable(result):
            return self.loop.run_until_complete(result)
        assert not inspect.isawaitable(result)
        return result

    def open(self, uri: str, access: str) -> Any:
        names = {
            ("blocking", "rw"): "open",
            ("blocking", "ro"): "open_read_only",
            ("aio", "rw"): "open_async",
            ("aio", "ro"): "open_async_read_only",
        }
        return self(getattr(purevirt, names[self.mode, access]), uri)


@pytest.fixture(params=["blocking", "aio"])
def do(request: pytest.FixtureRequest) -> Iterator[Caller]:
    caller = Caller(request.param)
    yield caller
    if caller.loop is not None:
        caller.loop.close()


@pytest.fixture
def rw(do: Caller, facts: Facts) -> Iterator[Any]:
    connection = do.open(facts.uri, "rw")
    yield connection
    do(connection.close)


@pytest.fixture
def ro(do: Caller, facts: Facts) -> Iterator[Any]:
    connection = do.open(facts.uri, "ro")
    yield connection
    do(connection.close)


@pytest.fixture(params=["rw", "ro"])
def either(request: pytest.FixtureRequest, do: Caller, facts: Facts) -> Iterator[Any]:
    connection = do.open(facts.uri, request.param)
    yield connection
    do(connection.close)


@pytest.fixture
def alone(ro: Any) -> Any:
    """Read-only, with the store alone."""
    if ro.has_daemon:
        pytest.skip("the Xen daemon runs on this host")
    return ro


@pytest.fixture
def told(ro: Any) -> Any:
    """Read-only, with the Xen daemon."""
    if not ro.has_daemon:
        pytest.skip("no Xen daemon runs on this host")
    return ro


@pytest.fixture
def changing(rw: Any) -> Any:
    """With every right, and with the Xen daemon."""
    if not rw.has_daemon:
        pytest.skip("no Xen daemon runs on this host")
    return rw
