"""Elements of other programs in a description, one for each namespace, as `virDomainSetMetadata` has them. Pure.

A description has them as XML text (`DomainDescription.metadata`); `binding` reads and writes them there.
"""

from __future__ import annotations

import re

from purevirt.errors import ConfigError
from purevirt.formats.xml import Tree, parse
from purevirt.formats.xml.making import quoted

__all__ = ["element_of", "with_element"]


def element_of(metadata: tuple[str, ...], uri: str) -> str | None:
    """The element of a namespace, as XML; None: there is none."""
    return next((text for text in metadata if _kept_for(text) == uri), None)


def with_element(
    metadata: tuple[str, ...], uri: str, element: str | None, key: str | None
) -> tuple[str, ...]:
    """With this element as the namespace's only one, or, if it is None, with none of it.

    An element that says no namespace is put into this one, with `key` as its prefix. ConfigError: it is not one element
    of XML, or is another namespace's.
    """
    others = tuple(text for text in metadata if _kept_for(text) != uri)
    return others if element is None else (*others, _within(element, uri, key))


def _within(text: str, uri: str, key: str | None) -> str:
    if not uri:
        raise ConfigError("a namespace is expected, not an empty text")
    text = text.strip()
    tree = parse(text, file="metadata")
    if tree.source(tree.root) != text:
        raise tree.error("expected one element, and nothing beside it", tree.root)
    said = _namespace(tree)
    if said == uri:
        return text
    prefix, _, local = tree.root.name.rpartition(":")
    if said is not None or (prefix and key not in (None, prefix)):
        raise tree.error(f"<{tree.root.name}> is not of the namespace {uri}", tree.root)
    prefix = prefix or key or ""
    name = f"{prefix}:{local}" if prefix else local
    rest = text[1 + len(tree.root.name) :]
    rest = re.sub(rf"</{re.escape(tree.root.name)}(\s*)>\Z", lambda end: f"</{name}{end[1]}>", rest)
    made = f"<{name} xmlns{':' if prefix else ''}{prefix}={quoted(uri)}{rest}"
    if _namespace(parse(made, file="metadata")) != uri:
        raise ConfigError(f"{key!r} is no prefix of a namespace")
    return made


def _kept_for(text: str) -> str | None:
    try:
        return _namespace(parse(text))
    except ConfigError:  # other formats can carry what is no XML
        return None


def _namespace(tree: Tree) -> str | None:
    prefix, _, _ = tree.root.name.rpartition(":")
    return tree.root.attributes.get(f"xmlns:{prefix}" if prefix else "xmlns") or None
