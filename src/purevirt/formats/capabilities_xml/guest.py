"""<domainCapabilities>: what a guest of one kind can have."""

from __future__ import annotations

from purevirt.formats.xml import Asked, Made, element
from purevirt.model.capabilities import MACHINES, Choice, DomainCapabilities, Support, guest_type

__all__ = ["read", "write"]


def write(capabilities: DomainCapabilities) -> Made:
    """The document."""
    parts = [
        element("path", capabilities.emulator),
        element("domain", "xen"),
        element("machine", capabilities.machine),
        element("arch", capabilities.arch),
    ]
    if capabilities.max_vcpus is not None:
        parts.append(element("vcpu", max=capabilities.max_vcpus))
    parts += [
        element("iothreads", supported="no"),
        element("os", "", [_loader(capabilities.loaders)], supported="yes"),
        element("devices", "", [_support(device) for device in capabilities.devices]),
        element("features", "", [_support(feature) for feature in capabilities.features]),
    ]
    return element("domainCapabilities", "", parts)


def _loader(loaders: tuple[str, ...] | None) -> Made:
    """hvmloader is the guest's ROM; OVMF libvirt calls pflash."""
    if loaders is None:
        return element("loader", supported="no")
    kinds = [kind for kind, is_rom in (("rom", True), ("pflash", False)) if is_rom in map(_is_rom, loaders)]
    return element(
        "loader",
        "",
        [
            *(element("value", path) for path in loaders),
            _choice(Choice("type", tuple(kinds))),
            _choice(Choice("readonly", ("yes",))),
        ],
        supported="yes",
    )


def _is_rom(path: str) -> bool:
    return path.endswith("hvmloader")


def _support(support: Support) -> Made:
    return element(
        support.name,
        "",
        [_choice(choice) for choice in support.choices],
        supported="yes" if support.supported else "no",
    )


def _choice(choice: Choice) -> Made:
    return element("enum", "", [element("value", value) for value in choice.values], name=choice.name)


def read(document: Asked) -> DomainCapabilities:
    """The document's values."""
    path, domain, machine, arch = map(document.need, ("path", "domain", "machine", "arch"))
    if domain.content != "xen":
        domain.fail(f"expected xen, found {domain.content[:40]!r}")
    try:
        kind = guest_type(machine.content)
    except ValueError:
        kind = None
    if kind is None:
        machine.fail(f"expected {' or '.join(MACHINES.values())}, found {machine.content[:40]!r}")
    vcpu, loader = document.find("vcpu"), document.find("os", "loader")
    loaders = None
    if loader is not None and loader.word("supported", ("yes", "no")) == "yes":
        loaders = tuple(value.content for value in loader.all("value"))
    return DomainCapabilities(
        path.content or path.fail("expected a path"),
        kind,
        arch.content or arch.fail("expected the name of an architecture"),
        None if vcpu is None else vcpu.number("max"),
        loaders,
        _read_supports(document.find("devices")),
        _read_supports(document.find("features")),
    )


def _read_supports(group: Asked | None) -> tuple[Support, ...]:
    if group is None:
        return ()
    return tuple(
        Support(
            support.name,
            support.word("supported", ("yes", "no")) == "yes",
            tuple(
                Choice(
                    choice.attributes.get("name") or choice.fail("name: expected a word, found nothing"),
                    tuple(value.content for value in choice.all("value")),
                )
                for choice in support.all("enum")
            ),
        )
        for support in group.children
    )
