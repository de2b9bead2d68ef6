"""Permissions: a letter and a domain id."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import LocalProtocolError, RemoteProtocolError
from purevirt.wire.xenstore import Permission, format_permissions, parse_permissions

entries = st.lists(
    st.builds(Permission, st.sampled_from("nrwb"), st.integers(0, 0x7FFF)), min_size=1, max_size=5
)


@given(entries)
def test_what_is_written_is_read_again(permissions: list[Permission]) -> None:
    assert parse_permissions(format_permissions(permissions)) == tuple(permissions)


@pytest.mark.parametrize("text", ["", "r", "x0", "r-1", "r32768", "r0x1", "r 1", "r1\0", "rr1", "r٣"])
def test_what_is_no_permission_is_refused(text: str) -> None:
    with pytest.raises(LocalProtocolError, match="no permission"):
        Permission.parse(text)


def test_a_node_has_an_owner() -> None:
    with pytest.raises(LocalProtocolError, match="at least one"):
        format_permissions([])


@given(st.binary(max_size=40))
def test_any_reply_is_permissions_or_the_one_error(payload: bytes) -> None:
    try:
        got = parse_permissions(payload)
    except RemoteProtocolError:
        return
    assert all(entry.access in "nrwb" for entry in got)
