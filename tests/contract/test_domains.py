"""What every host answers about its domains."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from purevirt import DomainState, DomainType
from purevirt.errors import NoSuchDevice, NoSuchDomain, Unsupported

from .conftest import Caller, Facts, Guest

SLACK_KIB = 4096  # what a toolstack and Xen itself add to a domain's memory

LIVE = (DomainState.RUNNING, DomainState.BLOCKED)


def infos_by_name(do: Caller, connection: Any) -> dict[str, Any]:
    return {info.name: info for info in do(connection.domain_infos)}


def test_domain_0_is_listed_first_and_runs(do: Caller, rw: Any) -> None:
    first = do(rw.domain_infos)[0]
    assert (first.domid, first.name, first.uuid) == (0, "Domain-0", UUID(int=0))
    assert first.state is DomainState.RUNNING
    assert first.flags[0] == "r"
    assert first.cpu_time_ns > 0


def test_every_domain_is_listed_completely(do: Caller, rw: Any, facts: Facts) -> None:
    listed = infos_by_name(do, rw)
    for guest in facts.guests:
        info = listed[guest.name]
        assert (info.domid, str(info.uuid)) == (guest.domid, guest.uuid)
        assert info.type is DomainType(guest.type)
        assert info.state in LIVE
        assert abs(info.memory_kib - guest.memory_kib) <= SLACK_KIB
        assert guest.memory_kib <= info.max_memory_kib <= guest.memory_kib + SLACK_KIB
        assert info.max_vcpus == guest.vcpus
        assert 1 <= info.vcpus <= guest.vcpus
        assert info.cpu_time_ns > 0
        assert info.cpupool == 0


def test_read_only_a_listing_holds_no_measurements(do: Caller, alone: Any, facts: Facts) -> None:
    listed = infos_by_name(do, alone)
    assert "Domain-0" in listed
    for guest in facts.guests:
        info = listed[guest.name]
        assert (info.domid, str(info.uuid)) == (guest.domid, guest.uuid)
        assert info.type is DomainType(guest.type)
        assert info.state is DomainState.NOSTATE
        assert (info.cpu_time_ns, info.memory_kib, info.vcpus, info.flags) == (None, None, None, None)
        assert info.max_vcpus == guest.vcpus
        assert info.memory_target_kib is not None
        assert info.max_memory_kib is not None


def test_listing_thrice_gives_the_same_names(do: Caller, rw: Any) -> None:
    """The first reads names, the second sets watches, the third trusts them."""
    listings = [[(info.domid, info.name) for info in do(rw.domain_infos)] for _ in range(4)]
    assert listings[0] == listings[1] == listings[2] == listings[3]


def test_the_count_is_the_length_of_the_list(do: Caller, either: Any) -> None:
    assert do(either.count_domains) == len(do(either.domain_infos)) == len(do(either.domains))


def test_cpu_time_never_falls(do: Caller, rw: Any, facts: Facts) -> None:
    domain = do(rw.lookup_by_name, facts.pv.name)
    first = do(domain.info)
    second = do(domain.info)
    assert second.cpu_time_ns >= first.cpu_time_ns


def test_a_domain_is_found_by_id_name_and_uuid(do: Caller, either: Any, facts: Facts) -> None:
    for guest in facts.guests:
        found = [
            do(either.lookup_by_id, guest.domid),
            do(either.lookup_by_name, guest.name),
            do(either.lookup_by_uuid, guest.uuid),
            do(either.lookup, guest.name),
            do(either.lookup, str(guest.domid)),
            do(either.lookup, UUID(guest.uuid)),
        ]
        assert len(set(found)) == 1
        assert do(found[0].id) == guest.domid
        assert do(found[0].name) == guest.name
        assert do(found[0].type) is DomainType(guest.type)
        assert do(found[0].is_active) is True


@pytest.mark.parametrize(
    ("method", "wanted"),
    [
        ("lookup_by_id", 32000),
        ("lookup_by_name", "no such domain"),
        ("lookup_by_name", 'a "quoted" näme'),
        ("lookup_by_uuid", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
        ("lookup_by_uuid", "no uuid"),
        ("lookup", "nobody"),
    ],
)
def test_an_unknown_domain_is_no_such_domain(do: Caller, either: Any, method: str, wanted: Any) -> None:
    with pytest.raises(NoSuchDomain) as caught:
        do(getattr(either, method), wanted)
    assert caught.value.exit_status == 3
    assert caught.value.operation


def test_state_comes_with_a_reason(do: Caller, rw: Any, facts: Facts) -> None:
    state, reason = do(do(rw.lookup_by_id, facts.pv.domid).state)
    assert state in LIVE
    assert reason.value == "unknown"


def test_vcpus_have_times_and_affinity(do: Caller, rw: Any, facts: Facts) -> None:
    cpus = do(rw.node_info).cpus
    for guest in facts.guests:
        domain = do(rw.lookup_by_id, guest.domid)
        vcpus = do(domain.vcpus)
        assert [vcpu.number for vcpu in vcpus] == list(range(guest.vcpus))
        assert vcpus[0].cpu in range(cpus)
        assert vcpus[0].cpu_time_ns > 0
        assert vcpus[0].hard_affinity <= set(range(cpus))
        assert vcpus[0].hard_affinity


@pytest.mark.parametrize("method", ["vcpus", "scheduler_parameters"])
def test_read_only_vcpus_need_hypercalls(do: Caller, alone: Any, facts: Facts, method: str) -> None:
    with pytest.raises(Unsupported, match="needs hypercalls"):
        do(getattr(do(alone.lookup_by_id, facts.pv.domid), method))


def test_the_daemon_lists_what_hypercalls_list(do: Caller, rw: Any, told: Any) -> None:
    before, theirs, after = do(rw.domain_infos), do(told.domain_infos), do(rw.domain_infos)
    for first, info, last in zip(before, theirs, after, strict=True):
        assert first.cpu_time_ns <= info.cpu_time_ns <= last.cpu_time_ns
        state = {
            "state": None,
            "flags": None,
            "cpu_time_ns": None,
            "memory_kib": None,
            "outstanding_kib": None,
        }
        assert info._replace(**state) == first._replace(**state)
        assert info.state is not DomainState.NOSTATE


def test_the_daemon_tells_of_one_domain_what_hypercalls_tell(
    do: Caller, rw: Any, told: Any, facts: Facts
) -> None:
    mine, theirs = (do(connection.lookup_by_name, facts.pv.name) for connection in (told, rw))
    assert do(mine.scheduler_parameters) == do(theirs.scheduler_parameters)
    assert [vcpu.hard_affinity for vcpu in do(mine.vcpus)] == [
        vcpu.hard_affinity for vcpu in do(theirs.vcpus)
    ]
    assert do(mine.block_devices) == do(theirs.block_devices)
    assert do(mine.interfaces) == do(theirs.interfaces)


def test_shares_of_the_cpus_are_known(do: Caller, rw: Any, facts: Facts) -> None:
    parameters = do(do(rw.lookup_by_name, facts.pv.name).scheduler_parameters)
    assert parameters.scheduler in ("credit", "credit2")
    assert 1 <= parameters.weight <= 65535
    assert parameters.cap is None or parameters.cap >= 0


def pv(do: Caller, connection: Any, guest: Guest) -> Any:
    return do(connection.lookup_by_uuid, guest.uuid)


def test_disks_are_those_it_was_given(do: Caller, either: Any, facts: Facts) -> None:
    disks = do(pv(do, either, facts.pv).block_devices)
    assert [(disk.target, disk.source) for disk in disks] == [
        (disk["target"], disk["source"]) for disk in facts.pv.disks
    ]
    for disk in disks:
        assert (disk.device, disk.backend_domid) == ("disk", 0)
        assert disk.number == 51712


def test_disk_counters_are_found_by_target_number_and_source(do: Caller, either: Any, facts: Facts) -> None:
    domain = pv(do, either, facts.pv)
    disk = facts.pv.disks[0]
    for wanted in (disk["target"], "51712", disk["source"]):
        counters = do(domain.block_stats, wanted)
        assert counters.rd_bytes % 512 == 0
        assert counters.rd_req >= 0
    with pytest.raises(NoSuchDevice, match="no disk 'xvdz'"):
        do(domain.block_stats, "xvdz")


def test_interfaces_are_those_it_was_given(do: Caller, either: Any, facts: Facts) -> None:
    nics = do(pv(do, either, facts.pv).interfaces)
    assert [(nic.mac, nic.source, nic.type) for nic in nics] == [
        (vif["mac"], vif["bridge"], "bridge") for vif in facts.pv.vifs
    ]
    assert [nic.device for nic in nics] == [f"vif{facts.pv.domid}.0"]


def test_interface_counters_are_found_by_device_mac_and_number(do: Caller, either: Any, facts: Facts) -> None:
    domain = pv(do, either, facts.pv)
    for wanted in (f"vif{facts.pv.domid}.0", facts.pv.vifs[0]["mac"].upper(), "0"):
        counters = do(domain.interface_stats, wanted)
        assert counters.rx_bytes >= 0
    with pytest.raises(NoSuchDevice, match=r"no interface 'vif9\.9'"):
        do(domain.interface_stats, "vif9.9")


def test_a_domain_without_devices_has_empty_lists(do: Caller, either: Any, facts: Facts) -> None:
    domain = do(either.lookup_by_id, 0)
    assert do(domain.block_devices) == ()
    assert do(domain.interfaces) == ()


def test_statistics_of_all_domains_come_in_one_call(do: Caller, rw: Any, facts: Facts) -> None:
    found = {stats.info.name: stats for stats in do(rw.domain_stats)}
    assert {guest.name for guest in facts.guests} | {"Domain-0"} <= set(found)
    stats = found[facts.pv.name]
    assert len(stats.vcpus) == facts.pv.vcpus
    ((disk, counters),) = stats.blocks
    assert (disk.target, counters.rd_req >= 0) == ("xvda", True)
    ((nic, figures),) = stats.interfaces
    assert (nic.mac, figures.rx_packets >= 0) == (facts.pv.vifs[0]["mac"], True)


def test_statistics_can_be_of_one_group(do: Caller, either: Any, facts: Facts) -> None:
    for stats in do(either.domain_stats, ["block"]):
        assert stats.blocks is not None
        assert stats.interfaces is None
        assert stats.vcpus is None
    with pytest.raises(ValueError, match="unknown group balloons"):
        do(either.domain_stats, ["balloons"])


def test_a_description_says_what_the_domain_was_made_of(do: Caller, rw: Any, facts: Facts) -> None:
    for guest in facts.guests:
        described = do(do(rw.lookup_by_name, guest.name).description)
        assert (described.name, str(described.uuid)) == (guest.name, guest.uuid)
        assert described.type is DomainType(guest.type)
        assert described.memory.kib == guest.memory_kib
        assert (described.cpus.online, described.cpus.maximum) == (guest.vcpus, None)
        assert [disk.target for disk in described.disks] == [disk["target"] for disk in guest.disks]
        assert [disk.source for disk in described.disks] == [disk["source"] for disk in guest.disks]
        assert [nic.mac for nic in described.interfaces] == [nic["mac"] for nic in guest.vifs]
        assert [nic.bridge for nic in described.interfaces] == [nic["bridge"] for nic in guest.vifs]


def test_a_description_without_root_tells_the_same_of_memory_cpus_and_devices(
    do: Caller, rw: Any, alone: Any, facts: Facts
) -> None:
    known = do(do(rw.lookup_by_name, facts.pv.name).description)
    seen = do(do(alone.lookup_by_name, facts.pv.name).description)
    assert (seen.name, seen.uuid, seen.type, seen.memory) == (
        known.name,
        known.uuid,
        known.type,
        known.memory,
    )
    assert (seen.cpus.online, seen.cpus.maximum) == (known.cpus.online, known.cpus.maximum)
    assert [disk[:2] for disk in seen.disks] == [disk[:2] for disk in known.disks]
    assert [nic[:2] for nic in seen.interfaces] == [nic[:2] for nic in known.interfaces]


def test_what_only_a_running_domain_has(do: Caller, rw: Any, facts: Facts) -> None:
    domain = do(rw.lookup_by_name, facts.pv.name)
    live = do(domain.live_description)
    assert live.domid == facts.pv.domid
    assert list(live.interface_names) == [nic.device for nic in do(domain.interfaces)]
    assert 1 <= live.vcpus_online <= facts.pv.vcpus
