"""The Xen Store through the connection."""

from __future__ import annotations

from typing import Any

import pytest

from purevirt.errors import LocalProtocolError, NoSuchNode, ReadOnly

from .conftest import Caller, Facts

HOME = "/local/domain/0/data/purevirt-contract"


def test_a_domains_name_can_be_read(do: Caller, either: Any, facts: Facts) -> None:
    assert do(either.store.read, f"/local/domain/{facts.pv.domid}/name") == facts.pv.name


def test_nodes_can_be_written_listed_and_removed(do: Caller, rw: Any) -> None:
    store = rw.store
    try:
        do(store.write, f"{HOME}/b", "two")
        do(store.write, f"{HOME}/a", "bytes: \udcff and ünïcode")
        assert do(store.list, HOME) == ["a", "b"]
        assert do(store.read, f"{HOME}/a") == "bytes: \udcff and ünïcode"
    finally:
        do(store.remove, HOME)
    with pytest.raises(NoSuchNode) as caught:
        do(store.read, f"{HOME}/a")
    assert caught.value.path == f"{HOME}/a"


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("write", ("/local/domain/0/data/x", "1")),
        ("mkdir", ("/local/domain/0/data/x",)),
        ("remove", ("/local/domain/0/data/x",)),
    ],
)
def test_read_only_every_change_is_refused_in_the_library(
    do: Caller, ro: Any, method: str, arguments: tuple[str, ...]
) -> None:
    with pytest.raises(ReadOnly) as caught:
        do(getattr(ro.store, method), *arguments)
    assert caught.value.exit_status == 4


def test_a_path_that_is_none_is_refused_before_it_is_sent(do: Caller, either: Any) -> None:
    with pytest.raises(LocalProtocolError, match="no XenStore path"):
        do(either.store.read, "/a b")
