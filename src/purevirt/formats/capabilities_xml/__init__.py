"""What a host and its guests can do, as libvirt's XML, and back.

    text = capabilities_xml.format(capabilities)            # <capabilities>, as `virsh capabilities` prints it
    capabilities_xml.parse(text) == capabilities
    text = capabilities_xml.format_domain(domain)           # <domainCapabilities>, as `virsh domcapabilities`
    capabilities_xml.parse_domain(text) == domain

What is written is valid against libvirt's capability.rng and domaincaps.rng, but for two things that libvirt's own Xen
driver writes and its schemas (of libvirt 9.0 and of 11.3) do not know: the os_type "xenpvh", and the dot in the CPU
features "sse4.1" and "sse4.2". What is read may be libvirt's answer as well as ours; elements that the model has no
place for are passed over.

Neighbours: `host` and `guest` know the two documents, `formats.xml` how XML reads and is written.

Source: libvirt's docs/formatcaps and docs/formatdomaincaps, and what its Xen driver prints on Xen 4.17 and 4.20.
"""

from __future__ import annotations

from purevirt.formats.capabilities_xml import guest, host
from purevirt.formats.xml import Made, ask
from purevirt.model.capabilities import Capabilities, DomainCapabilities

__all__ = ["format", "format_domain", "parse", "parse_domain"]


def format(capabilities: Capabilities) -> str:  # noqa: A001 - the other half of parse
    """The <capabilities> document."""
    root = host.write(capabilities)
    parts = [_text(child, "  ") for child in root.children if isinstance(child, Made)]
    return "\n".join(
        [f"<{root.name}>\n", *parts, f"</{root.name}>\n"]
    )  # libvirt has empty lines between them


def parse(text: str | bytes, *, file: str = "<string>") -> Capabilities:
    """The values of a <capabilities> document. ConfigError, with line and column, if it is none of a Xen host."""
    return host.read(ask(text, "capabilities", file=file))


def format_domain(capabilities: DomainCapabilities) -> str:
    """The <domainCapabilities> document."""
    return _text(guest.write(capabilities))


def parse_domain(text: str | bytes, *, file: str = "<string>") -> DomainCapabilities:
    """The values of a <domainCapabilities> document. ConfigError, as for `parse`."""
    return guest.read(ask(text, "domainCapabilities", file=file))


def _text(element: Made, indent: str = "") -> str:
    return "\n".join([*element.lines(indent), ""])
