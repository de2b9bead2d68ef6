"""Domains as they are described: one model for libvirt's XML, xl's configuration files and what libxl records.

`domain` has the whole; its parts are in `processors`, `boot`, `platform`, `storage`, `network`, `display`,
`characters` and `passthrough`; `live` is what a running one has beyond it; `comparing` says where two descriptions
differ.
"""

from __future__ import annotations

from purevirt.model.description.boot import Action, Boot, BootDevice, Firmware, Lifecycle, Shim
from purevirt.model.description.characters import Channel, ChannelConnection, Serial
from purevirt.model.description.comparing import Difference, differences, with_value
from purevirt.model.description.display import (
    Connector,
    Display,
    Graphics,
    GraphicsType,
    Input,
    Keyboard,
    SoundCard,
    SoundDevice,
    SoundParameters,
    SoundStream,
    Spice,
    Video,
)
from purevirt.model.description.domain import DomainDescription, Unknown
from purevirt.model.description.live import ActiveDescription, LiveDescription
from purevirt.model.description.network import Interface, Rate
from purevirt.model.description.passthrough import (
    MemoryRange,
    PciDefaults,
    PciDevice,
    PortRange,
    Pvcalls,
    UsbController,
    UsbDevice,
    Virtio,
    Vtpm,
)
from purevirt.model.description.platform import (
    Altp2m,
    Clock,
    DeviceModel,
    Features,
    ReservedMemory,
    Security,
    TimerMode,
    TscMode,
)
from purevirt.model.description.processors import CpuFlag, Cpus, Memory, NumaNode, Scheduling
from purevirt.model.description.secrets import has_secrets, without_secrets
from purevirt.model.description.storage import P9, Colo, Disk, DiskBackend, DiskDevice, DiskFormat

__all__ = [
    "P9",
    "Action",
    "ActiveDescription",
    "Altp2m",
    "Boot",
    "BootDevice",
    "Channel",
    "ChannelConnection",
    "Clock",
    "Colo",
    "Connector",
    "CpuFlag",
    "Cpus",
    "DeviceModel",
    "Difference",
    "Disk",
    "DiskBackend",
    "DiskDevice",
    "DiskFormat",
    "Display",
    "DomainDescription",
    "Features",
    "Firmware",
    "Graphics",
    "GraphicsType",
    "Input",
    "Interface",
    "Keyboard",
    "Lifecycle",
    "LiveDescription",
    "Memory",
    "MemoryRange",
    "NumaNode",
    "PciDefaults",
    "PciDevice",
    "PortRange",
    "Pvcalls",
    "Rate",
    "ReservedMemory",
    "Scheduling",
    "Security",
    "Serial",
    "Shim",
    "SoundCard",
    "SoundDevice",
    "SoundParameters",
    "SoundStream",
    "Spice",
    "TimerMode",
    "TscMode",
    "Unknown",
    "UsbController",
    "UsbDevice",
    "Video",
    "Virtio",
    "Vtpm",
    "differences",
    "has_secrets",
    "with_value",
    "without_secrets",
]
