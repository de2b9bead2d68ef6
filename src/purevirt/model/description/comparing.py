"""Where two descriptions differ, and one value of a description by its path.

A path is what a program would write: "memory.max_kib", "disks[xvda].discard", "cpus.numa[0].distances". In brackets
stands an item's `key` where its class has one, else its index; letters that are not those of a name, a path or an
address are written as in a URL.
"""

from __future__ import annotations

from collections.abc import Iterator

from purevirt._typing import Any, NamedTuple

__all__ = ["Difference", "Item", "differences", "steps", "value_at", "with_value"]

_BARE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:*/+-")


class Difference(NamedTuple):
    """One value that is not the same. An item that is only in the first, or only in the second, has None for the
    other."""

    path: str
    old: object
    new: object


def differences(old: Any, new: Any) -> list[Difference]:
    """Every value in which two descriptions (or two records of one class) differ, as deep as it can be told.

    Items of a tuple are compared by their keys. Where items of `old` are not, in their order, the beginning of `new` or
    what is left of `old` in it, the tuple is one difference.
    """
    return list(_records(old, new, "")) if old != new else []


def value_at(description: Any, path: str) -> object:
    """The value at a path. LookupError if there is no such field or item."""
    value = description
    for step in steps(path):
        value = _child(value, step, path)[1]
    return value


def with_value(description: Any, path: str, value: object) -> Any:
    """The description with another value at a path.

    An item that is not there is added at the end; one whose value is None is taken away. LookupError for a path that
    leads nowhere.
    """
    return _replaced(description, steps(path), value, path)


# --- differences


def _records(old: Any, new: Any, prefix: str) -> Iterator[Difference]:
    for name, before, after in zip(old._fields, old, new, strict=True):
        if before != after:
            yield from _values(before, after, prefix + name)


def _values(old: Any, new: Any, path: str) -> Iterator[Difference]:
    if _is_record(old) and _is_record(new):
        yield from _records(old, new, path + ".")
        return
    if _are_records(old) and _are_records(new) and old + new:
        keys, others = _keys(old), _keys(new)
        if keys is not None and others is not None:
            staying = set(others)
            kept = tuple(key for key in keys if key in staying)
            added = others[len(kept) :]
            if others[: len(kept)] == kept and not set(added) & set(keys):
                yield from _items(
                    dict(zip(keys, old, strict=True)), dict(zip(others, new, strict=True)), path
                )
                return
    yield Difference(path, old, new)


def _items(old: dict[str, Any], new: dict[str, Any], path: str) -> Iterator[Difference]:
    for key, item in old.items():
        other = new.get(key)
        if other is not None and item != other:
            yield from _records(item, other, f"{path}[{_written(key)}].")
    for key in reversed(old):  # the last first: an index says the same until its item is gone
        if key not in new:
            yield Difference(f"{path}[{_written(key)}]", old[key], None)
    for key, item in new.items():
        if key not in old:
            yield Difference(f"{path}[{_written(key)}]", None, item)


def _is_record(value: object) -> bool:
    return hasattr(value, "_fields")


def _are_records(value: object) -> bool:
    return isinstance(value, tuple) and not _is_record(value) and all(map(_is_record, value))


def _keys(items: tuple[Any, ...]) -> tuple[str, ...] | None:
    """None if two are alike."""
    keys = tuple(_key(item, index) for index, item in enumerate(items))
    return keys if len(set(keys)) == len(keys) else None


def _key(item: Any, index: int) -> str:
    key = getattr(item, "key", None)
    return str(index) if key is None else str(key)


# --- paths


def _written(key: str) -> str:
    """With letters that are not bare as a URL has them: %XX for each byte of UTF-8."""
    if _BARE.issuperset(key):
        return key
    return "".join(
        letter
        if letter in _BARE
        else "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))
        for letter in key
    )


def _read_key(written: str) -> str:
    plain, *escaped = written.split("%")
    found = bytearray(plain, "utf-8", "surrogatepass")
    for part in escaped:
        found += bytes.fromhex(part[:2]) + part[2:].encode("utf-8", "surrogatepass")
    return found.decode("utf-8", "surrogatepass")


class Item(str):
    """A step into a tuple, by key; a plain str is a field."""

    __slots__ = ()


def steps(path: str) -> list[str]:
    """A path taken apart. LookupError if it is none."""
    found: list[str] = []
    at = 0
    while at < len(path):
        if path[at] == "[":
            end = path.find("]", at)
            try:
                found.append(Item(_read_key(path[at + 1 : max(end, 0)])))
            except ValueError:
                end = -1
            if end < 0:
                raise LookupError(f"{path!r} is no path")
            at = end + 1
        else:
            at += path[at] == "." and bool(found)
            end = at
            while end < len(path) and path[end] not in ".[":
                end += 1
            if end == at:
                raise LookupError(f"{path!r} is no path")
            found.append(path[at:end])
            at = end
    if not found:
        raise LookupError("an empty path")
    return found


def _child(value: Any, step: str, path: str) -> tuple[int, Any]:
    """Where in a record or a tuple a step leads, and what is there."""
    if isinstance(step, Item):
        if _are_records(value):
            for index, item in enumerate(value):
                if _key(item, index) == step:
                    return index, item
    elif step in getattr(value, "_fields", ()):
        index = value._fields.index(step)
        return index, value[index]
    raise LookupError(f"there is no {path}")


def _replaced(value: Any, steps: list[str], new: object, path: str) -> Any:
    if not steps:
        return new
    step, *rest = steps
    if isinstance(step, Item) and not rest and _are_records(value) and step not in (_keys(value) or ()):
        return value if new is None else (*value, new)
    index, child = _child(value, step, path)
    inner = _replaced(child, rest, new, path)
    if not isinstance(step, Item):
        return value._replace(**{step: inner})
    return (*value[:index], *(() if inner is None else (inner,)), *value[index + 1 :])
