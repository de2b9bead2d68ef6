"""Every property that the model declares, one at a time, in every format.

The properties are counted from the records themselves, so that a new one is tried without being named here. For each,
two descriptions are made that differ in nothing else.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import Phase, find, settings

import purevirt.model.description as described
from purevirt import formats
from purevirt.formats import domain_xml, libxl_json, xl_config
from purevirt.formats.xend_sxpr import vm
from purevirt.model.description import DomainDescription
from purevirt.model.domain import DomainType
from tests import peers
from tests.support.descriptions import field, records
from tests.support.golden import golden


class Property(NamedTuple):
    """A field of a record, the way to the record from a description, and what is tried there."""

    way: tuple[str, ...]
    record: Any
    field: str

    @property
    def name(self) -> str:
        return ".".join((*self.way, self.field))


def record_in(kind: Any) -> Any:
    """The record that an annotation names, alone, optional or in a tuple; None if it names none."""
    if hasattr(kind, "_fields"):
        return kind
    inner = [record_in(one) for one in typing.get_args(kind) if one not in (type(None), Ellipsis)]
    return next((one for one in inner if one is not None), None)


def hints(record: Any) -> dict[str, Any]:
    return typing.get_type_hints(record, localns={**vars(described), "UUID": UUID, "DomainType": DomainType})


def properties(record: Any = DomainDescription, way: tuple[str, ...] = ()) -> list[Property]:
    found = []
    for name, kind in hints(record).items():
        inner = record_in(kind)
        if name == "unknown":
            continue  # what is no property
        found += [Property(way, record, name)] if inner is None else properties(inner, (*way, name))
    return found


PROPERTIES = properties()
_SETTINGS = settings(derandomize=True, database=None, phases=[Phase.generate, Phase.shrink], max_examples=500)


def smallest(strategy: Any, wanted: Any = lambda value: True) -> Any:
    return find(strategy, wanted, settings=_SETTINGS)


def base(record: Any) -> Any:
    """A record that a property can be tried in."""
    return BASES[record] if record in BASES else smallest(records(record))


def pair(one: Property) -> tuple[DomainDescription, DomainDescription]:
    """Two descriptions that differ in a property alone."""
    inner = CONTEXTS.get(one.name) or (base(one.record) if one.way else outermost(one))
    now = getattr(inner, one.field)
    value = SAMPLES.get(one.name)
    if value is None:  # that a switch is off, or a number 0, is not said everywhere
        value = smallest(
            field(one.record, one.field, hints(one.record)[one.field]), lambda drawn: drawn and drawn != now
        )
    return placed(one, inner), placed(one, inner._replace(**{one.field: value}))


def outermost(one: Property) -> DomainDescription:
    return next((found for name, found in OUTERMOST.items() if one.name.startswith(name)), WEB)


def placed(one: Property, record: Any) -> Any:
    """The description with the record in its place."""
    kinds: list[Any] = [DomainDescription]
    for step in one.way[:-1]:
        kinds.append(record_in(hints(kinds[-1])[step]))
    for index in reversed(range(len(one.way))):
        kind, step = kinds[index], one.way[index]
        within: Any = CONTEXTS.get(".".join(one.way[: index + 1])) or (
            base(kind) if index else outermost(one)
        )
        many = str(kind.__annotations__[step]).startswith("tuple[")
        record = within._replace(**{step: (record,) if many else record})
    return record


WEB = DomainDescription("web", DomainType.HVM)
BASES: dict[Any, Any] = {
    described.Disk: described.Disk("xvda", "/dev/vg/a", described.DiskFormat.RAW),
    described.P9: described.P9("src", "/srv", "none"),
    described.Channel: described.Channel("c", described.ChannelConnection.SOCKET, "/run/c"),
    described.PciDevice: described.PciDevice("0000:03:00.0"),
    described.NumaNode: described.NumaNode(131072, "0", 0, (10,)),
    described.Interface: described.Interface(bridge="xenbr0"),
    described.Display: described.Display((described.Connector("a", 640, 480),)),
}
SPICE = described.Graphics(described.GraphicsType.SPICE)
SDL = described.Graphics(described.GraphicsType.SDL)
XEN_9P = described.P9("src", "/srv", "none", backend_type="xen9pfsd")
CONTEXTS: dict[str, Any] = {
    "cpus.flags": described.Cpus(flags_from="host"),
    "cpus.numa.kib": described.NumaNode(1024, "0", 0, (10,)),
    "cpus.numa.vcpus": described.NumaNode(131072, "1", 0, (10,)),
    "cpus.numa.pnode": described.NumaNode(131072, "0", None, (10,)),
    "cpus.numa.distances": described.NumaNode(131072, "0", 0, ()),
    "boot.bootloader_arguments": described.Boot(bootloader="pygrub"),
    "boot.shim": described.Boot(kernel="/k"),
    "graphics.spice": SPICE,
    "graphics.x_display": SDL,
    "graphics.x_authority": SDL,
    "graphics.opengl": SDL,
    "directories.max_space_mib": XEN_9P,
    "directories.max_files": XEN_9P,
    "directories.max_open_files": XEN_9P,
    "directories.auto_delete": XEN_9P,
    "keyboards.backend_type": described.Keyboard("k"),
    "disks.transport": described.Disk("xvda", "/a", described.DiskFormat.RAW, specification="virtio"),
}
"""Where a property makes sense in no other record, or its record in no other."""
OUTERMOST: dict[str, DomainDescription] = {
    "boot.shim": DomainDescription("web", DomainType.PVH, boot=described.Boot(kernel="/k")),
    "pci_defaults": DomainDescription(
        "web", DomainType.HVM, pci_devices=(described.PciDevice("0000:03:00.0"),)
    ),
    "type": DomainDescription("web", DomainType.HVM, boot=described.Boot(kernel="/k")),
    "features.e820_host": DomainDescription("web", DomainType.PV, boot=described.Boot(kernel="/k")),
}
SAMPLES: dict[str, Any] = {
    "memory.mmio_hole_kib": 3 << 20,
    "cpus.numa.kib": 131072,
    "cpus.numa.vcpus": "0",
    "cpus.numa.pnode": 0,
    "cpus.numa.distances": (10,),
    "lifecycle.on_poweroff": described.Action.PRESERVE,
    "lifecycle.on_reboot": described.Action.PRESERVE,
    "lifecycle.on_crash": described.Action.PRESERVE,
    "lifecycle.on_watchdog": described.Action.PRESERVE,
    "features.altp2m": described.Altp2m.EXTERNAL,
    "features.hdtype": "ahci",
    "features.xend_platform": (("device_id", "0002"),),
    "interfaces.colo": (("forwarddev", "eth1"),),
    "clock.offset_seconds": 3600,
    "clock.tsc": described.TscMode.NATIVE,
    "block_device_start": "xvdb",
    "disks.format": described.DiskFormat.QCOW2,
    "disks.bus": "usb",
    "disks.script": "block-drbd",
    "disks.backend_domain": "storage",
    "disks.trusted": False,
    "keyboards.backend_domain": "input",
    "keyboards.backend_type": "linux",
    "disks.from_device": False,
    "pci_defaults.permissive": True,
    "disks.target": "xvdb",
    "interfaces.mac": "00:16:3e:01:02:03",
    "interfaces.number": 3,
    "interfaces.backend_domain": "router",
    "graphics.port": 5907,
    "pci_devices.name": "gpu",
    "pci_devices.slot": 5,
    "pci_devices.reserved_memory": "relaxed",
    "reserved_memory.strategy": "host",
    "reserved_memory.policy": "relaxed",
    "directories.security_model": "mapped",
    "usb_controllers.backend_domain": "hub",
}


# --- what is tried


def said(document: Any) -> Any:
    """What a document says in the format's own words, without what is carried in it."""
    found = document._said
    return found if isinstance(found, DomainDescription) else found.description


WRITERS: dict[str, Callable[[DomainDescription], Any]] = {
    "xml": domain_xml.format,
    "xen-xl": xl_config.format,
    "xen-xl of 4.20": partial(xl_config.format, xen=(4, 20)),
    "xen-sxpr": vm.format,
}
CARRIED = Path(__file__).parents[1] / "data" / "descriptions" / "carried.txt"


@pytest.fixture(scope="module")
def pairs() -> dict[str, tuple[DomainDescription, DomainDescription]]:
    return {one.name: pair(one) for one in PROPERTIES}


@pytest.mark.parametrize("form", WRITERS)
def test_every_property_is_written_and_comes_back(
    form: str, pairs: dict[str, tuple[DomainDescription, DomainDescription]]
) -> None:
    for name, (plain, wanted) in pairs.items():
        before, after = WRITERS[form](plain), WRITERS[form](wanted)
        assert before.text() != after.text(), name
        assert formats.parse(after.text()).description == wanted, name


def test_what_each_format_has_no_words_for_is_known(
    pairs: dict[str, tuple[DomainDescription, DomainDescription]],
) -> None:
    """Of each property: the formats in which it is carried. A binding that no longer binds shows here."""
    lines = []
    for name, (plain, wanted) in pairs.items():
        carried = [form for form, write in WRITERS.items() if said(write(plain)) == said(write(wanted))]
        if carried:
            lines.append(f"{name}: {', '.join(carried)}\n")
    assert "".join(lines) == golden(CARRIED, "".join(lines))


NOT_READ = {
    "uuid",  # it is made anew each time
    "cpus.affinity",
    "cpus.soft_affinity",  # xl asks the hypervisor how many CPUs there are; see the end-to-end tests
    "cpus.flags_from",  # what is said is what holds where nothing is said
    "reserved_memory.policy",  # libxlutil 4.17 refuses any
    "features.sve",
    "virtio_devices.type",
    "virtio_devices.transport",
    "virtio_devices.backend_domain",
    "virtio_devices.grant_usage",  # of later versions of Xen
}
"""What the record of xl 4.17 does not show of what a file says."""


@pytest.mark.peers
def test_every_property_that_xl_knows_is_read_in_its_record(
    pairs: dict[str, tuple[DomainDescription, DomainDescription]],
) -> None:
    peers.need()
    missing = set()
    for name, documents in pairs.items():
        written = [xl_config.format(one) for one in documents]
        if said(written[0]) == said(written[1]):
            continue
        plain, wanted = (recorded(document.text()) for document in written)
        if plain == wanted:
            missing.add(name)
    assert missing == NOT_READ


def recorded(text: str) -> DomainDescription:
    return libxl_json.parse(json.dumps(peers.xl_create_dry_run(text))).description._replace(uuid=None)


def test_the_list_is_of_all_properties() -> None:
    assert len(PROPERTIES) > 250
    assert {"name", "disks.colo.port", "sound_cards.devices.streams.type"} <= {one.name for one in PROPERTIES}
    assert set(SAMPLES) <= {one.name for one in PROPERTIES}
