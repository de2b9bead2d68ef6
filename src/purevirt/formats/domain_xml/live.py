"""What the XML of a running domain shows beside its description, as libvirt does: its number, its console's terminal,
its screen's port, what its interfaces are called in the backend's domain.

`show` adds that to what is written. `without` takes it from what was read: none of it makes another domain like this
one.
"""

from __future__ import annotations

import re

from purevirt._typing import Any
from purevirt.formats.xml import Element, Made
from purevirt.model.description import DomainDescription, LiveDescription

__all__ = ["show", "without"]

_INTERFACE = re.compile(r"(?:vif|tap)[0-9]+\.[0-9]+(?:-emu)?")


def show(root: Made, description: DomainDescription, live: LiveDescription) -> None:
    """Adds to a <domain> that is to be written."""
    if live.domid is not None:
        root.attributes = {**root.attributes, "id": str(live.domid)}
    devices = root.find("devices")
    if devices is None:
        devices = Made("devices")
        root.children.append(devices)
    made = {child.key: child for child in devices.children if isinstance(child, Made)}
    for index, (nic, name) in enumerate(zip(description.interfaces, live.interface_names, strict=False)):
        element = made.get(f"interfaces:{index}")
        if element is not None and nic.name is None and _INTERFACE.fullmatch(name):
            element.children.append(Made("target", {"dev": name}))
    if live.vnc_port is not None:
        for index, screen in enumerate(description.graphics):
            element = made.get(f"graphics:{index}")
            if element is not None and screen.type.value == "vnc":
                element.attributes["port"] = str(live.vnc_port)
                break
    if live.console_tty is not None:
        devices.children.append(_console(live.console_tty, bool(description.serials)))


def without(field: str, record: Any, element: Element) -> Any:
    """A record of a running domain, without what is this domain's alone."""
    if field == "interfaces" and record.name is not None and _INTERFACE.fullmatch(record.name):
        return record._replace(name=None)
    if field == "graphics" and record.port is not None and "autoport" not in element.attributes:
        return record._replace(port=None)
    return record


def _console(tty: str, serial: bool) -> Made:
    target = Made("target", {"type": "serial" if serial else "xen", "port": "0"})
    return Made("console", {"type": "pty", "tty": tty}, children=[Made("source", {"path": tty}), target])
