"""libxl's own record of a domain, as JSON -> a description. A record that libxl has written is never changed.

It is what `xl list -l` prints (as "config" of each domain), what `xl create -n -d` prints of a file, and what libxl
keeps of a running domain in /var/lib/xen/userdata-d.DOMID.UUID.libxl-json. `table` has what is one to one, `devices`
and `reading` the rest, `values` the kinds of JSON that libxl writes. `writing` makes records for simulated hosts,
which have no libxl.
"""

from __future__ import annotations

import json

from purevirt._typing import TYPE_CHECKING, Any
from purevirt.errors import ConfigError, InvalidConfig
from purevirt.formats.libxl_json.reading import described

if TYPE_CHECKING:
    from purevirt.formats.carried import Carried
    from purevirt.model.description import DomainDescription

__all__ = ["LibxlRecord", "parse"]

_MOST = 16 << 20


class LibxlRecord:
    """A record, and the description in it. It carries nothing, and has no comments."""

    __slots__ = ("_text", "description")

    carried: tuple[Carried, ...] = ()
    comments = 0

    def __init__(self, text: str, description: DomainDescription) -> None:
        self._text = text
        self.description = description

    def text(self) -> str:
        """The record, letter for letter."""
        return self._text

    def updated(self, description: DomainDescription) -> LibxlRecord:
        """InvalidConfig, unless nothing changes: only libxl writes these."""
        if description == self.description:
            return self
        raise InvalidConfig("libxl-json is a record that libxl writes; it cannot be changed")


def parse(text: str, *, file: str = "<text>") -> LibxlRecord:
    """Read a record of libxl's, or one domain of what `xl list -l` prints.

    ConfigError, with line and column where it is no JSON, and with the place in it where it is no record.
    """
    if len(text) > _MOST:
        raise ConfigError(f"{file}: larger than {_MOST >> 20} MiB", file=file)
    try:
        record = json.loads(text.rstrip("\0"))  # the file has the C string's end in it
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{file}:{error.lineno}:{error.colno}: no JSON: {error.msg}",
            file=file,
            line=error.lineno,
            column=error.colno,
        ) from None
    except ValueError:
        raise ConfigError(f"{file}: no JSON: a number in it is too long", file=file) from None
    except RecursionError:
        raise ConfigError(f"{file}: no JSON: it is nested too deep", file=file) from None
    return LibxlRecord(text, described(_one_domain(record, file), file))


def _one_domain(record: Any, file: str) -> dict[str, Any]:
    if isinstance(record, list) and len(record) == 1:
        record = record[0]
    if isinstance(record, dict) and "c_info" not in record and isinstance(record.get("config"), dict):
        record = record["config"]
    if not isinstance(record, dict) or "c_info" not in record:
        raise ConfigError(f"{file}: expected one domain's record of libxl, an object with c_info", file=file)
    return record
