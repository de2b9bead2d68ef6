"""What libxl keeps of each running domain in Domain 0's file system, whoever had it made: xl, libvirt, another program.

Source: Xen, tools/libs/light/libxl_dom.c (libxl__userdata_path). The files are for root alone. What is in them,
`formats.libxl_json` knows.
"""

from __future__ import annotations

from purevirt.channels.files.reading import read_bytes

__all__ = ["record", "record_path"]


def record_path(root: str, domid: int, uuid: str) -> str:
    """Where the record of a domain is. It changes its name with neither the domain's name nor a hot-plugged device."""
    return f"{root}/var/lib/xen/userdata-d.{domid}.{uuid}.libxl-json"


def record(root: str, domid: int, uuid: str) -> str | None:
    """The record, JSON; None if there is none: something else than libxl made the domain. Bytes that are no UTF-8
    survive as surrogates.

    ChannelUnavailable: it may not be read. RemoteProtocolError: it is too long.
    """
    data = read_bytes(record_path(root, domid, uuid))
    return None if data is None else data.decode("utf-8", "surrogateescape")
