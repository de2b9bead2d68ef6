"""What guests of a simulated host do, seen by store, hypervisor and console, on a held clock."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import purevirt
from purevirt import DomainState, StateReason, testing
from purevirt.errors import InvalidConfig, NoSuchDomain

DISK = testing.Disk("xvda", "/images/web.img")
NIC = testing.Interface("00:16:3e:00:00:01")


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host(held=True, empty=True) as host:
        yield host


@pytest.fixture
def xen(host: testing.Host) -> Iterator[purevirt.Connection]:
    with purevirt.open(host.uri) as connection:
        yield connection


def node(xen: purevirt.Connection, path: str) -> str:
    return xen.store.read(path)


def order(xen: purevirt.Connection, domid: int, command: str) -> None:
    xen.store.write(f"/local/domain/{domid}/control/shutdown", command)


# --- booting


def test_a_guest_says_what_it_takes_when_it_has_booted(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web", paused=True).domid
    feature = f"/local/domain/{domid}/control/feature-poweroff"
    assert node(xen, feature) == ""
    host.unpause("web")
    assert node(xen, feature) == "1"
    assert host.console("web").splitlines() == [
        "simulated kernel: booting with 1 vCPUs and 131072 KiB",
        "simulated kernel: up",
    ]


def test_what_a_guest_writes_is_its_own(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web", disks=[DISK]).domid
    device = f"/local/domain/{domid}/device/vbd/51712"
    assert [str(each) for each in xen.store.permissions(f"{device}/ring-ref")] == [f"n{domid}", "r0"]


def test_frontends_and_backends_find_each_other(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web", disks=[DISK], interfaces=[NIC], paused=True).domid
    front = {kind: f"/local/domain/{domid}/device/{kind}" for kind in ("vbd/51712", "vif/0")}
    back = {kind: f"/local/domain/0/backend/{kind.replace('/', f'/{domid}/')}" for kind in front}
    assert [node(xen, f"{path}/state") for path in front.values()] == ["1", "1"]
    assert [node(xen, f"{path}/state") for path in back.values()] == ["2", "2"]
    host.unpause("web")
    assert [node(xen, f"{path}/state") for path in (*front.values(), *back.values())] == ["4"] * 4
    assert int(node(xen, f"{front['vbd/51712']}/ring-ref")) >= 8
    assert xen.store.exists(f"{front['vif/0']}/tx-ring-ref")
    assert xen.store.exists(f"{front['vif/0']}/rx-ring-ref")


def test_a_device_that_is_taken_away_is_closed_on_both_sides(
    host: testing.Host, xen: purevirt.Connection
) -> None:
    domid = host.create_domain("web", disks=[DISK]).domid
    front, back = f"/local/domain/{domid}/device/vbd/51712", f"/local/domain/0/backend/vbd/{domid}/51712"
    xen.store.write(f"{back}/online", "0")
    xen.store.write(f"{back}/state", "5")
    host.advance(0)
    assert (node(xen, f"{front}/state"), node(xen, f"{back}/state")) == ("6", "6")
    xen.store.remove(back)
    xen.store.remove(front)
    host.advance(0)
    with pytest.raises(KeyError):
        host.count_block("web", "xvda", rd_req=1)


def test_a_device_that_comes_later_is_connected(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web").domid
    front, back = f"/local/domain/{domid}/device/vbd/51728", f"/local/domain/0/backend/vbd/{domid}/51728"

    with xen.store.transaction() as tx:
        for path, own in ((front, (f"n{domid}", "r0")), (back, ("n0", f"r{domid}"))):
            tx.mkdir(path)
            tx.set_permissions(path, own)
        tx.write_many({f"{back}/frontend": front, f"{back}/online": "1", f"{back}/state": "1"})
        tx.write_many({f"{front}/backend": back, f"{front}/backend-id": "0", f"{front}/state": "1"})
    host.advance(0)
    assert (node(xen, f"{front}/state"), node(xen, f"{back}/state")) == ("4", "4")
    host.count_block("web", "xvdb", rd_req=1)


def test_a_frontend_that_grants_nothing_is_closed_with_an_error(
    host: testing.Host, xen: purevirt.Connection
) -> None:
    domid = host.create_domain("web", disks=[DISK], paused=True).domid
    front, back = f"/local/domain/{domid}/device/vbd/51712", f"/local/domain/0/backend/vbd/{domid}/51712"
    xen.store.write_many({f"{front}/ring-ref": "77", f"{front}/event-channel": "3", f"{front}/state": "3"})
    host.advance(0)
    assert node(xen, f"{back}/state") == "5"
    assert "mapping in shared page" in node(xen, f"{back}/error")
    assert "general_error" in node(xen, f"{back}/error")


# --- shutting down


def test_an_order_is_acknowledged_at_once_and_obeyed_a_moment_later(
    host: testing.Host, xen: purevirt.Connection
) -> None:
    domid = host.create_domain("web", disks=[DISK]).domid
    order(xen, domid, "poweroff")
    host.advance(0)
    assert node(xen, f"/local/domain/{domid}/control/shutdown") == ""
    assert xen.lookup_by_name("web").state()[0] is DomainState.RUNNING
    host.advance(0.1)
    assert xen.count_domains() == 1
    assert not xen.store.exists(f"/local/domain/{domid}")
    assert not xen.store.exists(f"/local/domain/0/backend/vbd/{domid}")


def test_a_reboot_is_a_new_domain_with_the_same_name_and_uuid(
    host: testing.Host, xen: purevirt.Connection
) -> None:
    before = host.create_domain("web", vcpus=2, disks=[DISK])
    domain = xen.lookup_by_name("web")
    order(xen, before.domid, "reboot")
    host.advance(1)
    assert domain.id() == before.domid + 1
    assert domain.uuid == before.uuid
    assert domain.info().vcpus == 2
    assert node(xen, f"/local/domain/{domain.id()}/device/vbd/51712/state") == "4"
    assert not xen.store.exists(f"/local/domain/{before.domid}")


def test_a_suspended_guest_goes_on_when_it_is_resumed(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web").domid
    domain = xen.lookup_by_name("web")
    for _ in range(2):
        order(xen, domid, "suspend")
        host.advance(1)
        assert domain.state() == (DomainState.PAUSED, StateReason.SUSPEND)
        host.resume("web")
        assert domain.state()[0] is DomainState.RUNNING
    order(xen, domid, "halt")
    host.advance(1)
    assert not domain.is_active()


@pytest.mark.parametrize(
    ("command", "settings", "state"),
    [
        ("poweroff", {"on_poweroff": "preserve"}, DomainState.SHUTDOWN),
        ("reboot", {"on_reboot": "preserve"}, DomainState.SHUTDOWN),
        ("reboot", {"on_reboot": "destroy"}, None),
        ("poweroff", {"on_poweroff": "restart"}, DomainState.RUNNING),
    ],
)
def test_what_becomes_of_a_domain_is_what_was_asked_for(
    host: testing.Host,
    xen: purevirt.Connection,
    command: str,
    settings: dict[str, testing.Action],
    state: DomainState | None,
) -> None:
    domid = host.create_domain("web", **settings).domid  # type: ignore[arg-type]
    order(xen, domid, command)
    host.advance(1)
    found = [info.state for info in xen.domain_infos() if info.name == "web"]
    assert found == ([] if state is None else [state])


def test_a_crash_is_preserved_unless_it_is_not(host: testing.Host, xen: purevirt.Connection) -> None:
    host.create_domain("one")
    host.create_domain("two", on_crash="destroy")
    host.crash("one")
    host.crash("two")
    assert [info.name for info in xen.domain_infos()] == ["Domain-0", "one"]
    with pytest.raises(InvalidConfig, match="destroy, restart, preserve"):
        host.create_domain("three", on_crash="rename-restart")  # type: ignore[arg-type]


def test_a_guest_can_refuse(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web").domid
    host.refuse_shutdown("web")
    assert node(xen, f"/local/domain/{domid}/control/feature-poweroff") == "0"
    order(xen, domid, "poweroff")
    host.advance(60)
    assert node(xen, f"/local/domain/{domid}/control/shutdown") == "poweroff"
    host.refuse_shutdown("web", answer="busy")
    assert node(xen, f"/local/domain/{domid}/control/feature-poweroff") == "1"
    order(xen, domid, "reboot")
    host.advance(60)
    assert node(xen, f"/local/domain/{domid}/control/shutdown") == "busy"
    assert xen.lookup_by_name("web").id() == domid


def test_a_guest_can_ignore_an_order_and_think_again(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web").domid
    host.ignore_shutdown("web")
    order(xen, domid, "poweroff")
    host.advance(60)
    assert node(xen, f"/local/domain/{domid}/control/shutdown") == "poweroff"
    host.ignore_shutdown("web", False)
    order(xen, domid, "poweroff")
    host.advance(1)
    assert xen.count_domains() == 1


def test_how_long_a_shutdown_takes_is_told(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web").domid
    host.delay_shutdown("web", 20)
    order(xen, domid, "poweroff")
    host.advance(19.9)
    assert xen.count_domains() == 2
    host.advance(0.2)
    assert xen.count_domains() == 1


def test_a_paused_guest_does_nothing_until_it_runs(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web").domid
    host.pause("web")
    order(xen, domid, "poweroff")
    host.advance(60)
    assert node(xen, f"/local/domain/{domid}/control/shutdown") == "poweroff"
    host.unpause("web")
    assert node(xen, f"/local/domain/{domid}/control/shutdown") == ""
    host.pause("web")
    host.advance(60)
    assert xen.count_domains() == 2
    host.unpause("web")
    assert xen.count_domains() == 1


def test_an_order_that_a_guest_does_not_know_is_acknowledged_and_ignored(
    host: testing.Host, xen: purevirt.Connection
) -> None:
    domid = host.create_domain("web").domid
    order(xen, domid, "dance")
    host.advance(60)
    assert node(xen, f"/local/domain/{domid}/control/shutdown") == ""
    assert "ignoring the order to 'dance'" in host.console("web")


# --- keys, memory, vCPUs


def test_keys_are_taken_and_some_end_the_kernel(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web").domid
    path = f"/local/domain/{domid}/control/sysrq"
    xen.store.write(path, "h")
    host.advance(0)
    assert node(xen, path) == ""
    assert host.console("web").endswith("sysrq: h\n")
    xen.store.write(path, "c")
    host.advance(0)
    assert xen.lookup_by_name("web").state() == (DomainState.CRASHED, StateReason.CRASH)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("65536", 65536),
        ("200000", 200000),
        ("900000", 262144),
        ("0", 4096),
        ("junk", 131072),
        ("65537", 65536),
    ],
)
def test_the_balloon_follows_the_target_within_bounds(
    host: testing.Host, xen: purevirt.Connection, target: str, expected: int
) -> None:
    domid = host.create_domain("web", memory_kib=131072, max_memory_kib=262144).domid
    xen.store.write(f"/local/domain/{domid}/memory/target", target)
    host.advance(0)
    info = xen.lookup_by_name("web").info()
    assert (info.memory_kib, info.max_memory_kib) == (expected, 262144)


def test_a_balloon_takes_no_more_than_there_is() -> None:
    with testing.Host(held=True, empty=True, memory_kib=2 << 20) as host, purevirt.open(host.uri) as xen:
        host.create_domain("web", memory_kib=131072, max_memory_kib=4 << 20)
        free = xen.free_memory()
        xen.store.write("/local/domain/1/memory/target", str(4 << 20))
        host.advance(0)
        assert xen.lookup_by_name("web").info().memory_kib == 131072 + free
        assert xen.free_memory() == 0


def test_vcpus_come_and_go_as_the_store_says_but_for_the_first(
    host: testing.Host, xen: purevirt.Connection
) -> None:
    domid = host.create_domain("web", vcpus=3).domid
    domain = xen.lookup_by_name("web")
    for number in range(3):
        xen.store.write(f"/local/domain/{domid}/cpu/{number}/availability", "offline")
    host.advance(0)
    assert [vcpu.cpu is not None for vcpu in domain.vcpus()] == [True, False, False]
    xen.store.write(f"/local/domain/{domid}/cpu/2/availability", "online")
    host.advance(0)
    assert [vcpu.cpu is not None for vcpu in domain.vcpus()] == [True, False, True]


def test_a_guest_without_drivers_uses_nothing(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web", type="hvm", disks=[DISK], pv_drivers=False).domid
    order(xen, domid, "poweroff")
    host.advance(60)
    assert node(xen, f"/local/domain/{domid}/control/shutdown") == "poweroff"
    assert node(xen, f"/local/domain/{domid}/control/feature-poweroff") == ""
    assert node(xen, f"/local/domain/{domid}/device/vbd/51712/state") == "1"
    assert host.console("web") == ""


def test_a_guest_that_loses_its_nodes_goes_on(host: testing.Host, xen: purevirt.Connection) -> None:
    domid = host.create_domain("web").domid
    for name in ("memory", "cpu", "device"):
        xen.store.remove(f"/local/domain/{domid}/{name}")
    host.advance(0)
    order(xen, domid, "poweroff")
    host.advance(1)
    assert xen.count_domains() == 1


def test_a_domain_that_somebody_else_destroys_is_cleaned_up_after(
    host: testing.Host, xen: purevirt.Connection
) -> None:
    domid = host.create_domain("web", disks=[DISK]).domid
    host._machine.call(lambda: host._machine.hypervisor.destroy(domid))
    assert not xen.store.exists(f"/local/domain/{domid}")
    with pytest.raises(NoSuchDomain):
        host.pause("web")


def test_a_thousand_domains_boot_and_are_listed() -> None:
    with testing.Host(empty=True, memory_kib=64 << 20, xend=False) as host, purevirt.open(host.uri) as xen:
        for number in range(1000):
            host.create_domain(f"d{number}", memory_kib=4096)
        infos = xen.domain_infos()
        assert [info.name for info in infos] == ["Domain-0", *(f"d{number}" for number in range(1000))]
        features = [f"/local/domain/{info.domid}/control/feature-poweroff" for info in infos[1:]]
        assert set(xen.store.read_many(features)) == {"1"}


@pytest.mark.parametrize(("pv_drivers", "expected"), [(True, 2 << 56 | 0xF3), (False, 0)])
def test_a_guest_with_drivers_tells_xen_how_to_send_it_events(
    host: testing.Host, pv_drivers: bool, expected: int
) -> None:
    domid = host.create_domain("web", type="hvm", pv_drivers=pv_drivers).domid
    assert host._machine.hypervisor.domain(domid).hvm_params.get(0, 0) == expected


def test_an_nmi_is_mentioned_and_the_power_button_obeyed(
    host: testing.Host, xen: purevirt.Connection
) -> None:
    domid = host.create_domain("web", type="hvm").domid

    def press(trigger: int) -> None:
        host._machine.call(lambda: host._machine.hypervisor.trigger(domid, 0, trigger))

    press(0)
    assert host.console("web").endswith("NMI on vCPU 0\n")
    press(3)
    host.advance(1)
    assert xen.count_domains() == 1
