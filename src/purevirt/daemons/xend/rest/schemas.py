"""The model's types as JSON schemas: what `formats.xend_json.encode` makes of their values, told from annotations.

A named tuple becomes a component that is referred to, an enum the list of its members' names in lower case, a handle
the field "uuid". Every field is there in an answer; further ones may come with a later version.
"""

from __future__ import annotations

import enum
import typing
from types import NoneType, UnionType
from uuid import UUID

import purevirt.model as model
import purevirt.model.description as described

__all__ = ["Schemas"]

_PLAIN: dict[object, dict[str, object]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    NoneType: {"type": "null"},
    bytes: {"type": "string", "format": "uuid"},
    UUID: {"type": "string", "format": "uuid"},
}


class Schemas:
    """Makes schemas; `components` holds the records that they refer to."""

    def __init__(self) -> None:
        self.components: dict[str, dict[str, object]] = {}

    def of(self, kind: typing.Any) -> dict[str, object]:
        """The schema of a type. TypeError: it is none that the model has."""
        if kind in _PLAIN:
            return dict(_PLAIN[kind])
        origin, arguments = typing.get_origin(kind), typing.get_args(kind)
        if origin in (UnionType, typing.Union):
            return self._union(arguments)
        if origin is dict:
            more = {} if arguments[1] is typing.Any else self.of(arguments[1])
            return {"type": "object", "additionalProperties": more or True}
        if origin is tuple and arguments[-1] is not Ellipsis:
            items = [self.of(item) for item in arguments]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        if origin in (tuple, list, frozenset):
            return {"type": "array", "items": self.of(arguments[0])}
        if isinstance(kind, type) and issubclass(kind, enum.Enum):
            return {"type": "string", "enum": [member.name.lower() for member in kind]}
        if isinstance(kind, type) and hasattr(kind, "_fields"):
            return self._record(kind)
        raise TypeError(f"{kind!r} has no schema")

    def _union(self, arguments: tuple[typing.Any, ...]) -> dict[str, object]:
        found = [self.of(one) for one in arguments]
        types = [one["type"] for one in found if set(one) == {"type"}]
        return {"type": types} if len(types) == len(found) else {"anyOf": found}

    def _record(self, kind: typing.Any) -> dict[str, object]:
        is_description = kind.__module__.startswith(described.__name__)
        name = f"description.{kind.__name__}" if is_description else kind.__name__
        if name not in self.components:
            self.components[name] = {}  # a record may hold itself
            names = {**vars(described if is_description else model), "UUID": UUID}
            hints = typing.get_type_hints(kind, localns=names)
            fields = {
                ("uuid" if field == "handle" else field): self.of(hints[field]) for field in kind._fields
            }
            self.components[name] = {
                "type": "object",
                "description": (kind.__doc__ or "").strip().splitlines()[0],
                "properties": fields,
                "required": list(fields),
            }
        return {"$ref": f"#/components/schemas/{name}"}
