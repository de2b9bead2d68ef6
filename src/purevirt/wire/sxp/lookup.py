"""Finding things in parsed expressions: `(key value)` pairs below a head, the first match counting.

A list's head is its first element: `(domain (name pv1) (vcpus 2))` has the head "domain" and two children. None of
these raises: whoever reads another's answer decides what a missing value means.
"""

from __future__ import annotations

from collections.abc import Iterator

from purevirt.wire.sxp.parser import Node

__all__ = ["child", "children", "head", "number", "value"]


def head(expression: Node) -> str | None:
    """The first element of a list, if it is text."""
    if isinstance(expression, list) and expression and isinstance(expression[0], str):
        return expression[0]
    return None


def children(expression: Node, key: str) -> Iterator[list[Node]]:
    """Every list within `expression` that has the head `key`, in their order."""
    if isinstance(expression, list):
        for element in expression:
            if isinstance(element, list) and element and element[0] == key:
                yield element


def child(expression: Node, key: str) -> list[Node] | None:
    """The first of the `children`."""
    return next(children(expression, key), None)


def value(expression: Node, *keys: str) -> str | None:
    """What stands after the key, if it is text: value(e, "name") is "pv1". More keys lead inwards, list by list."""
    found: list[Node] | None = None
    for key in keys:
        found = child(expression, key)
        if found is None:
            return None
        expression = found
    if found is None or len(found) < 2:
        return None
    second = found[1]
    return second if isinstance(second, str) else None


def number(expression: Node, *keys: str) -> float | int | None:
    """The same as a number, quoted or not; None if there is none, or it is no finite number."""
    plain = value(expression, *keys)
    if plain is None or len(plain) > 40 or not plain.isascii() or "_" in plain:
        return None
    try:
        return int(plain)
    except ValueError:
        pass
    try:
        real = float(plain)
    except ValueError:
        return None
    return real if real - real == 0 else None
