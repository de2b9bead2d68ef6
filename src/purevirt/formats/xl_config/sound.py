"""A list of `vsnd = [ [ … ], … ]` <-> a para-virtual sound card.

Each string of the inner list begins with what it describes: CARD, PCM (a device) or STREAM, and belongs to what is
above it. A stream before any PCM makes one without a name, as xl does.
"""

from __future__ import annotations

from purevirt._typing import Any
from purevirt.formats.xl_config.reading import Reader
from purevirt.formats.xl_config.specs import NUMBER, TEXT, Option, Spec, listed, parts, words
from purevirt.formats.xl_config.spelling import Plain
from purevirt.formats.xl_config.syntax import Value
from purevirt.model.description import SoundCard, SoundDevice, SoundParameters, SoundStream

__all__ = ["read", "write"]


def _rate(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("sample rates like 8000;44100")
    return int(text)


_PARAMETERS = (
    listed("sample-rates", "sample_rates", _rate),
    listed("sample-formats", "sample_formats", str),
    NUMBER("channels-min", "channels_min"),
    NUMBER("channels-max", "channels_max"),
    NUMBER("buffer-size", "buffer_size"),
)
_FIELDS = SoundParameters._fields


def _kind(record: Any, *options: Option, needed: dict[str, str] | None = None) -> Spec:
    return Spec(record, *options, *_PARAMETERS, needed=needed, defaults=SoundParameters._field_defaults)


_CARD = _kind(
    SoundCard,
    TEXT("backend", "backend_domain"),
    TEXT("short-name", "short_name"),
    TEXT("long-name", "long_name"),
)
_PCM = _kind(SoundDevice, TEXT("name", "name"))
_STREAM = _kind(
    SoundStream, TEXT("unique-id", "unique_id"), words("type", "type", {"p": "p", "c": "c"}),
    needed={"unique_id": "unique-id=…", "type": "type=p or type=c"},
)  # fmt: skip
_KINDS = {"card": _CARD, "pcm": _PCM, "stream": _STREAM}


def read(reader: Reader, name: str, item: Value) -> SoundCard:
    """The card that an inner list describes. ConfigError for what xl refuses."""
    card: dict[str, Any] = {}
    devices: list[dict[str, Any]] = []
    for index, line in enumerate(reader.atoms(f"each card of {name}", item)):
        given = list(parts(line.value))
        word = given[0].text if given else ""
        spec = _KINDS.get(word.lower())
        if spec is None:
            reader.fail(f"{name}: expected CARD, PCM or STREAM first, found {line.value!r}", line)
        fields = spec.fields(reader, name, index, line, iter(given[1:]))
        parameters = {field: fields.pop(field) for field in _FIELDS if field in fields}
        if parameters:
            fields["parameters"] = SoundParameters(**parameters)
        if spec is _CARD:
            card = fields
        elif spec is _PCM:
            devices.append({**fields, "streams": []})
        else:
            if not devices:
                devices.append({"streams": []})
            devices[-1]["streams"].append(_STREAM.made(reader, name, line, fields))
    return SoundCard(
        **card, devices=tuple(SoundDevice(**{**one, "streams": tuple(one["streams"])}) for one in devices)
    )


def write(card: SoundCard, xen: tuple[int, int]) -> Plain | None:
    """The inner list; None if something in it cannot be said."""
    lines = [_line("CARD", _CARD, card)]
    for device in card.devices:
        lines.append(_line("PCM", _PCM, device))
        lines.extend(_line("STREAM", _STREAM, stream) for stream in device.streams)
    written = [line for line in lines if line is not None]
    return tuple(written) if len(written) == len(lines) else None


def _line(word: str, spec: Spec, record: Any) -> str | None:
    text = spec.write(_Flat(record))
    return None if text is None else ", ".join([word, *text.split(",")] if text else [word])


class _Flat:
    """A record and its parameters, as one."""

    __slots__ = ("_record",)

    def __init__(self, record: Any) -> None:
        self._record = record

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record.parameters if name in _FIELDS else self._record, name)
