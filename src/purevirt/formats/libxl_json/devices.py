"""The devices in libxl's record of a domain -> the model's. What libxl fills in by itself (numbers, ids) is not said.

Each function takes the object of one device and its number in its list.
"""

from __future__ import annotations

from collections.abc import Callable

from purevirt._typing import Any
from purevirt.formats.libxl_json.values import Values
from purevirt.model.description import (
    P9,
    Channel,
    ChannelConnection,
    Colo,
    Connector,
    Disk,
    DiskBackend,
    DiskDevice,
    DiskFormat,
    Display,
    Graphics,
    GraphicsType,
    Interface,
    Keyboard,
    PciDevice,
    Pvcalls,
    Rate,
    SoundCard,
    SoundDevice,
    SoundParameters,
    SoundStream,
    UsbController,
    UsbDevice,
    Virtio,
    Vtpm,
)

__all__ = ["DEVICES", "frame_buffer", "sdl", "vnc"]

_VNC_PORT = 5900
_ALL_FUNCTIONS = 0xFFFFFFFF


def backend(device: Values) -> str | None:
    """The domain that serves it; None for Domain 0."""
    name, domid = device.text("backend_domname"), device.number("backend_domid")
    return name if name is not None else str(domid) if domid else None


def _on(value: bool | None) -> bool | None:
    """A C bool: that it is false is not said."""
    return value or None


def _more(value: int | None) -> int | None:
    """A C number: that it is 0 is not said."""
    return value or None


def disk(device: Values, index: int) -> Disk:
    cdrom = device.flag("is_cdrom")
    writable = device.flag("readwrite")
    removable = device.flag("removable")
    colo = None
    if device.flag("colo_enable"):
        colo = Colo(
            device.text("colo_host"),
            _more(device.number("colo_port")),
            device.text("colo_export"),
            device.text("active_disk"),
            device.text("hidden_disk"),
        )
    device.pass_over("irq", "base", "colo_restore_enable")
    return Disk(
        target=device.text("vdev") or "",
        source=device.text("pdev_path") or None,
        format=device.word("format", {member.value: member for member in DiskFormat} | {"unknown": None}),
        backend=device.word("backend", {member.value: member for member in DiskBackend} | {"unknown": None}),
        device=DiskDevice.CDROM if cdrom else DiskDevice.DISK,
        read_only=not writable,
        script=device.text("script"),
        backend_domain=backend(device),
        removable=True if removable and not cdrom else None,
        discard=device.flag("discard_enable"),
        direct_io_safe=_on(device.flag("direct_io_safe")),
        trusted=device.flag("trusted"),
        specification=device.word("specification", {"xen": "xen", "virtio": "virtio", "unknown": None}),
        transport=device.word("transport", {"mmio": "mmio", "pci": "pci", "unknown": None}),
        colo=colo,
    )


def interface(device: Values, index: int) -> Interface:
    bytes_, interval = device.number("rate_bytes_per_interval"), device.number("rate_interval_usecs")
    number = device.number("devid")
    colo = [("forwarddev", device.text("coloft_forwarddev"))]
    colo.extend((key, device.text(key)) for key in device.keys() if key.startswith("colo_"))  # noqa: SIM118
    return Interface(
        mac=device.text("mac"),
        bridge=device.text("bridge"),
        script=device.text("script"),
        model=device.text("model"),
        emulated=device.word("nictype", {"vif": False, "vif_ioemu": True, "unknown": None}),
        name=device.text("ifname"),
        addresses=tuple((device.text("ip") or "").split()),
        gateway_device=device.text("gatewaydev"),
        rate=Rate(bytes_ or 0, interval) if interval else None,
        mtu=_more(device.number("mtu")),
        backend_domain=backend(device),
        number=None if number == index else number,
        trusted=device.flag("trusted"),
        colo=tuple((key, value) for key, value in colo if value is not None),
    )


def pci(device: Values, index: int) -> PciDevice:
    """`vdevfn` has the slot above the three bits of the function, `vfunc_mask` a bit for each function."""
    name = device.text("name")
    numbers = (device.number(key) or 0 for key in ("domain", "bus", "dev", "func"))
    domain, bus, dev, func = numbers
    every = device.number("vfunc_mask") == _ALL_FUNCTIONS
    vdevfn = device.number("vdevfn")
    relaxed = device.word("rdm_policy", {"strict": None, "relaxed": "relaxed", "invalid": None})
    return PciDevice(
        address=None
        if name is not None
        else f"{domain:04x}:{bus:02x}:{dev:02x}.{'*' if every else f'{func:x}'}",
        name=name,
        slot=vdevfn >> 3 & 0x1F if vdevfn else None,
        permissive=_on(device.flag("permissive")),
        msi_translate=_on(device.flag("msitranslate")),
        seize=_on(device.flag("seize")),
        power_management=_on(device.flag("power_mgmt")),
        reserved_memory=relaxed,
    )


# --- screens


def vnc(info: Values) -> Graphics:
    info.pass_over("enable")
    display = info.number("display")
    return Graphics(
        GraphicsType.VNC,
        listen=info.text("listen"),
        port=None if display is None else _VNC_PORT + display,
        auto_port=info.flag("findunused"),
        password=info.text("passwd"),
    )


def sdl(info: Values) -> Graphics:
    return Graphics(
        GraphicsType.SDL,
        x_display=info.text("display"),
        x_authority=info.text("xauthority"),
        opengl=info.flag("opengl"),
    )


def frame_buffer(device: Values) -> list[Graphics]:
    """VNC is on in it where nothing is said."""
    shown = []
    keymap, screen, window = device.text("keymap"), device.child("vnc"), device.child("sdl")
    device.pass_over("devid", "backend_domid")
    if screen.flag("enable") is not False:
        shown.append(vnc(screen))
    if window.flag("enable"):
        shown.append(sdl(window))
    if shown:
        shown[0] = shown[0]._replace(keymap=keymap)
    return shown


def keyboard(device: Values, index: int) -> Keyboard:
    device.pass_over("devid")
    return Keyboard(
        unique_id=device.text("unique_id"),
        backend_domain=backend(device),
        backend_type=device.word("backend_type", {"qemu": "qemu", "linux": "linux", "unknown": None}),
        disable_keyboard=_on(device.flag("feature_disable_keyboard")),
        disable_pointer=_on(device.flag("feature_disable_pointer")),
        absolute_pointer=_on(device.flag("feature_abs_pointer")),
        raw_pointer=_on(device.flag("feature_raw_pointer")),
        multi_touch=_on(device.flag("feature_multi_touch")),
        multi_touch_width=_more(device.number("multi_touch_width")),
        multi_touch_height=_more(device.number("multi_touch_height")),
        multi_touch_contacts=_more(device.number("multi_touch_num_contacts")),
        width=_more(device.number("width")),
        height=_more(device.number("height")),
    )


def display(device: Values, index: int) -> Display:
    device.pass_over("devid")
    return Display(
        connectors=tuple(
            Connector(one.text("unique_id") or "", one.number("width") or 0, one.number("height") or 0)
            for one in device.children("connectors")
        ),
        backend_domain=backend(device),
        backend_allocates=_on(device.flag("be_alloc")),
    )


# --- sound

# libxl's names of formats that xl writes another way.
_FORMATS = {"f32_le": "float_le", "f32_be": "float_be", "f64_le": "float64_le", "f64_be": "float64_be"}


def _parameters(owner: Values) -> SoundParameters:
    found = owner.child("params")
    return SoundParameters(
        found.numbers("sample_rates"),
        tuple(_FORMATS.get(name, name) for name in found.texts("sample_formats")),
        _more(found.number("channels_min")),
        _more(found.number("channels_max")),
        _more(found.number("buffer_size")),
    )


def sound_card(device: Values, index: int) -> SoundCard:
    device.pass_over("devid")
    devices = []
    for pcm in device.children("pcms"):
        streams = tuple(
            SoundStream(stream.text("unique_id") or "", stream.text("type") or "p", _parameters(stream))
            for stream in pcm.children("streams")
        )
        devices.append(SoundDevice(pcm.text("name"), _parameters(pcm), streams))
    return SoundCard(
        device.text("short_name"),
        device.text("long_name"),
        backend(device),
        _parameters(device),
        tuple(devices),
    )


# --- the rest


def channel(device: Values, index: int) -> Channel:
    device.pass_over("devid", "connection.pty")
    socket = device.has("connection.socket")
    return Channel(
        device.text("name") or "",
        ChannelConnection.SOCKET if socket else ChannelConnection.PTY,
        device.child("connection.socket").text("path"),
        backend(device),
    )


def directory(device: Values, index: int) -> P9:
    device.pass_over("devid")
    return P9(
        tag=device.text("tag") or "",
        path=device.text("path") or "",
        security_model=device.text("security_model") or "none",
        backend_domain=backend(device),
        backend_type=device.word("type", {"xen_9pfsd": "xen9pfsd", "qemu": None, "unknown": None}),
        max_space_mib=_more(device.number("max_space")),
        max_files=_more(device.number("max_files")),
        max_open_files=_more(device.number("max_open_files")),
        auto_delete=_on(device.flag("auto_delete")),
    )


def usb_controller(device: Values, index: int) -> UsbController:
    device.pass_over("devid")
    words = {word: word for word in ("auto", "pv", "qusb", "devicemodel")}
    return UsbController(
        device.word("type", words),
        _more(device.number("version")),
        _more(device.number("ports")),
        backend(device),
    )


def usb_device(device: Values, index: int) -> UsbDevice:
    host = device.child("type.hostdev")
    return UsbDevice(
        host.number("hostbus") or 0,
        host.number("hostaddr") or 0,
        device.number("ctrl"),
        _more(device.number("port")),
    )


def vtpm(device: Values, index: int) -> Vtpm:
    device.pass_over("devid")
    return Vtpm(backend(device) or "0", device.text("uuid"))


def pvcalls(device: Values, index: int) -> Pvcalls:
    device.pass_over("devid")
    return Pvcalls(backend(device))


def virtio(device: Values, index: int) -> Virtio:
    device.pass_over("devid", "irq", "base")
    return Virtio(
        device.text("type"),
        device.word("transport", {"mmio": "mmio", "pci": "pci", "unknown": None}),
        backend(device),
        device.flag("grant_usage"),
    )


DEVICES: tuple[tuple[str, str, Callable[[Values, int], Any]], ...] = (
    ("disks", "disks", disk),
    ("nics", "interfaces", interface),
    ("pcidevs", "pci_devices", pci),
    ("vkbs", "keyboards", keyboard),
    ("vdispls", "displays", display),
    ("vsnds", "sound_cards", sound_card),
    ("channels", "channels", channel),
    ("p9s", "directories", directory),
    ("usbctrls", "usb_controllers", usb_controller),
    ("usbdevs", "usb_devices", usb_device),
    ("vtpms", "tpms", vtpm),
    ("pvcallsifs", "socket_calls", pvcalls),
    ("virtios", "virtio_devices", virtio),
)
"""The list in the record, the tuple in the description, and how one device is read."""
