"""The lab's own promises, on real Xen: what other end-to-end tests and the benchmarks take for granted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lab

if TYPE_CHECKING:
    from tests.e2e.conftest import Guest, Guests


@pytest.fixture
def minis(dom0: lab.Host) -> Iterator[list[str]]:
    """A list for the names of guests that the test leaves behind; they are destroyed."""
    names: list[str] = []
    yield names
    dom0.shell('for name; do xl destroy "$name"; done', *names, timeout=120, check=False)


def listed(dom0: lab.Host) -> dict[str, list[str]]:
    """`xl list` as name -> its other columns."""
    lines = dom0.run(["xl", "list"]).stdout.splitlines()[1:]
    return {fields[0]: fields[1:] for fields in map(str.split, lines)}


def test_a_command_runs_in_domain_0_on_real_xen(dom0: lab.Host) -> None:
    assert "control_d" in dom0.run(["cat", "/proc/xen/capabilities"]).stdout
    assert listed(dom0)["Domain-0"][0] == "0"
    assert dom0.versions[f"xen-utils-{dom0.xen}"].startswith(f"{dom0.xen}.")


def test_a_failed_command_tells_status_and_both_outputs(dom0: lab.Host) -> None:
    with pytest.raises(lab.CommandFailed, match="status 3") as failure:
        dom0.shell("echo out; echo err >&2; exit 3")
    assert (failure.value.status, failure.value.stdout, failure.value.stderr) == (3, "out\n", "err\n")


def test_a_command_that_takes_too_long_is_killed(dom0: lab.Host) -> None:
    with pytest.raises(lab.LabError, match="still running after 1 s"):
        dom0.run(["sh", "-c", "exec sleep 4321"], timeout=1)
    assert dom0.run(["pgrep", "-f", "^sleep 4321"], check=False).stdout == ""


def test_a_command_runs_as_another_user_who_cannot_reach_xen(dom0: lab.Host) -> None:
    assert dom0.run(["id", "-un"], user="nobody").stdout == "nobody\n"
    assert dom0.run(["xl", "list"], user="nobody", check=False).status != 0


def test_a_large_input_comes_back_whole(dom0: lab.Host) -> None:
    assert dom0.run(["wc", "-c"], input=b"x" * 3_000_000).stdout == "3000000\n"
    assert dom0.run(["head", "-c", "3"], input=b"y" * 3_000_000).stdout == "yyy"
    assert len(dom0.run(["cat"], input=b"z" * 1_000_000).stdout) == 1_000_000


def test_files_travel_both_ways(dom0: lab.Host, tmp_path: Path) -> None:
    (tmp_path / "tree" / "deep").mkdir(parents=True)
    (tmp_path / "tree" / "deep" / "file").write_bytes(bytes(range(256)))
    dom0.put(tmp_path / "tree", "/tmp/there/copied")
    dom0.get("/tmp/there/copied", tmp_path / "back")
    assert (tmp_path / "back" / "deep" / "file").read_bytes() == bytes(range(256))


def test_a_spawned_program_goes_on(dom0: lab.Host) -> None:
    program = dom0.spawn(["sh", "-c", "echo started; exec sleep 4322"])
    dom0.shell('until grep -q started "$1"; do sleep 0.1; done', program.log)
    assert program.running()
    program.kill()
    dom0.shell('while [ -d "/proc/$1" ]; do sleep 0.1; done', str(program.pid))
    assert not program.running()


def test_python_there_finds_the_checkout_and_pytest(dom0: lab.Host) -> None:
    code = "import purevirt, click, pytest; print(purevirt.__file__)"
    assert dom0.python(["-c", code]).stdout == "/opt/purevirt/src/purevirt/__init__.py\n"
    assert dom0.python(["-c", code], user="nobody").status == 0


@pytest.mark.parametrize("kind", ["pv", "pvh"])
def test_a_guest_comes_up(dom0: lab.Host, guests: Guests, kind: str) -> None:
    guest: Guest = getattr(guests, kind)
    assert "GUEST-UP" in guest.console
    assert listed(dom0)[guest.name][0] == str(guest.domid)


def test_a_guests_devices_count_what_it_does(dom0: lab.Host, guests: Guests) -> None:
    assert "GUEST-PING" in guests.pv.console
    statistics = f"/sys/bus/xen-backend/devices/vbd-{guests.pv.domid}-51712/statistics"
    for counter in ("rd_req", "wr_req", "rd_sect", "wr_sect"):
        assert int(dom0.run(["cat", f"{statistics}/{counter}"]).stdout) > 0, counter
    for counter in ("rx_packets", "tx_packets"):
        path = f"/sys/class/net/vif{guests.pv.domid}.0/statistics/{counter}"
        assert int(dom0.run(["cat", path]).stdout) > 0, counter


def test_ten_mini_guests_run_beside_each_other(dom0: lab.Host, minis: list[str]) -> None:
    made = dom0.create_mini_guests(10, paused=False, prefix="ten")
    minis += made
    assert len(set(made.values())) == 10
    states = {name: columns[3] for name, columns in listed(dom0).items() if name in made}
    assert not [name for name, state in states.items() if "c" in state or "d" in state]


@pytest.mark.full
def test_fifty_mini_guests_run_beside_each_other(dom0: lab.Host, minis: list[str]) -> None:
    made = dom0.create_mini_guests(50, paused=False, prefix="fifty")
    minis += made
    assert set(made) <= set(listed(dom0))


@pytest.mark.full
def test_libvirtd_makes_mini_guests_too(dom0: lab.Host, minis: list[str]) -> None:
    made = dom0.create_mini_guests(5, by="libvirt", prefix="libvirt")
    minis += made
    names = dom0.run(["virsh", "-c", "xen:///", "list", "--name"]).stdout.split()
    assert set(made) <= set(names)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["pv", "pvh"])
def test_a_guest_answers_a_request_to_shut_down(dom0: lab.Host, kind: str) -> None:
    dom0.create_guest(f"short-{kind}", kind)
    dom0.wait_for_guest(f"short-{kind}")
    dom0.run(["xl", "shutdown", "-w", f"short-{kind}"], timeout=120)
    assert f"short-{kind}" not in listed(dom0)
