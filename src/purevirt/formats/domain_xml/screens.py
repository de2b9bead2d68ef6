"""What a guest of a <domain> shows, hears and is typed at through: graphics, video, input, sound. See `devices`."""

from __future__ import annotations

from purevirt._typing import Any
from purevirt.formats.domain_xml.shapes import (
    NUMBER,
    SILENT,
    TEXT,
    YES_NO,
    Kind,
    Shape,
    Values,
    silent,
    words,
)
from purevirt.model.description import Graphics, GraphicsType, Input, Spice, Video

__all__ = [
    "GRAPHICS",
    "INPUT",
    "SOUND",
    "VIDEO",
    "graphics",
    "input_device",
    "sound",
    "split_graphics",
    "split_input",
    "split_sound",
    "split_video",
    "video",
]


def _port(text: str) -> int | None:
    if text == "-1":
        return None
    number: int = NUMBER.read(text)
    if number > 65535:
        raise ValueError("a port up to 65535")
    return number


_ALIAS = ("alias/@name", "_alias", SILENT)
PORT = Kind(_port, lambda port: str(port) if 0 <= port <= 65535 else None)


def _same(*known: str) -> Kind:
    return words({word: word for word in known})


_SPICE = (
    ("@tlsPort", "tls_port", PORT),
    ("image/@compression", "image_compression", _same("auto_glz", "auto_lz", "quic", "glz", "lz", "off")),
    ("streaming/@mode", "streaming_video", _same("filter", "all", "off")),
    ("clipboard/@copypaste", "clipboard_sharing", YES_NO),
    ("mouse/@mode", "agent_mouse", words({"client": True, "server": False})),
)
_SPICE_FIELDS = tuple(field for _, field, _ in _SPICE)
GRAPHICS = Shape(
    (
        ("@type", "type", words({member.value: member for member in GraphicsType})),
        ("@port", "port", PORT),
        ("@autoport", "auto_port", YES_NO),
        ("@listen", "listen", TEXT),
        ("@keymap", "keymap", TEXT),
        ("@passwd", "password", TEXT),
        ("@display", "x_display", TEXT),
        ("@xauth", "x_authority", TEXT),
        ("listen/@type", "_listen_type", words({"address": "address"}, others=("network", "socket", "none"))),
        ("listen/@address", "_address", TEXT),
        ("gl/@enable", "opengl", YES_NO),
        *_SPICE,
        _ALIAS,
    )
)


def graphics(values: Values) -> Graphics:
    if "type" not in values:
        raise ValueError("<graphics> has no type, expected vnc, sdl or spice")
    values.pop("_listen_type", None)
    address = values.pop("_address", None)
    if address is not None:
        values.setdefault("listen", address)
    if values.get("auto_port"):
        values.pop("port", None)  # the one that was found
    spice = {name: values.pop(name) for name in _SPICE_FIELDS if name in values}
    if spice and values["type"] is GraphicsType.SPICE:
        values["spice"] = Spice(**spice)
    return Graphics(**values)


def split_graphics(one: Graphics) -> Values | None:
    values: Values = one._asdict()
    if one.type is GraphicsType.SDL:
        return {name: values[name] for name in ("type", "x_display", "x_authority", "opengl")}
    for name in ("x_display", "x_authority", "opengl"):
        values[name] = None
    if one.auto_port:
        values["port"] = None
    if one.listen is not None:
        values.update(_listen_type="address", _address=one.listen)
    if one.type is GraphicsType.SPICE and one.spice is not None:
        values.update((name, getattr(one.spice, name)) for name in _SPICE_FIELDS)
    return values


_MODELS = {"vga": "stdvga", "cirrus": "cirrus", "qxl": "qxl", "none": "none", "xen": "xen"}
VIDEO = Shape(
    (
        ("model/@type", "model", words(_MODELS)),
        ("model/@vram", "vram_kib", NUMBER),
        ("model/@heads", "_heads", silent("1")),
        ("model/@primary", "_primary", silent("yes")),
        _ALIAS,
    )
)


def video(values: Values) -> Video:
    return Video(values.get("model"), values.get("vram_kib"))


def split_video(card: Video) -> Values | None:
    return card._asdict() if card.model in _MODELS.values() else None


INPUT = Shape(
    (
        ("@type", "type", _same("tablet", "mouse", "keyboard")),
        ("@bus", "_bus", words({"usb": "usb"})),
        _ALIAS,
    )
)


def input_device(values: Values) -> Input:
    if "type" not in values:
        raise ValueError("<input> has no type, expected tablet, mouse or keyboard")
    return Input(values["type"])


def split_input(one: Input) -> Values | None:
    return {"type": one.type, "_bus": "usb"} if one.type in ("tablet", "mouse", "keyboard") else None


_CARDS = ("sb16", "es1370", "pcspk", "ac97", "ich6", "ich9", "usb")
SOUND = Shape((("@model", "model", _same(*_CARDS)), _ALIAS))


def sound(values: Values) -> Any:
    if "model" not in values:
        raise ValueError(f"<sound> has no model, expected one of {', '.join(_CARDS)}")
    return values["model"]


def split_sound(model: str) -> Values | None:
    return {"model": model} if model in _CARDS else None
