"""Error replies and what they become."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt import errors
from purevirt.wire.xenstore import ERRNOS, error_payload, exception_of


@pytest.mark.parametrize("name", ERRNOS)
def test_every_errno_becomes_an_exception_that_says_where_and_what(name: str) -> None:
    error = exception_of(error_payload(name), operation="read", path="/a")
    assert isinstance(error, errors.OperationError)
    assert (error.operation, error.path, error.channel) == ("read", "/a", "store")
    assert error.errno == getattr(errno, name)
    assert error.errno_name == name
    assert "/a" in str(error) or name == "ENOSYS"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ENOENT", errors.NoSuchNode),
        ("EEXIST", errors.NodeExists),
        ("EACCES", errors.Denied),
        ("EPERM", errors.Denied),
        ("EROFS", errors.ReadOnly),
        ("EAGAIN", errors.TransactionConflict),
        ("E2BIG", errors.QuotaExceeded),
        ("ENOSPC", errors.QuotaExceeded),
        ("ENOSYS", errors.Unsupported),
        ("EINVAL", errors.StoreError),
    ],
)
def test_situations_have_classes(name: str, expected: type[errors.XenError]) -> None:
    assert type(exception_of(error_payload(name), operation="x")) is expected


@given(st.binary(max_size=30))
def test_any_payload_becomes_an_exception(payload: bytes) -> None:
    assert isinstance(exception_of(payload, operation="read"), errors.XenError)


def test_an_error_that_is_none_is_the_servers_fault() -> None:
    assert isinstance(exception_of(b"EWHAT\0", operation="read"), errors.RemoteProtocolError)
