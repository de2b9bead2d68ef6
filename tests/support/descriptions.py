"""Descriptions of domains for Hypothesis: any that the model can hold and that makes sense as text somewhere.

Strategies follow the annotations of the records. Where a field has words of its own (a list of CPUs, a MAC address),
`WORDS` says which.
"""

from __future__ import annotations

import typing
from collections.abc import Callable
from enum import Enum
from types import UnionType
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

import purevirt.model.description as described
from purevirt.model.description import DomainDescription

TEXT = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), min_size=1, max_size=12).filter(
    lambda text: text == text.strip()
)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,11}", fullmatch=True)
PATHS = st.builds("/{}/{}".format, NAMES, NAMES)
SIZES = st.integers(1, 2**34)
MIB = st.integers(1, 2**20).map(lambda mib: mib * 1024)
CPU_LIST = st.sampled_from(["0", "0-3", "1,3,5", "0-7,^2", "all", "nodes:0", "node:1", "0-1,4-5"])
CPUSET = st.sampled_from(["0", "0-3", "1,3,5", "0-1,4-5"])
PCI = st.builds(
    "{:04x}:{:02x}:{:02x}.{:x}".format,
    st.integers(0, 0xFFFF),
    st.integers(0, 255),
    st.integers(0, 31),
    st.integers(0, 7),
)
MAC = st.builds(
    lambda octets: ":".join(f"{octet:02x}" for octet in octets),
    st.lists(st.integers(0, 255), min_size=5, max_size=5).map(lambda rest: [0x00, *rest]),
)
DISK_TARGETS = st.builds(
    lambda prefix, letter: prefix + letter, st.sampled_from(["xvd", "hd", "sd"]), st.sampled_from("abcdefgh")
)
POLICY = st.sampled_from(["strict", "relaxed"])
SMALL = st.integers(0, 255)


def listed(words: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[Any]:
    return st.lists(words, max_size=most, unique=True).map(tuple)


WORDS: dict[tuple[str, str], st.SearchStrategy[Any]] = {
    ("DomainDescription", "name"): NAMES,
    ("DomainDescription", "metadata"): st.sampled_from(
        [(), ('<app:note xmlns:app="http://example.org/app">kept</app:note>',)]
    ),
    ("DomainDescription", "generation_id"): st.one_of(st.just("generate"), st.uuids().map(str)),
    ("DomainDescription", "block_device_start"): DISK_TARGETS,
    ("DomainDescription", "sound"): listed(st.sampled_from(["ac97", "es1370", "sb16", "hda"])),
    ("DomainDescription", "usb_version"): st.integers(1, 3),
    ("DomainDescription", "usb_devices_emulated"): listed(
        st.sampled_from(["host:4:2", "braille", "wacom-tablet"])
    ),
    ("DomainDescription", "device_tree_devices"): listed(PATHS),
    ("DomainDescription", "interrupts"): listed(SMALL),
    ("DomainDescription", "unknown"): st.just(()),
    ("Memory", "kib"): st.one_of(MIB, SIZES),
    ("Memory", "max_grant_version"): st.integers(0, 2),
    ("Cpus", "online"): st.integers(1, 64),
    ("Cpus", "maximum"): st.integers(64, 128),
    ("Cpus", "affinity"): listed(CPU_LIST),
    ("Cpus", "soft_affinity"): listed(CPU_LIST),
    ("Cpus", "flags_from"): st.just("host"),
    ("Cpus", "registers"): st.sampled_from([(), ("1:ecx=xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx0x",)]),
    ("CpuFlag", "name"): st.sampled_from(["tm", "sse3", "vmx", "family", "stepping", "proccount"]),
    ("CpuFlag", "value"): st.sampled_from(["0", "1", "x", "k", "s"]),
    ("NumaNode", "vcpus"): CPUSET,
    ("NumaNode", "distances"): st.lists(st.integers(10, 254), min_size=0, max_size=3).map(tuple),
    ("Scheduling", "weight"): st.integers(1, 65535),
    ("Scheduling", "cpupool"): NAMES,
    ("Boot", "bootloader_arguments"): st.lists(NAMES, max_size=2).map(tuple),
    ("Boot", "order"): listed(st.sampled_from(described.BootDevice)),
    ("Features", "viridian"): listed(st.sampled_from(["base", "!freq", "stimer", "defaults"])),
    ("Features", "passthrough"): st.sampled_from(["disabled", "enabled", "sync_pt", "share_pt"]),
    ("Features", "tee"): st.just("optee"),
    ("Features", "gic"): st.sampled_from(["v2", "v3"]),
    ("Features", "sve"): st.sampled_from(["128", "256", "hw"]),
    ("Features", "vuart"): st.just("sbsa_uart"),
    ("Features", "machine_check"): st.sampled_from([(), ("lmce",)]),
    ("Features", "vendor_device"): st.just("xenserver"),
    ("Features", "hdtype"): st.sampled_from(["ide", "ahci"]),
    ("Features", "xend_platform"): st.just(()),
    ("Clock", "offset_seconds"): st.integers(-86400, 86400),
    ("DeviceModel", "version"): st.sampled_from(["qemu-xen", "qemu-xen-traditional"]),
    ("DeviceModel", "arguments"): st.lists(NAMES, max_size=2).map(tuple),
    ("DeviceModel", "pv_arguments"): st.lists(NAMES, max_size=2).map(tuple),
    ("DeviceModel", "hvm_arguments"): st.lists(NAMES, max_size=2).map(tuple),
    ("ReservedMemory", "strategy"): st.sampled_from(["ignore", "host"]),
    ("ReservedMemory", "policy"): POLICY,
    ("Disk", "target"): DISK_TARGETS,
    ("Disk", "bus"): st.none(),
    ("Disk", "specification"): st.sampled_from(["xen", "virtio"]),
    ("Disk", "transport"): st.just("mmio"),
    ("Colo", "port"): st.integers(1, 65535),
    ("P9", "tag"): NAMES,
    ("P9", "security_model"): st.just("none"),
    ("P9", "backend_type"): st.sampled_from(["qemu", "xen9pfsd"]),
    ("Interface", "mac"): MAC,
    ("Interface", "script"): st.sampled_from(["vif-bridge", "vif-route", "vif-nat", "vif-openvswitch"]),
    ("Interface", "model"): st.sampled_from(["e1000", "rtl8139", "virtio-net"]),
    ("Interface", "addresses"): listed(st.sampled_from(["10.0.0.2", "10.0.0.3/24", "2001:db8::2"])),
    ("Interface", "number"): st.integers(0, 31),
    ("Interface", "vlan"): st.integers(1, 4094),
    ("Interface", "mtu"): st.integers(68, 65535),
    ("Interface", "colo"): st.just(()),
    ("Rate", "bytes"): st.integers(1, 2**32),
    ("Rate", "interval_us"): st.integers(1000, 1_000_000),
    ("Graphics", "listen"): st.sampled_from(["127.0.0.1", "0.0.0.0", "::1"]),
    ("Graphics", "port"): st.integers(5900, 6100),
    ("Graphics", "keymap"): st.sampled_from(["de", "en-us"]),
    ("Graphics", "password"): NAMES,
    ("Spice", "tls_port"): st.integers(1024, 65535),
    ("Spice", "usb_redirection"): st.integers(0, 4),
    ("Video", "model"): st.sampled_from(["stdvga", "cirrus", "qxl", "none"]),
    ("Video", "passthrough"): st.sampled_from(["default", "igd"]),
    ("Input", "type"): st.sampled_from(["tablet", "mouse", "keyboard"]),
    ("Keyboard", "backend_type"): st.sampled_from(["qemu", "linux"]),
    ("SoundParameters", "sample_rates"): listed(st.sampled_from([8000, 44100, 48000])),
    ("SoundParameters", "sample_formats"): listed(st.sampled_from(["s16_le", "s8", "mpeg"])),
    ("SoundStream", "type"): st.sampled_from(["p", "c"]),
    ("SoundStream", "unique_id"): NAMES,
    ("Connector", "unique_id"): NAMES,
    ("Connector", "width"): st.integers(1, 10000),
    ("Connector", "height"): st.integers(1, 10000),
    ("Serial", "connected"): st.sampled_from(["pty", "/dev/ttyS0", "tcp:127.0.0.1:2222", "none"]),
    ("Channel", "name"): NAMES,
    ("PciDevice", "address"): PCI,
    ("PciDevice", "name"): st.none(),
    ("PciDevice", "slot"): st.integers(0, 31),
    ("PciDevice", "reserved_memory"): POLICY,
    ("UsbController", "type"): st.sampled_from(["pv", "qusb", "devicemodel", "auto"]),
    ("UsbController", "version"): st.integers(1, 3),
    ("UsbController", "ports"): st.integers(1, 31),
    ("UsbDevice", "host_bus"): SMALL,
    ("UsbDevice", "host_address"): SMALL,
    ("UsbDevice", "type"): st.just("hostdev"),
    ("PortRange", "first"): st.integers(0, 0x7FFF),
    ("PortRange", "last"): st.integers(0x8000, 0xFFFF),
    ("Vtpm", "uuid"): st.uuids().map(str),
    ("Virtio", "type"): st.just("virtio,device22"),
    ("Virtio", "transport"): st.just("mmio"),
}

_BY_ENDING: dict[str, st.SearchStrategy[Any]] = {
    "_kib": st.one_of(MIB, SIZES),
    "kib": st.one_of(MIB, SIZES),
    "_domain": NAMES,
    "path": PATHS,
    "kernel": PATHS,
    "ramdisk": PATHS,
    "source": PATHS,
}


def _plain(kind: Any) -> st.SearchStrategy[Any]:
    if kind is str:
        return TEXT
    if kind is int:
        return st.integers(1, 2**31 - 1)
    if kind is bool:
        return st.booleans()
    if kind is UUID:
        return st.uuids()
    if isinstance(kind, type) and issubclass(kind, Enum):
        return st.sampled_from(kind)
    if hasattr(kind, "_fields"):
        return records(kind)
    item, *rest = typing.get_args(kind)
    assert rest == [Ellipsis], kind
    return _items(_plain(item))


def _items(item: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Up to two, with different keys."""
    by_key: Callable[[Any], object] = lambda one: getattr(one, "key", None) or id(one)  # noqa: E731
    return st.lists(item, max_size=2, unique_by=by_key).map(tuple)


def field(record: Any, name: str, kind: Any) -> st.SearchStrategy[Any]:
    """What a field may hold."""
    optional = isinstance(kind, UnionType)
    if optional:
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
    words = WORDS.get((record.__name__, name))
    if words is None and kind is str:
        words = next((found for ending, found in _BY_ENDING.items() if name.endswith(ending)), None)
    if words is None and kind is int and name.endswith("kib"):
        words = _BY_ENDING["kib"]
    if words is None:
        words = _plain(kind)
    return st.none() | words if optional else words


def records(record: Any) -> st.SearchStrategy[Any]:
    """Records of one class, whose fields are mostly left as they are by default."""
    hints = typing.get_type_hints(record, localns={**vars(described), "UUID": UUID})
    needed = {
        name: field(record, name, hints[name])
        for name in record._fields
        if name not in record._field_defaults
    }
    others = [name for name in record._fields if name in record._field_defaults]
    if not others:
        return st.builds(record, **needed)
    some = st.lists(st.sampled_from(others), unique=True, max_size=6)

    @st.composite
    def build(draw: st.DrawFn) -> Any:
        chosen = {name: draw(field(record, name, hints[name])) for name in draw(some)}
        return record(**{name: draw(one) for name, one in needed.items()}, **chosen)

    return build()


descriptions: st.SearchStrategy[DomainDescription] = st.deferred(lambda: records(DomainDescription))
