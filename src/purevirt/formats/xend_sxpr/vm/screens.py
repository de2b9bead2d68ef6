"""The guest's screens: of an HVM domain in its image, of a PV domain as devices, `(vfb (type vnc) …)`.

xend showed an HVM domain's screens as frame buffers too; where the image has them, those say nothing more. Beside each
frame buffer xend's clients put a keyboard, which comes without being told.
"""

from __future__ import annotations

import purevirt.wire.sxp as sxp
from purevirt._typing import Any
from purevirt.formats.xend_sxpr.vm.pairs import Pairs
from purevirt.formats.xend_sxpr.vm.source import sayable
from purevirt.formats.xl_config.screens import listen_address
from purevirt.model.description import Graphics, GraphicsType

__all__ = ["read_frame_buffer", "read_screens", "write_frame_buffers", "write_screens"]

_VNC_PORT = 5900
_TYPES = {"vnc": GraphicsType.VNC, "sdl": GraphicsType.SDL}

Settings = tuple[tuple[str, sxp.Value], ...]


def read_screens(pairs: Pairs) -> list[Graphics]:
    """Those that are switched on by `(vnc 1)` and `(sdl 1)`; what is off stays unknown."""
    shown = []
    if _on(pairs, "vnc"):
        shown.append(_vnc(pairs))
    if _on(pairs, "sdl"):
        shown.append(_sdl(pairs))
    return _with_keymap(pairs, shown)


def read_frame_buffer(pairs: Pairs) -> list[Graphics]:
    """A frame buffer's screens: of its type, or of its switches; VNC if it has neither."""
    pairs.pass_over("uuid", "location", "devid")
    word = pairs.text("type")
    if word is None:
        return read_screens(pairs) if pairs.has("vnc", "sdl") else _with_keymap(pairs, [_vnc(pairs)])
    if word not in _TYPES:
        pairs.fail(f"type: expected one of {', '.join(_TYPES)}, found {word!r}", pairs.expression)
    return _with_keymap(pairs, [_vnc(pairs) if word == "vnc" else _sdl(pairs)])


def _on(pairs: Pairs, key: str) -> bool:
    on = bool(pairs.flag(key))
    pair = pairs.take(key)
    if pair is not None and not on:
        pairs.unknown(pair)
    return on


def _with_keymap(pairs: Pairs, shown: list[Graphics]) -> list[Graphics]:
    """The one keymap there is belongs to the first."""
    if shown and pairs.has("keymap"):
        shown[0] = shown[0]._replace(keymap=pairs.text("keymap"))
    return shown


def _vnc(pairs: Pairs) -> Graphics:
    listen, behind = listen_address(pairs.text("vnclisten"))
    display = pairs.number("vncdisplay")
    display = behind if display is None else display
    port = None if display is None else _VNC_PORT + display
    return Graphics(GraphicsType.VNC, listen, port, pairs.flag("vncunused"), pairs.text("vncpasswd"))


def _sdl(pairs: Pairs) -> Graphics:
    return Graphics(
        GraphicsType.SDL,
        x_display=pairs.text("display"),
        x_authority=pairs.text("xauthority"),
        opengl=pairs.flag("opengl"),
    )


def write_screens(graphics: tuple[Graphics, ...]) -> Settings:
    """The image's pairs: the first of each type."""
    first: dict[GraphicsType, Graphics] = {}
    for one in graphics:
        first.setdefault(one.type, one)
    written: list[tuple[str, sxp.Value]] = []
    keymap = None
    for word, kind in reversed(_TYPES.items()):
        if kind in first:
            keymap = first[kind].keymap
            written = [(word, 1), *_settings(first[kind]), *written]
    return (*written, *_said(("keymap", keymap)))


def write_frame_buffers(graphics: tuple[Graphics, ...]) -> list[Settings]:
    """One for each screen; SPICE has none."""
    words = {kind: word for word, kind in _TYPES.items()}
    return [
        (("type", words[one.type]), *_settings(one), *_said(("keymap", one.keymap)))
        for one in graphics
        if one.type in words
    ]


def _settings(one: Graphics) -> Settings:
    pairs: list[tuple[str, Any]]
    if one.type is GraphicsType.SDL:
        opengl = None if one.opengl is None else int(one.opengl)
        pairs = [("display", one.x_display), ("xauthority", one.x_authority), ("opengl", opengl)]
    else:
        listen = None if listen_address(one.listen)[1] is not None else one.listen
        pairs = [
            ("vncunused", None if one.auto_port is None else int(one.auto_port)),
            ("vncdisplay", None if one.port is None or one.port < _VNC_PORT else one.port - _VNC_PORT),
            ("vnclisten", listen),
            ("vncpasswd", one.password),
        ]
    return _said(*pairs)


def _said(*pairs: tuple[str, Any]) -> Settings:
    """Without what is not said, or cannot be."""
    return tuple(
        (key, value)
        for key, value in pairs
        if value is not None and (not isinstance(value, str) or (value != "" and sayable(value)))
    )
