"""Our named tuples at run time behave as typing's do."""

from __future__ import annotations

import pickle
import typing

import pytest

from purevirt._typing import NamedTuple


class Ours(NamedTuple):
    """A point."""

    x: int
    y: int = 2
    name: str | None = None

    @property
    def total(self) -> int:
        """The sum."""
        return self.x + self.y


class Theirs(typing.NamedTuple):
    """A point."""

    x: int
    y: int = 2
    name: str | None = None


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ((1,), {}),
        ((1, 5), {}),
        ((1, 5, "n"), {}),
        ((), {"x": 1}),
        ((1,), {"name": "n"}),
        ((), {"y": 3, "x": 1}),
    ],
)
def test_made_alike(values: tuple[typing.Any, ...], named: dict[str, typing.Any]) -> None:
    ours, theirs = Ours(*values, **named), Theirs(*values, **named)
    assert tuple(ours) == tuple(theirs)
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert ours._asdict() == theirs._asdict()
    assert tuple(ours._replace(y=9)) == tuple(theirs._replace(y=9))


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, 2, "n", 4), {}), ((1,), {"x": 1}), ((1,), {"no": 1}), ((), {"y": 1})]
)
def test_refused_alike(values: tuple[typing.Any, ...], named: dict[str, typing.Any]) -> None:
    for cls in (Ours, Theirs):
        with pytest.raises(TypeError):
            cls(*values, **named)


def test_it_is_a_tuple_with_names_and_nothing_to_change() -> None:
    point = Ours(1)
    assert (point.x, point.y, point.total, point[0], len(point)) == (1, 2, 3, 1, 3)
    assert isinstance(point, tuple)
    assert Ours._fields == Theirs._fields
    assert Ours._field_defaults == Theirs._field_defaults
    assert Ours.__doc__ == "A point."
    assert hash(point) == hash((1, 2, None))
    assert not hasattr(point, "__dict__")
    with pytest.raises(AttributeError):
        point.x = 5  # type: ignore[misc]
    with pytest.raises(AttributeError):
        point.other = 5  # type: ignore[attr-defined]


def test_it_is_matched_pickled_and_made_from_sequences() -> None:
    point = Ours._make([1, 2, "n"])
    match point:
        case Ours(x, y, name):
            assert (x, y, name) == (1, 2, "n")
    assert pickle.loads(pickle.dumps(point)) == point
    assert type(pickle.loads(pickle.dumps(point))) is Ours
    with pytest.raises(TypeError):
        Ours._make([1])
    with pytest.raises((TypeError, ValueError)):
        point._replace(no=1)  # type: ignore[call-arg]
