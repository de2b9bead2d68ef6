"""What a described guest shows, hears, and is typed at through."""

from __future__ import annotations

import enum

from purevirt._typing import NamedTuple

__all__ = [
    "Connector",
    "Display",
    "Graphics",
    "GraphicsType",
    "Input",
    "Keyboard",
    "SoundCard",
    "SoundDevice",
    "SoundParameters",
    "SoundStream",
    "Spice",
    "Video",
]


class GraphicsType(enum.Enum):
    VNC = "vnc"
    SPICE = "spice"
    SDL = "sdl"


class Spice(NamedTuple):
    """What only SPICE has."""

    tls_port: int | None = None
    ticketing: bool | None = None
    agent_mouse: bool | None = None
    vdagent: bool | None = None
    clipboard_sharing: bool | None = None
    usb_redirection: int | None = None
    image_compression: str | None = None
    streaming_video: str | None = None


class Graphics(NamedTuple):
    """One way to see the guest's screen.

    `port` is the TCP port (a VNC display is 5900 less); with `auto_port` any free one from there on. `password` None:
    none is asked for. `x_display` and `x_authority` are SDL's.
    """

    type: GraphicsType
    listen: str | None = None
    port: int | None = None
    auto_port: bool | None = None
    password: str | None = None
    keymap: str | None = None
    x_display: str | None = None
    x_authority: str | None = None
    opengl: bool | None = None
    spice: Spice | None = None


class Video(NamedTuple):
    """The emulated graphics card: "stdvga" (vga), "cirrus", "qxl" or "none", with `vram_kib` of memory.

    `passthrough` gives the guest the host's own: "default" or "igd".
    """

    model: str | None = None
    vram_kib: int | None = None
    passthrough: str | None = None


class Input(NamedTuple):
    """An emulated USB "tablet", "mouse" or "keyboard". Mouse and keyboard of PS/2 are there without being told."""

    type: str


class Keyboard(NamedTuple):
    """A para-virtual keyboard and pointer (vkb). Sizes are pixels; `backend_type` is "qemu" or "linux"."""

    unique_id: str | None = None
    backend_domain: str | None = None
    backend_type: str | None = None
    disable_keyboard: bool | None = None
    disable_pointer: bool | None = None
    absolute_pointer: bool | None = None
    raw_pointer: bool | None = None
    multi_touch: bool | None = None
    multi_touch_width: int | None = None
    multi_touch_height: int | None = None
    multi_touch_contacts: int | None = None
    width: int | None = None
    height: int | None = None


class Connector(NamedTuple):
    """One screen of a para-virtual display: its name and its size in pixels."""

    unique_id: str
    width: int
    height: int

    @property
    def key(self) -> str:
        return self.unique_id


class Display(NamedTuple):
    """A para-virtual display (vdispl). `backend_allocates`: whose memory its buffers are."""

    connectors: tuple[Connector, ...] = ()
    backend_domain: str | None = None
    backend_allocates: bool | None = None


class SoundParameters(NamedTuple):
    """What a sound card, a device on it or a stream can do; None or empty: as what it is part of."""

    sample_rates: tuple[int, ...] = ()
    sample_formats: tuple[str, ...] = ()
    channels_min: int | None = None
    channels_max: int | None = None
    buffer_size: int | None = None


class SoundStream(NamedTuple):
    """One stream: `type` is "p" (playback) or "c" (capture)."""

    unique_id: str
    type: str
    parameters: SoundParameters = SoundParameters()

    @property
    def key(self) -> str:
        return self.unique_id


class SoundDevice(NamedTuple):
    """A PCM device of a card."""

    name: str | None = None
    parameters: SoundParameters = SoundParameters()
    streams: tuple[SoundStream, ...] = ()


class SoundCard(NamedTuple):
    """A para-virtual sound card (vsnd)."""

    short_name: str | None = None
    long_name: str | None = None
    backend_domain: str | None = None
    parameters: SoundParameters = SoundParameters()
    devices: tuple[SoundDevice, ...] = ()
