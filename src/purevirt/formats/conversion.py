"""From one format of a domain's description to another, with a report of what the target cannot say.

The formats: libvirt's XML ("xml"), xl's configuration files ("xen-xl", as virsh calls them), the expressions that xend
took ("xen-sxpr"), and read only, what libxl records of a running domain ("libxl-json"). Each is a module with `parse`,
and `format` where it can be written; this one knows their names, tells them apart, and puts them together.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

from purevirt._typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from purevirt.errors import ConfigError, InvalidConfig
from purevirt.formats import carried
from purevirt.formats.carried import Carried
from purevirt.model.description import Unknown

if TYPE_CHECKING:
    from purevirt.model.description import DomainDescription

__all__ = ["FORMATS", "Conversion", "Document", "convert", "format", "parse", "recognise"]

FORMATS: dict[str, tuple[str, bool]] = {
    "xml": ("domain_xml", True),
    "xen-xl": ("xl_config", True),
    "libxl-json": ("libxl_json", False),
    "xen-sxpr": ("xend_sxpr.vm", True),
}
"""Name -> its module, and whether it can be written."""


class Document(Protocol):
    """A description in a format. Its text is given back letter for letter until something in it is changed."""

    @property
    def description(self) -> DomainDescription:
        """What it says, with what it carries."""

    @property
    def carried(self) -> tuple[Carried, ...]:
        """What the format itself has no words for."""

    @property
    def comments(self) -> int:
        """How many comments are in it."""

    def text(self) -> str:
        """The document."""

    def updated(self, description: DomainDescription) -> Document:
        """The same document, changed where it says something else."""


class Conversion(NamedTuple):
    """What became of a description.

    `unsaid` is what the target has no words for: carried along, in a place that its own programs pass over.
    `comments` is how many comments stayed behind.
    """

    text: str
    description: DomainDescription
    unsaid: tuple[Carried, ...]
    comments: int

    @property
    def report(self) -> list[str]:
        """A line for each thing that the target cannot say."""
        lines = [_reported(item) for item in self.unsaid]
        if self.comments:
            lines.append(f"{self.comments} comment{'s' if self.comments > 1 else ''}")
        return lines


def recognise(text: str | bytes, *, file: str = "<text>") -> str:
    """The format of a text. ConfigError if it looks like none."""
    beginning = text[:4096] if isinstance(text, str) else _beginning(text)
    start = beginning.lstrip("\ufeff \t\r\n")[:1]
    if start == "<":
        return "xml"
    if start == "{":
        return "libxl-json"
    if start and _beyond_comments(beginning).startswith("("):
        return "xen-sxpr"
    if start:
        return "xen-xl"
    raise ConfigError(f"{file}: an empty file describes no domain", file=file, line=1, column=1)


def parse(text: str | bytes, from_: str | None = None, *, file: str = "<text>") -> Document:
    """Read a description. `from_` is a name of `FORMATS` (None: the one it looks like).

    Bytes are UTF-8, or what an XML says it is. ConfigError, with line and column, for what cannot be read; `file` is
    its name in the message.
    """
    name = recognise(text, file=file) if from_ is None else from_
    read: Callable[..., Document] = _module(name).parse
    if isinstance(text, bytes) and name != "xml":
        text = _decoded(text, file)
    return read(text, file=file)


def format(description: DomainDescription, to: str) -> Document:  # noqa: A001 - the other half of parse
    """Write a description in a format of `FORMATS`."""
    if not FORMATS.get(to, ("", True))[1]:
        raise InvalidConfig(f"{to} is a record that libxl writes; it cannot be written")
    write: Callable[..., Document] = _module(to).format
    return write(description)


def convert(
    text: str | bytes, to: str, *, from_: str | None = None, strict: bool = False, file: str = "<text>"
) -> Conversion:
    """Turn a description into another format.

    With `strict`, InvalidConfig if the target has no words for something; its `problems` are the report's lines.
    A text that is in the target's format already comes back as it is.
    """
    source = parse(text, from_, file=file)
    same = to == (recognise(text, file=file) if from_ is None else from_)
    target = source if same else format(source.description, to)
    done = Conversion(target.text(), source.description, target.carried, 0 if same else source.comments)
    if strict and done.report:
        lines = done.report
        raise InvalidConfig(
            f"{file}: {to} cannot say {len(lines)} thing{'s' if len(lines) > 1 else ''} of it: {'; '.join(lines)}",
            problems=tuple(lines),
        )
    return done


def _reported(item: Carried) -> str:
    """As a person would say it: of what is unknown its text, and where it stood."""
    unknown = item.value
    if not isinstance(unknown, Unknown):
        return carried.line(item)
    text = " ".join(unknown.text.split())
    return text if text.removeprefix("(").startswith(unknown.place) else f"{unknown.place}: {text}"


def _beyond_comments(text: str) -> str:
    """What follows lines that begin with #: a comment in an xl.cfg and in an expression."""
    text = text.lstrip("\ufeff \t\r\n")
    while text.startswith("#"):
        text = text.partition("\n")[2].lstrip(" \t\r\n")
    return text


def _beginning(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    return data[:4096].decode(encoding, "replace")


def _decoded(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise ConfigError(
            f"{file}:{line}:{column}: this is no UTF-8", file=file, line=line, column=column
        ) from None


def _module(name: str) -> Any:
    if name not in FORMATS:
        raise InvalidConfig(f"there is no format {name!r}; there are {', '.join(FORMATS)}")
    return importlib.import_module(f"purevirt.formats.{FORMATS[name][0]}")
