"""What messages say of themselves, errnos as exceptions, and the table of versions."""

from __future__ import annotations

import errno

import pytest

from purevirt import errors
from purevirt.wire.hypercall.errnos import exception_of
from purevirt.wire.hypercall.messages import DomainInfo
from purevirt.wire.hypercall.numbers import (
    DomainFlag,
)
from purevirt.wire.hypercall.subops import (
    EmulationFlag,
)
from purevirt.wire.hypercall.versions import RELEASES, interface_of, interfaces_to_probe

HVM_DEVICES = 0x3FF


def info(flags: int, emulation: int | None = 0) -> DomainInfo:
    return DomainInfo(1, flags, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, bytes(16), 0, 0, emulation)


def test_flags_are_told_one_by_one() -> None:
    seen = info(DomainFlag.PAUSED | DomainFlag.BLOCKED | 0xFFFF0000)
    assert (seen.paused, seen.blocked) == (True, True)
    assert (seen.running, seen.shutdown, seen.dying) == (False, False, False)
    assert info(DomainFlag.RUNNING).running
    assert info(DomainFlag.DYING).dying


@pytest.mark.parametrize("code", range(6))
def test_a_shutdown_code_counts_once_it_is_shut_down(code: int) -> None:
    assert info(DomainFlag.SHUTDOWN | code << 16).shutdown_code == code
    assert info(code << 16).shutdown_code is None


@pytest.mark.parametrize(
    ("flags", "emulation", "kind"),
    [
        (0, 0, "pv"),
        (DomainFlag.HVM_GUEST, EmulationFlag.LAPIC, "pvh"),
        (DomainFlag.HVM_GUEST, 0, "pvh"),
        (DomainFlag.HVM_GUEST, EmulationFlag.LAPIC | EmulationFlag.IOAPIC | EmulationFlag.VPCI, "pvh"),
        (DomainFlag.HVM_GUEST, HVM_DEVICES, "hvm"),
        (DomainFlag.HVM_GUEST, None, "pvh"),
    ],
)
def test_emulated_devices_tell_pvh_from_hvm(flags: int, emulation: int | None, kind: str) -> None:
    assert info(flags, emulation).kind == kind


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.EPERM, errors.Denied),
        (errno.EACCES, errors.Denied),
        (errno.ENOSYS, errors.Unsupported),
        (errno.EOPNOTSUPP, errors.Unsupported),
        (errno.ENOMEM, errors.NoMemory),
        (errno.ESRCH, errors.NoSuchDomain),
        (errno.EFAULT, errors.HypercallError),
        (9999, errors.HypercallError),
    ],
)
def test_an_errno_becomes_the_exception_of_its_situation(number: int, kind: type[errors.XenError]) -> None:
    error = exception_of(number, operation="vcpu_info", domain=3)
    assert type(error) is kind
    assert (error.errno, error.operation, error.domain, error.channel) == (
        number,
        "vcpu_info",
        "3",
        "hypervisor",
    )
    assert str(error).startswith("vcpu_info: ")


def test_the_message_names_the_domain() -> None:
    assert str(exception_of(errno.ESRCH, operation="x", domain=3)) == "x: there is no domain 3 (ESRCH)"


def test_every_release_since_4_14_is_there_once() -> None:
    assert [row.release for row in RELEASES] == [(4, minor) for minor in range(14, 23)]
    assert {row.verified for row in RELEASES} == {"compiler", "documents"}


def test_a_release_is_found_by_its_pair_and_name() -> None:
    for row in RELEASES:
        assert interface_of(row.sysctl, row.domctl, row.release) == row


def test_a_release_that_is_not_in_the_table_is_said_to_be_probed_only() -> None:
    newest = RELEASES[-1]
    found = interface_of(newest.sysctl, newest.domctl, (4, 23), "arm64")
    assert found == newest._replace(release=(4, 23), verified="probed", arch="arm64")
    assert interface_of(0x99, newest.domctl, (4, 22)) is None


def test_probing_begins_with_the_release_itself_then_newest_first() -> None:
    releases = [row.release[1] for row in interfaces_to_probe((4, 17))]
    assert releases == [17, 22, 21, 20, 19, 18, 16, 15, 14]
    assert [row.release[1] for row in interfaces_to_probe((4, 30))] == list(range(22, 13, -1))
