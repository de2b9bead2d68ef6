"""What a connection URI means.

    xen:///             this host
    xen:///?root=DIR    a simulated host that `purevirt host --dir DIR` serves: every path is looked up below DIR
    test:///default     a simulated host in this process, shared by all connections to it

With no URI: $PUREVIRT_URI, $LIBVIRT_DEFAULT_URI, then `xen:///` where /proc/xen/capabilities says control_d. A
simulated host is never opened unasked.
"""

from __future__ import annotations

from collections.abc import Mapping

from purevirt._typing import NamedTuple
from purevirt.errors import ConnectError, Unsupported

__all__ = ["Location", "choose", "parse", "root_uri"]

KNOWN = "xen:///, xen:///?root=DIR and test:///default"


class Location(NamedTuple):
    """Where a URI leads: `simulated` means the host of this process; else `root` is prefixed to every path."""

    uri: str
    simulated: bool
    root: str


def parse(uri: str) -> Location:
    """Read one URI. ConnectError if it is malformed, Unsupported if it means what this version cannot open."""
    if uri == "xen:///":
        return Location(uri, False, "")
    from urllib.parse import parse_qsl, urlsplit  # slow to import, for what most programs never write

    try:
        parts = urlsplit(uri)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError as error:
        raise ConnectError(f"{uri!r} is no URI: {error}; known are {KNOWN}", operation="open") from None
    if "+" in parts.scheme:
        raise Unsupported(f"remote connections ({parts.scheme}) are not supported yet", operation="open")
    if parts.scheme not in ("xen", "test") or "://" not in uri:
        raise ConnectError(f"unknown URI {uri!r}: known are {KNOWN}", operation="open")
    if parts.netloc:
        raise Unsupported(f"{uri!r} names a host: remote connections are not supported yet", operation="open")
    if parts.fragment or parts.path not in (("/", "") if parts.scheme == "xen" else ("/default",)):
        raise ConnectError(f"unknown URI {uri!r}: known are {KNOWN}", operation="open")
    if parts.scheme == "test":
        _refuse_unknown(uri, query, ())
        return Location(uri, True, "")
    _refuse_unknown(uri, query, ("root",))
    root = query.get("root", "")
    if "root" in query and not root.startswith("/"):
        raise ConnectError(f"{uri!r}: root must be an absolute path", operation="open")
    return Location(uri, False, root.rstrip("/"))


def _refuse_unknown(uri: str, query: Mapping[str, str], known: tuple[str, ...]) -> None:
    for key in query:
        if key not in known:
            raise ConnectError(f"{uri!r}: unknown parameter {key!r}", operation="open")


def root_uri(directory: str) -> str:
    """The URI of the simulated host that lives in a directory."""
    from urllib.parse import quote

    return f"xen:///?root={quote(directory)}"


def choose(uri: str | None, environment: Mapping[str, str], *, on_dom0: bool) -> Location:
    """The location for a URI given or not."""
    if uri is None:
        uri = environment.get("PUREVIRT_URI") or environment.get("LIBVIRT_DEFAULT_URI")
    if uri:
        return parse(uri)
    if on_dom0:
        return parse("xen:///")
    raise ConnectError(
        "this machine is not a Xen host (/proc/xen/capabilities does not say control_d): give a URI; "
        "test:///default is a simulated host",
        operation="open",
    )
