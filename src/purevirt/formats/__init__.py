"""Descriptions of domains as text: libvirt's XML, xl's configuration files, xend's expressions, libxl's records.

    from purevirt import formats

    document = formats.parse(open("web.cfg", "rb").read())           # recognises the format
    print(document.description.memory.kib)
    bigger = document.description._replace(memory=document.description.memory._replace(kib=1 << 20))
    print(document.updated(bigger).text())                           # the same file but for one line

    done = formats.convert(open("record.libxl-json", "rb").read(), "xen-xl")
    print(done.text, done.report)                                    # what xl has no words for

What can be in a description is in `purevirt.description`. Nothing is lost on the way: what a format has no words for
is carried along, in a place that its own programs pass over, and reported.

Beside them, `capabilities_xml` says what hosts can do; `xend_sxpr` and `xend_json` are what the Xen daemon speaks.
"""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING

if TYPE_CHECKING:
    from purevirt.formats.carried import Carried
    from purevirt.formats.conversion import (
        FORMATS,
        Conversion,
        Document,
        convert,
        format,  # noqa: A004 - the other half of parse
        parse,
        recognise,
    )

__all__ = ["FORMATS", "Carried", "Conversion", "Document", "convert", "format", "parse", "recognise"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'purevirt.formats' has no attribute {name!r}")
    module = "purevirt.formats.carried" if name == "Carried" else "purevirt.formats.conversion"
    value = getattr(__import__(module, fromlist=[name]), name)
    globals()[name] = value
    return value
