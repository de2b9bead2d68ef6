"""What an xl.cfg says about the guest's screen: VNC, SDL and SPICE, and the graphics card.

An HVM domain is told by settings of its own (`vnc = 1`, `vnclisten = …`), where VNC is on unless it is switched off. A
PV domain has frame buffers, `vfb = [ "vnc=1,…" ]`, in each of which VNC is on and SDL may be; without any, xl makes one
of the HVM settings if `vnc` is among them.
"""

from __future__ import annotations

from purevirt._typing import Any
from purevirt.formats.xl_config.kinds import mebibytes, sayable
from purevirt.formats.xl_config.reading import Parts, Reader
from purevirt.formats.xl_config.specs import FLAG, NUMBER, TEXT, Option, parts, whole
from purevirt.formats.xl_config.spelling import Plain
from purevirt.formats.xl_config.syntax import Atom
from purevirt.model.description import DomainDescription, Graphics, GraphicsType, Spice, Video
from purevirt.model.domain import DomainType

__all__ = ["listen_address", "read_graphics", "read_video", "write_graphics", "write_video"]

Written = dict[str, "Plain | None"]

_VNC_PORT = 5900
_CARDS = ("none", "stdvga", "cirrus", "qxl")


def read_video(reader: Reader, into: Parts, kind: DomainType) -> None:
    """vga, or the older stdvga; videoram; gfx_passthru, which is a number or a word."""
    standard, model = reader.flag("stdvga"), reader.text("vga")
    if model is not None and model not in _CARDS:
        reader.fail(f"vga: expected one of {', '.join(_CARDS)}, found {model!r}", reader.values["vga"])
    if model is None and standard is not None:
        model = "stdvga" if standard else "cirrus"
    ram = reader.number("videoram")
    passed = _passthrough(reader)
    if model is not None or ram is not None or passed is not None:
        into[""]["video"] = Video(model, None if ram is None else ram * 1024, passed)


def _passthrough(reader: Reader) -> str | None:
    found = reader.take("gfx_passthru")
    if found is None:
        return None
    word = reader.as_atom("gfx_passthru", found).value
    if word in ("default", "igd"):
        return word
    return "default" if reader.as_number("gfx_passthru", found) else None


def write_video(description: DomainDescription) -> Written:
    video = description.video
    if video is None:
        return {}
    written: Written = {}
    if video.model in _CARDS:
        written["vga"] = video.model
    if video.vram_kib is not None and video.vram_kib >= 0:
        written["videoram"] = mebibytes(video.vram_kib)
    if video.passthrough in ("default", "igd"):
        written["gfx_passthru"] = 1 if video.passthrough == "default" else video.passthrough
    return written


def read_graphics(reader: Reader, into: Parts, kind: DomainType) -> None:
    """What is not taken here, since it says nothing for this kind of domain, stays unknown."""
    if kind is DomainType.HVM:
        into[""]["graphics"] = _read_hvm(reader)
    elif reader.has("vfb"):
        found = reader.take("vfb")
        assert found is not None
        shown: list[Graphics] = []
        for index, item in enumerate(reader.atoms("vfb", found)):
            shown.extend(_frame_buffer(reader, index, item))
        into[""]["graphics"] = tuple(shown)
    elif kind is DomainType.PV and _flag(reader, "vnc"):
        reader.take("vnc")
        shown = [_vnc(reader)]
        if reader.flag("sdl"):
            shown.append(_sdl(reader))
        into[""]["graphics"] = _with_keymap(reader, shown)


def write_graphics(description: DomainDescription) -> Written:
    if not description.graphics:
        return {}
    if description.type is DomainType.HVM:
        return _write_hvm(description)
    buffers = _write_frame_buffers(description.graphics)
    return {"vfb": buffers} if buffers else {}


# --- HVM

_SPICE = {
    "spicetls_port": ("tls_port", int),
    "spicedisable_ticketing": ("ticketing", bool),
    "spiceagent_mouse": ("agent_mouse", bool),
    "spicevdagent": ("vdagent", bool),
    "spice_clipboard_sharing": ("clipboard_sharing", bool),
    "spiceusbredirection": ("usb_redirection", int),
    "spice_image_compression": ("image_compression", str),
    "spice_streaming_video": ("streaming_video", str),
}
_HVM_SIGNS = ("vnc", "vnclisten", "vncdisplay", "vncunused", "vncpasswd", "keymap", "sdl", "spice")


def _read_hvm(reader: Reader) -> tuple[Graphics, ...]:
    if not any(map(reader.has, _HVM_SIGNS)):
        return ()
    vnc = _flag(reader, "vnc")
    sdl, spice = reader.flag("sdl"), reader.flag("spice")
    shown: list[Graphics] = []
    if vnc is None or vnc:
        shown.append(_vnc(reader))
    if sdl:
        shown.append(_sdl(reader))
    if spice:
        shown.append(_spice(reader))
    if shown:  # else "no VNC" is all that is said, for which the model has no word
        reader.take("vnc")
    return _with_keymap(reader, shown)


def _flag(reader: Reader, name: str) -> bool | None:
    """A flag, which is not taken yet."""
    found = reader.values.get(name)
    return None if found is None else reader.as_number(name, found) != 0


def _with_keymap(reader: Reader, shown: list[Graphics]) -> tuple[Graphics, ...]:
    """The one keymap there is belongs to the first."""
    if shown and reader.has("keymap"):
        shown[0] = shown[0]._replace(keymap=reader.text("keymap"))
    return tuple(shown)


def _vnc(reader: Reader) -> Graphics:
    listen, display = reader.text("vnclisten"), reader.number("vncdisplay")
    listen, behind = listen_address(listen)
    if behind is not None:
        if display is not None:
            message = "vncdisplay: the display is in vnclisten already, expected it in one of them only"
            reader.fail(message, reader.values["vncdisplay"])
        display = behind
    port = None if display is None else _VNC_PORT + display
    return Graphics(GraphicsType.VNC, listen, port, reader.flag("vncunused"), reader.text("vncpasswd"))


def listen_address(text: str | None) -> tuple[str | None, int | None]:
    """ADDRESS or ADDRESS:DISPLAY. An IPv6 address without brackets has more than one colon."""
    if text is None:
        return None, None
    address, colon, display = text.rpartition(":")
    if colon and display.isascii() and display.isdecimal() and (":" not in address or address.endswith("]")):
        return address, int(display)
    return text, None


def _sdl(reader: Reader) -> Graphics:
    return Graphics(
        GraphicsType.SDL,
        x_display=reader.text("display"),
        x_authority=reader.text("xauthority"),
        opengl=reader.flag("opengl"),
    )


def _spice(reader: Reader) -> Graphics:
    fields: dict[str, Any] = {}
    for name, (field, kind) in _SPICE.items():
        if not reader.has(name):
            continue
        value = (
            reader.flag(name) if kind is bool else reader.number(name) if kind is int else reader.text(name)
        )
        fields[field] = not value if name == "spicedisable_ticketing" else value
    return Graphics(
        GraphicsType.SPICE,
        reader.text("spicehost"),
        reader.number("spiceport"),
        password=reader.text("spicepasswd"),
        spice=Spice(**fields) if fields else None,
    )


def _write_hvm(description: DomainDescription) -> Written:
    first: dict[GraphicsType, Graphics] = {}
    for one in description.graphics:
        first.setdefault(one.type, one)
    written: Written = {"vnc": 0}
    keymap = None
    if GraphicsType.VNC in first:
        vnc = first[GraphicsType.VNC]
        written["vnc"] = 1
        written.update(_said({"vnclisten": _listen(vnc.listen), "vncdisplay": _display(vnc.port)}))
        written.update(_said({"vncunused": _bit(vnc.auto_port), "vncpasswd": vnc.password}))
        keymap = vnc.keymap
    if GraphicsType.SDL in first:
        sdl = first[GraphicsType.SDL]
        written["sdl"] = 1
        written.update(
            _said({"opengl": _bit(sdl.opengl), "display": sdl.x_display, "xauthority": sdl.x_authority})
        )
        keymap = keymap if GraphicsType.VNC in first else sdl.keymap
    if GraphicsType.SPICE in first:
        spice = first[GraphicsType.SPICE]
        written.update(_write_spice(spice))
        keymap = keymap if len(first) > 1 else spice.keymap
    return {**written, **_said({"keymap": keymap})}


def _write_spice(one: Graphics) -> Written:
    written: Written = {"spice": 1}
    written.update(_said({"spicehost": one.listen, "spiceport": one.port, "spicepasswd": one.password}))
    for name, (field, kind) in _SPICE.items() if one.spice is not None else ():
        value = getattr(one.spice, field)
        if name == "spicedisable_ticketing" and value is not None:
            value = not value
        written.update(_said({name: _bit(value) if kind is bool else value}))
    return written


def _said(values: dict[str, str | int | None]) -> Written:
    """Without what is not said, or cannot be."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and (sayable(value) if isinstance(value, str) else value >= 0)
    }


def _bit(value: bool | None) -> int | None:
    return None if value is None else int(value)


def _display(port: int | None) -> int | None:
    return None if port is None or port < _VNC_PORT else port - _VNC_PORT


def _listen(text: str | None) -> str | None:
    """An address that would not be taken apart."""
    return None if listen_address(text)[1] is not None else text


# --- frame buffers

_VNC_OPTIONS: tuple[Option, ...] = (
    TEXT("vnclisten", "listen"),
    NUMBER("vncdisplay", "port"),
    FLAG("vncunused", "auto_port"),
    TEXT("vncpasswd", "password"),
)
_SDL_OPTIONS: tuple[Option, ...] = (
    FLAG("opengl", "opengl"),
    TEXT("display", "x_display"),
    TEXT("xauthority", "x_authority"),
)
_BUFFER = {option.key: option for option in (*_VNC_OPTIONS, *_SDL_OPTIONS, TEXT("keymap", "keymap"))} | {
    "vnc": FLAG("vnc", "vnc"),
    "sdl": FLAG("sdl", "sdl"),
}


def _frame_buffer(reader: Reader, index: int, item: Atom) -> list[Graphics]:
    said: dict[str, Any] = {}
    for part in parts(item.value):
        option = _BUFFER.get(part.key)
        if option is None or part.value is None:
            reader.keep(f"vfb[{index}]", part.text)
            continue
        try:
            said[option.field] = option.read(part.value)
        except ValueError as error:
            message = f"vfb: {part.key} is {part.value!r}, expected {error}"
            raise reader.error(message, item, part.offset) from None
    shown = []
    if said.pop("vnc", True):
        fields = {option.field: said.pop(option.field) for option in _VNC_OPTIONS if option.field in said}
        listen, behind = listen_address(fields.get("listen"))
        if behind is not None:
            fields.update(listen=listen, port=fields.get("port", behind))
        if "port" in fields:
            fields["port"] += _VNC_PORT
        shown.append(Graphics(GraphicsType.VNC, **fields))
    if said.pop("sdl", False):
        fields = {option.field: said.pop(option.field) for option in _SDL_OPTIONS if option.field in said}
        shown.append(Graphics(GraphicsType.SDL, **fields))
    if shown and "keymap" in said:
        shown[0] = shown[0]._replace(keymap=said["keymap"])
    return shown


def _write_frame_buffers(graphics: tuple[Graphics, ...]) -> tuple[Plain, ...]:
    """VNC and the SDL that follows it are in one."""
    buffers: list[list[str]] = []
    previous = None
    for one in graphics:
        if one.type is GraphicsType.VNC:
            buffers.append(["vnc=1", *_pairs(one, _VNC_OPTIONS)])
        elif one.type is GraphicsType.SDL:
            if previous is not GraphicsType.VNC:
                buffers.append(["vnc=0"])
            buffers[-1].extend(["sdl=1", *_pairs(one, _SDL_OPTIONS)])
        if one.type is GraphicsType.VNC or (
            one.type is GraphicsType.SDL and previous is not GraphicsType.VNC
        ):
            keymap = one.keymap
            if keymap is not None and whole(keymap) is not None:
                buffers[-1].append(f"keymap={keymap}")
        previous = one.type
    return tuple(",".join(pairs) for pairs in buffers)


def _pairs(one: Graphics, options: tuple[Option, ...]) -> list[str]:
    pairs = []
    for option in options:
        value = getattr(one, option.field)
        if option.field == "port":
            value = _display(value)
        elif option.field == "listen":
            value = _listen(value)
        text = None if value is None else option.write(value)
        if text is not None:
            pairs.append(f"{option.key}={text}")
    return pairs
