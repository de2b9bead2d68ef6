"""What we need of `typing`, without its price at run time.

`typing` is a third of what a short program imports (it brings `re`, `contextlib` and more along), and each
`typing.NamedTuple` compiles code when its class is made. Nothing of that is needed to run. So the modules that
`purevirt list` loads take these names from here: a type checker sees the real ones, a running program stand-ins.

`NamedTuple` is the only one that does something: tuples with named fields, defaults, `_fields`, `_asdict`, `_make`
and `_replace`, as `collections.namedtuple` makes them. Making the class costs a tenth of it; making an instance
from positional arguments about the same.
"""

from __future__ import annotations

TYPE_CHECKING = False

if TYPE_CHECKING:
    from typing import Any, ClassVar, Generic, Literal, NamedTuple, NoReturn, Protocol, Self, TypeVar
else:
    from _collections import (
        _tuplegetter,  # what collections.namedtuple uses: an attribute at the price of an index
    )

    Any = ClassVar = Literal = NoReturn = Self = None  # in annotations only, which are never evaluated

    def TypeVar(name, **options):  # noqa: N802 - stands for the class
        """In annotations only."""
        return

    class Protocol:
        """A class like any other, at run time."""

        def __class_getitem__(cls, parameters):
            return cls

    class Generic:
        """Takes parameters and forgets them."""

        def __class_getitem__(cls, parameters):
            return cls

    class _NamedTupleType(type):
        def __new__(mcs, name, bases, namespace):
            if not bases:
                return super().__new__(mcs, name, bases, namespace)
            fields = tuple(namespace.get("__annotations__", ()))
            defaults = {field: namespace.pop(field) for field in fields if field in namespace}
            for index, field in enumerate(fields):
                namespace[field] = _tuplegetter(index, None)
            namespace.update(
                __slots__=(),
                __match_args__=fields,
                _fields=fields,
                _field_defaults=defaults,
                __new__=_constructor(name, fields, defaults),
                __repr__=_repr,
                __getnewargs__=_getnewargs,
                _asdict=_asdict,
                _make=classmethod(_make),
                _replace=_replace,
            )
            return type(name, (tuple,), namespace)

    class NamedTuple(metaclass=_NamedTupleType):
        """Base of the classes that are made here; they are tuples, and no subclasses of it."""

    def _constructor(name, fields, defaults):
        count = len(fields)
        make = tuple.__new__

        def new(cls, *values, **named):
            if not named and len(values) == count:
                return make(cls, values)
            if len(values) > count:
                raise TypeError(f"{name} takes {count} values, not {len(values)}")
            rest = []
            for field in fields[len(values) :]:
                if field in named:
                    rest.append(named.pop(field))
                elif field in defaults:
                    rest.append(defaults[field])
                else:
                    raise TypeError(f"{name} lacks {field!r}")
            if named:
                raise TypeError(f"{name} does not take {', '.join(map(repr, named))}")
            return make(cls, (*values, *rest))

        return new

    def _repr(self):
        inner = ", ".join(f"{field}={value!r}" for field, value in zip(self._fields, self, strict=True))
        return f"{type(self).__name__}({inner})"

    def _getnewargs(self):
        return tuple(self)

    def _asdict(self):
        """The fields by name."""
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changes):
        """The same with some fields changed. ValueError for a name that is no field."""
        values = [changes.pop(field, value) for field, value in zip(self._fields, self, strict=True)]
        if changes:
            raise ValueError(f"{type(self).__name__} has no {', '.join(map(repr, changes))}")
        return tuple.__new__(type(self), values)

    def _make(cls, values):
        """From a sequence of as many values as there are fields."""
        made = tuple.__new__(cls, values)
        if len(made) != len(cls._fields):
            raise TypeError(f"{cls.__name__} takes {len(cls._fields)} values, not {len(made)}")
        return made


__all__ = [
    "TYPE_CHECKING",
    "Any",
    "ClassVar",
    "Generic",
    "Literal",
    "NamedTuple",
    "NoReturn",
    "Protocol",
    "Self",
    "TypeVar",
]
