"""On a real Xen: what the host says it can do, beside what libvirt's Xen driver says of the same host.

Equal, field by field: architecture, topology, cells with memory, distances and CPUs, IOMMU, migration, and which guests
run on which architecture with which features. Where we differ, it is on purpose, and each difference has its test here:

- CPU: libvirt picks a model of its CPU map and lists what is beyond it; we list all features, and no model, since Xen
  tells none. We tell the vendor.
- power management: libvirt asks Domain 0's service manager; we say nothing.
- device model and loader: libvirt prints paths that may not be there; we print what is installed.
- hardware-assisted paging: libvirt says of every host that a guest can do without; we ask Xen if it has another way.
- virtual CPUs: libvirt's numbers are 512, 512 and 128 for PV, PVH and HVM; ours are those that Xen allows.
- devices: libvirt prints one list for all kinds of guests; ours are what such a guest can have.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import pytest

import lab
from purevirt.formats import capabilities_xml
from purevirt.model import Capabilities, DomainCapabilities, DomainType
from purevirt.wire.hypercall.cpufeatures import CPU_FEATURES

MACHINES = {"xenpv": DomainType.PV, "xenpvh": DomainType.PVH, "xenfv": DomainType.HVM}


@pytest.fixture(scope="module")
def virsh(dom0: lab.Host) -> Iterator[lab.Host]:
    """Domain 0 with libvirtd, while this module runs."""
    dom0.start_libvirtd()
    yield dom0
    dom0.shell(
        'pid=$(cat /run/libvirtd.pid); kill "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done'
    )


@pytest.fixture(scope="module")
def theirs(virsh: lab.Host) -> Capabilities:
    return capabilities_xml.parse(virsh.run(["virsh", "-c", "xen:///", "capabilities"]).stdout)


@pytest.fixture(scope="module")
def ours(dom0: lab.Host) -> Capabilities:
    return capabilities_xml.parse(dom0.purevirt(["capabilities"]).stdout)


@pytest.fixture(scope="module")
def virt_caps(dom0: lab.Host) -> set[str]:
    """What `xl info` says the processors can do."""
    rows = (line.partition(":") for line in dom0.run(["xl", "info"]).stdout.splitlines())
    return next(set(value.split()) for key, _, value in rows if key.strip() == "virt_caps")


def there(dom0: lab.Host, path: str) -> bool:
    return dom0.run(["test", "-f", path], check=False).status == 0


def test_the_host_is_libvirts(theirs: Capabilities, ours: Capabilities) -> None:
    their, our = theirs.host, ours.host
    assert our.cpu[:1] + our.cpu[3:6] == their.cpu[:1] + their.cpu[3:6]  # arch; sockets, cores, threads
    assert our.cells == their.cells
    assert (our.iommu, our.live_migration) == (their.iommu, their.live_migration)


def test_the_guests_are_libvirts(theirs: Capabilities, ours: Capabilities) -> None:
    def compared(capabilities: Capabilities) -> list[tuple[object, ...]]:
        return [
            (guest.type, guest.arch, guest.machine, guest.pae, guest.nonpae, guest.acpi, guest.apic)
            for guest in capabilities.guests
        ]

    assert len(ours.guests) == 5
    assert compared(ours) == compared(theirs)


def test_every_cpu_feature_that_libvirt_lists_is_among_ours(theirs: Capabilities, ours: Capabilities) -> None:
    assert (theirs.host.cpu.model is None, ours.host.cpu.model) == (False, None)
    assert ours.host.cpu.vendor == "AMD"  # which the emulated processor says it is
    assert len(theirs.host.cpu.features) > 20
    assert set(theirs.host.cpu.features) <= set(ours.host.cpu.features)


def test_our_names_are_those_of_libvirts_cpu_map(virsh: lab.Host) -> None:
    registers = [
        (0x1, 0, "edx"),
        (0x1, 0, "ecx"),
        (0x80000001, 0, "edx"),
        (0x80000001, 0, "ecx"),
        (0xD, 1, "eax"),
        (0x7, 0, "ebx"),
        (0x7, 0, "ecx"),
        (0x80000007, 0, "edx"),
    ]
    ours = {place: name for name, place in CPU_FEATURES.items()}
    compared = 0
    document = virsh.run(["cat", "/usr/share/libvirt/cpu_map/x86_features.xml"]).stdout
    for feature in ET.fromstring(document.encode()).iter("feature"):
        for leaf in feature.iter("cpuid"):
            place = int(leaf.get("eax_in", "0"), 0), int(leaf.get("ecx_in", "0"), 0)
            for register in ("eax", "ebx", "ecx", "edx"):
                mask = int(leaf.get(register, "0"), 0)
                if mask and (*place, register) in registers:
                    word = registers.index((*place, register))
                    assert ours[word, mask.bit_length() - 1] == feature.get("name")
                    compared += 1
    assert compared > 100


def test_power_management_is_not_ours_to_tell(theirs: Capabilities, ours: Capabilities) -> None:
    assert (theirs.host.power_management, ours.host.power_management) == ((), None)


def test_paths_are_those_of_files_that_are_there(
    dom0: lab.Host, theirs: Capabilities, ours: Capabilities
) -> None:
    """This Domain 0 has hvmloader and no device model."""
    assert {guest.emulator for guest in ours.guests} == {None}
    (model,) = {guest.emulator for guest in theirs.guests}
    assert model is not None
    assert not there(dom0, model)
    (loader,) = {guest.loader for guest in ours.guests if guest.type is DomainType.HVM}
    assert loader is not None
    assert there(dom0, loader)


def test_paging_in_hardware_can_be_left_out_where_xen_says_so(
    theirs: Capabilities, ours: Capabilities, virt_caps: set[str]
) -> None:
    for their, our in zip(theirs.guests, ours.guests, strict=True):
        if our.type is DomainType.PV:
            assert (our.hap, their.hap) == (None, None)
        else:
            assert their.hap == (True, True)
            assert our.hap == (True, "shadow" in virt_caps)
    assert "hap" in virt_caps
    assert ours.host.iommu == ("hvm_directio" in virt_caps)


@pytest.mark.parametrize("machine", MACHINES)
def test_what_a_guest_can_have(virsh: lab.Host, machine: str) -> None:
    line = ["domcapabilities", "--machine", machine]
    their = capabilities_xml.parse_domain(virsh.run(["virsh", "-c", "xen:///", *line]).stdout)
    our = capabilities_xml.parse_domain(virsh.purevirt(line).stdout)
    assert (our.type, our.arch) == (their.type, their.arch) == (MACHINES[machine], "x86_64")
    for device, choice in (("disk", "diskDevice"), ("disk", "bus"), ("graphics", "type")):
        assert set(our.device(device).values(choice)) <= set(their.device(device).values(choice))
    assert our.device("hostdev").supported == their.device("hostdev").supported
    assert set(our.device("hostdev").values("subsysType")) <= set(
        their.device("hostdev").values("subsysType")
    )
    assert (our.loaders is None) == (their.loaders is None)
    assert all(there(virsh, path) for path in our.loaders or ())
    _differences(our, their)


def _differences(our: DomainCapabilities, their: DomainCapabilities) -> None:
    """Where libvirt's one list for all guests is not what such a guest can have."""
    buses, cards = our.device("disk").values("bus"), set(our.device("video").values("modelType"))
    if our.type is DomainType.HVM:
        assert buses == their.device("disk").values("bus")
        assert cards ^ set(their.device("video").values("modelType")) == {"qxl", "none", "xen"}
        assert "pci" not in our.device("hostdev").values("subsysType")  # there is no IOMMU
        assert our.max_vcpus == their.max_vcpus == 128
    else:
        assert (buses, cards) == (("xen",), {"xen"})
        assert "spice" not in our.device("graphics").values("type")
        assert their.max_vcpus == 512
    assert our.device("channel").supported
    assert not their.device("channel").supported


@pytest.mark.parametrize("kind", ["pv", "pvh"])
def test_xen_allows_as_many_virtual_cpus_as_we_say_and_no_more(dom0: lab.Host, kind: str) -> None:
    """The domain is made before its kernel is looked for, which is not there."""
    told = capabilities_xml.parse_domain(dom0.purevirt(["domcapabilities", "--machine", f"xen{kind}"]).stdout)
    assert told.max_vcpus is not None
    for count, refused in ((told.max_vcpus, False), (told.max_vcpus + 1, True)):
        config = f'name = "many"\ntype = "{kind}"\nkernel = "/no/kernel"\nmemory = 64\nmaxvcpus = {count}\nvcpus = 1\n'
        dom0.run(["tee", "/tmp/many.cfg"], input=config)
        done = dom0.run(["xl", "create", "/tmp/many.cfg"], check=False)
        assert done.status != 0
        assert ("domain creation fail: Invalid argument" in done.stderr) == refused, done.stderr
        assert ("/no/kernel" in done.stderr) != refused, done.stderr


def test_a_guest_that_cannot_run_is_refused(dom0: lab.Host) -> None:
    refused = dom0.purevirt(["domcapabilities", "--arch", "armv7l"], check=False)
    assert (refused.status, refused.stdout) == (6, "")
    assert "this host runs no armv7l guests; it runs pv x86_64, hvm i686, pvh i686" in refused.stderr
