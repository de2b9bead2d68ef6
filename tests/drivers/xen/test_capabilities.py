"""What a host can do: wire structs and Xen's words in, model out."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import purevirt
from purevirt import testing
from purevirt.channels.files import HostFiles
from purevirt.channels.files.installed import DEVICE_MODELS, HVM_LOADERS
from purevirt.drivers.xen import capabilities as made
from purevirt.drivers.xen.node import numa_cells
from purevirt.errors import Unsupported
from purevirt.model import Capabilities, DomainType
from purevirt.model.capabilities import CpuPlace, Toggle, guest_type
from purevirt.wire.hypercall import messages as wire
from purevirt.wire.hypercall.cpufeatures import feature_words
from purevirt.wire.hypercall.subops import PhysCap

PV, PVH, HVM = DomainType.PV, DomainType.PVH, DomainType.HVM
WORDS = "xen-3.0-x86_64 xen-3.0-x86_32p hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 "
INFO = wire.PhysInfo(2, 2, 8, 7, 2, 1, 2_400_000, 0, None, 1000, 10, 0, 0, 0, feature_words(["pae", "svm"]))
TOOLS = made.Tools("/qemu", "/boot/hvmloader", "/boot/ovmf.bin")


def kinds(words: str, phys_caps: int | None = 0) -> list[tuple[DomainType, str]]:
    return [(guest.type, guest.arch) for guest in made.guests(words, phys_caps, made.Tools())]


def host(phys_caps: int = 0) -> Capabilities:
    info = INFO._replace(capabilities=phys_caps)
    return Capabilities(
        made.host(info, (), (), "x86_64", "AuthenticAMD"), made.guests(WORDS, phys_caps, TOOLS)
    )


def test_xens_words_name_the_guests() -> None:
    assert kinds(WORDS) == [
        (PV, "x86_64"),
        (PV, "i686"),
        (HVM, "i686"),
        (PVH, "i686"),
        (HVM, "x86_64"),
        (PVH, "x86_64"),
    ]
    assert kinds("xen-3.0-x86_64 ") == [(PV, "x86_64")]  # no hardware virtualisation
    assert kinds("hvm-3.0-x86_64 ") == [(HVM, "x86_64"), (PVH, "x86_64")]  # a Xen built without PV
    assert kinds("") == []


def test_a_word_that_nobody_knows_is_passed_over() -> None:
    assert kinds("xen-3.0-vax xen hvm--p uml-3.0-x86_64 xen-3.0-x86_64") == [(PV, "x86_64")]


def test_on_arm_every_guest_is_pvh() -> None:
    assert kinds("xen-3.0-aarch64 xen-3.0-armv7l ") == [(PVH, "aarch64"), (PVH, "armv7l")]


def test_32_bit_kernels_run_as_xen_says() -> None:
    by_kind = {(guest.type, guest.arch): guest for guest in made.guests(WORDS, 0, TOOLS)}
    assert (by_kind[HVM, "i686"].pae, by_kind[HVM, "i686"].nonpae) == (True, True)
    assert (by_kind[PV, "i686"].pae, by_kind[PV, "i686"].nonpae) == (True, False)
    assert (by_kind[HVM, "x86_64"].pae, by_kind[HVM, "x86_64"].nonpae) == (False, False)
    only = made.guests("hvm-3.0-x86_32p", 0, TOOLS)[0]
    assert (only.pae, only.nonpae) == (True, False)


@pytest.mark.parametrize(
    ("phys_caps", "hap"),
    [
        (PhysCap.HAP, Toggle(True, False)),
        (PhysCap.HAP | PhysCap.SHADOW, Toggle(True, True)),
        (PhysCap.SHADOW, None),
        (None, None),
    ],
)
def test_paging_in_hardware_can_be_left_out_where_there_is_another(
    phys_caps: int | None, hap: Toggle | None
) -> None:
    guests = made.guests(WORDS, phys_caps, TOOLS)
    assert {guest.hap for guest in guests if guest.type is not PV} == {hap}
    assert {guest.hap for guest in guests if guest.type is PV} == {None}


def test_only_hvm_guests_have_a_loader_and_a_pcs_features() -> None:
    for guest in made.guests(WORDS, 0, TOOLS):
        assert guest.emulator == "/qemu"
        assert (guest.loader is not None) == (guest.type is HVM)
        assert (guest.acpi is not None) == (guest.apic is not None) == (guest.type is HVM)


def test_the_hosts_figures() -> None:
    cpu = host(PhysCap.DIRECTIO).host.cpu
    assert (cpu.arch, cpu.vendor, cpu.features) == ("x86_64", "AMD", ("pae", "svm"))
    assert (cpu.sockets, cpu.cores, cpu.threads) == (2, 2, 2)
    assert host(PhysCap.DIRECTIO).host.iommu is True
    assert host().host.iommu is False
    assert made.host_seen("aarch64", None).live_migration is False


def test_cells_place_their_cpus_and_leave_out_distances_to_nothing() -> None:
    nodes = [
        wire.NumaNode(0, 2048, 1024, (10, None, 21)),
        wire.NumaNode(1, None, None, (None, None, None)),
        wire.NumaNode(2, 4096, 0, (21, 11, 10)),
    ]
    topology = [
        wire.CpuTopology(0, 0, 0, 0),
        wire.CpuTopology(1, 0, 0, 0),
        wire.CpuTopology(2, 0, 1, 2),
        wire.CpuTopology(3, None, None, None),
        wire.CpuTopology(4, None, None, 2),
    ]
    first, second = made.host(INFO, numa_cells(nodes, topology), topology, "x86_64", None).cells
    assert (first.memory_kib, first.distances) == (2, ((0, 10), (2, 21)))
    assert first.cpus == (CpuPlace(0, 0, 0, (0, 1)), CpuPlace(1, 0, 0, (0, 1)))
    assert second.distances == ((0, 21), (2, 10))
    assert second.cpus == (CpuPlace(2, 1, 0, (2,)), CpuPlace(4, None, None, ()))


@pytest.mark.parametrize(
    ("kind", "arch", "expected"),
    [
        (None, None, (PV, "x86_64")),
        (PVH, None, (PVH, "x86_64")),
        (HVM, "i686", (HVM, "i686")),
        (None, "i686", (PV, "i686")),
    ],
)
def test_a_guest_is_chosen(
    kind: DomainType | None, arch: str | None, expected: tuple[DomainType, str]
) -> None:
    found = made.domain_capabilities(host(), kind, arch, TOOLS, "/default")
    assert (found.type, found.arch) == expected


def test_without_pv_the_first_kind_on_the_hosts_own_architecture_is_chosen() -> None:
    known = host()._replace(guests=made.guests("hvm-3.0-x86_32 hvm-3.0-x86_64", 0, TOOLS))
    assert made.domain_capabilities(known, None, None, TOOLS, "/default")[1:3] == (HVM, "x86_64")


def test_a_guest_that_the_host_cannot_run_is_refused_with_those_it_can() -> None:
    with pytest.raises(Unsupported, match=r"runs no pv armv7l guests; it runs pv x86_64, pv i686, hvm i686"):
        made.domain_capabilities(host(), PV, "armv7l", TOOLS, "/default")
    with pytest.raises(Unsupported, match="it runs none"):
        made.domain_capabilities(host()._replace(guests=()), None, None, TOOLS, "/default")


def test_pci_devices_go_to_hvm_guests_where_an_iommu_keeps_them_in() -> None:
    def pci(kind: DomainType, phys_caps: int) -> bool:
        found = made.domain_capabilities(host(phys_caps), kind, None, TOOLS, "/default")
        return "pci" in found.device("hostdev").values("subsysType")

    assert (pci(HVM, 0), pci(HVM, PhysCap.DIRECTIO)) == (False, True)
    assert (pci(PV, 0), pci(PVH, PhysCap.DIRECTIO)) == (True, False)


def test_firmware_is_told_of_hvm_guests_and_as_far_as_it_is_there() -> None:
    assert made.domain_capabilities(host(), PV, None, TOOLS, "/default").loaders is None
    assert made.domain_capabilities(host(), HVM, None, TOOLS, "/default").loaders == (
        "/boot/ovmf.bin",
        "/boot/hvmloader",
    )
    bare = made.domain_capabilities(host(), HVM, None, made.Tools(), "/default")
    assert bare.loaders == ()


def test_where_no_device_model_is_installed_its_place_is_told() -> None:
    known = host()._replace(guests=made.guests(WORDS, 0, made.Tools()))
    assert made.domain_capabilities(known, HVM, None, made.Tools(), "/default").emulator == "/default"


def test_nothing_is_said_of_a_device_that_is_not_known() -> None:
    found = made.domain_capabilities(host(), PV, None, TOOLS, "/default")
    assert not found.device("tpm").supported
    assert found.device("tpm").values("model") == ()
    assert found.device("disk").values("bus") == ("xen",)


@pytest.mark.parametrize(
    ("word", "kind"),
    [("pv", PV), ("xenpvh", PVH), ("xenfv", HVM), (HVM, HVM), (None, None)],
)
def test_kinds_of_guests_have_two_names(word: DomainType | str | None, kind: DomainType | None) -> None:
    assert guest_type(word) is kind


def test_a_kind_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match=r"one of pv, pvh, hvm, xenpv, xenpvh, xenfv, not 'pc'"):
        guest_type("pc")


# --- on a simulated host: which files are there


@pytest.fixture
def simulated() -> Iterator[testing.Host]:
    with testing.Host(xend=False, empty=True) as host:
        yield host


def put(root: str, path: str) -> str:
    file = Path(root + path)
    os.makedirs(file.parent, exist_ok=True)
    file.touch()
    return path


def test_what_is_installed_for_the_running_xen_counts(simulated: testing.Host) -> None:
    with purevirt.open(simulated.uri) as connection:
        assert {guest.emulator for guest in connection.capabilities().guests} == {None}
        put(simulated.root, "/usr/lib/xen-4.16/boot/hvmloader")
        own = put(simulated.root, "/usr/lib/xen-4.17/boot/hvmloader")
        model = put(simulated.root, DEVICE_MODELS[2])
        for guest in connection.capabilities().guests:
            assert guest.emulator == model
            assert guest.loader == (own if guest.type is HVM else None)
        found = connection.domain_capabilities("hvm")
        assert (found.emulator, found.loaders) == (model, (own,))
        assert connection.domain_capabilities("hvm", emulator="/my/qemu").emulator == "/my/qemu"


def test_a_directory_of_that_name_is_no_loader(tmp_path: Path) -> None:
    path = HVM_LOADERS[1]
    os.makedirs(str(tmp_path) + path)
    assert HostFiles(str(tmp_path)).hvm_loader("4.17") is None


def test_read_only_without_sysfs_nothing_is_made_up(simulated: testing.Host) -> None:
    with purevirt.open_read_only(simulated.uri) as connection:
        seen = connection.capabilities()
        assert [guest.hap for guest in seen.guests] == [None] * len(seen.guests)
        os.unlink(f"{simulated.root}/sys/hypervisor/properties/capabilities")
        with pytest.raises(Unsupported, match="/sys/hypervisor/properties/capabilities"):
            connection.capabilities()
