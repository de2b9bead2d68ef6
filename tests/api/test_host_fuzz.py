"""Anything done to a simulated host in any order: once all of its parts run again, they agree about what there is."""

from __future__ import annotations

import contextlib
from typing import Literal, get_args

from hypothesis import given, settings
from hypothesis import strategies as st

import purevirt
from purevirt import testing
from purevirt.daemons.xenstored.upkeep import check
from purevirt.errors import XenError

Name = Literal["a", "b", "c"]
Part = Literal["hypervisor", "xenstored", "xenconsoled"]
NAMES = st.sampled_from(get_args(Name))
PARTS = st.sampled_from(get_args(Part))
ORDERS = st.sampled_from(["poweroff", "reboot", "suspend", "halt", "junk"])
STEPS = st.one_of(
    st.tuples(st.just("create"), NAMES),
    st.tuples(st.just("destroy"), NAMES),
    st.tuples(st.just("crash"), NAMES),
    st.tuples(st.just("pause"), NAMES),
    st.tuples(st.just("unpause"), NAMES),
    st.tuples(st.just("resume"), NAMES),
    st.tuples(st.just("kill"), PARTS),
    st.tuples(st.just("restart"), PARTS),
    st.tuples(st.just("order"), st.tuples(NAMES, ORDERS)),
    st.tuples(st.just("advance"), st.sampled_from([0.0, 0.05, 1.0])),
)


def do(host: testing.Host, step: tuple[str, object]) -> None:
    what, whom = step
    if what == "create":
        host.create_domain(
            str(whom),
            disks=[testing.Disk("xvda", "/image")],
            interfaces=[testing.Interface("00:16:3e:00:00:01")],
        )
    elif what == "order":
        assert isinstance(whom, tuple)
        name, order = whom
        with purevirt.store.open(root=host.root) as store:
            for domid in store.list("/local/domain"):
                if store.get(f"/local/domain/{domid}/name") == name:
                    store.write(f"/local/domain/{domid}/control/shutdown", order)
    elif what == "advance":
        assert isinstance(whom, float)
        host.advance(whom)
    else:
        getattr(host, what)(whom)


@settings(max_examples=40)
@given(st.lists(STEPS, max_size=14))
def test_whatever_happens_the_parts_agree_in_the_end(steps: list[tuple[str, object]]) -> None:
    with testing.Host(held=True, empty=True, xend=False) as host:
        for step in steps:
            with contextlib.suppress(XenError):
                do(host, step)
        for part in get_args(Part):
            if not host._machine.runs(part):
                host.restart(part)
        host.advance(1)
        with purevirt.open(host.uri) as xen:
            domids = {info.domid for info in xen.domain_infos()}
            tree = xen.store.tree("/")
        assert {int(path.split("/")[3]) for path in tree if path.startswith("/local/domain/")} == domids
        devices = {
            path: value for path, value in tree.items() if "/device/" in path and path.endswith("/state")
        }
        assert set(devices.values()) <= {"1", "4"}
        assert host._machine.call(lambda: check(host._machine.xenstored)) == []
        introduced = host._machine.call(
            lambda: {each for each, _ in host._machine.xenstored.guests_introduced()}
        )
        assert introduced == domids - {0}
        for name in get_args(Name):
            with contextlib.suppress(XenError):
                host.destroy(name)
        host.advance(0)
        assert host._machine.call(lambda: len(host._machine.bus.frames)) == 0
