"""Payloads of every operation, both ways."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import LocalProtocolError, RemoteProtocolError
from purevirt.wire.xenstore import Permission
from purevirt.wire.xenstore import messages as m


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (m.control_request("log", "on"), b"log\0on\0"),
        (m.control_request("check"), b"check\0"),
        (m.path_request("/a"), b"/a\0"),
        (m.watch_request("/a", "token"), b"/a\0token\0"),
        (m.watch_request("@releaseDomain", "t", 1), b"@releaseDomain\0t\x001\0"),
        (m.NOTHING, b"\0"),
        (m.transaction_end_request(True), b"T\0"),
        (m.transaction_end_request(False), b"F\0"),
        (m.introduce_request(3, 1234, 5), b"3\x001234\x005\0"),
        (m.introduce_request(3, 2**64 - 1, 5), b"3\0-1\x005\0"),
        (m.domid_request(7), b"7\0"),
        (m.write_request("/a", b"\0\xff"), b"/a\0\0\xff"),
        (m.write_request("/a", "é\udcff"), b"/a\0\xc3\xa9\xff"),
        (m.set_perms_request("/a", [Permission("n", 0), Permission("r", 5)]), b"/a\0n0\0r5\0"),
        (m.set_target_request(4, 3), b"4\x003\0"),
        (m.directory_part_request("/a", 4096), b"/a\x004096\0"),
        (m.get_feature_request(), b""),
        (m.get_feature_request(3), b"3\0"),
        (m.set_feature_request(3, 7), b"3\x007\0"),
        (m.get_quota_request(), b""),
        (m.get_quota_request("nodes"), b"nodes\0"),
        (m.get_quota_request("nodes", 3), b"3\0nodes\0"),
        (m.set_quota_request("nodes", 500), b"nodes\x00500\0"),
        (m.set_quota_request("nodes", 0, 3), b"3\0nodes\x000\0"),
    ],
)
def test_requests_are_what_the_specification_says(payload: bytes, expected: bytes) -> None:
    assert payload == expected


@pytest.mark.parametrize(
    ("build", "why"),
    [
        (lambda: m.write_request("/a", bytes(4094)), "at most 4093 fit"),
        (lambda: m.write_request("/a b", b""), "no XenStore path"),
        (lambda: m.watch_request("/a", "a\0b"), "cannot hold a NUL"),
        (lambda: m.watch_request("/a", "t", -1), "at least 0"),
        (lambda: m.domid_request(-1), "no domain id"),
        (lambda: m.domid_request(65536), "no domain id"),
        (lambda: m.introduce_request(1, 2**64, 1), "no frame number"),
        (lambda: m.introduce_request(1, 1, -1), "no event channel"),
        (lambda: m.set_perms_request("/a", []), "at least one"),
        (lambda: m.set_quota_request("", 1), "has a name"),
        (lambda: m.set_quota_request("nodes", -1), "no quota"),
        (lambda: m.get_quota_request(None, 3), "by name"),
        (lambda: m.control_request("a\0b"), "cannot hold a NUL"),
    ],
)
def test_what_the_protocol_cannot_carry_is_refused_before_it_is_sent(
    build: Callable[[], bytes], why: str
) -> None:
    with pytest.raises(LocalProtocolError, match=why):
        build()


def test_a_value_may_fill_the_packet() -> None:
    assert len(m.write_request("/a", bytes(4093))) == 4096


def test_replies_are_understood() -> None:
    m.expect_ok(b"OK\0")
    assert m.parse_bool(b"T\0")
    assert not m.parse_bool(b"F\0")
    assert m.parse_number(b"4294967295\0") == 2**32 - 1
    assert m.parse_string(b"/local/domain/3\0") == "/local/domain/3"
    assert m.parse_string(b"no NUL") == "no NUL"
    assert m.parse_children(b"") == []
    assert m.parse_children(b"a\0b\0") == ["a", "b"]
    assert m.parse_watch_event(b"/a\0token\0") == m.WatchEvent("/a", "token")
    assert m.parse_watch_event(b"/a\0token\0more\0") == m.WatchEvent("/a", "token")


def test_parts_of_a_directory_end_with_an_empty_name() -> None:
    assert m.parse_directory_part(b"12\0a\0b\0") == m.DirectoryPart(b"12", b"a\0b\0", 4, False)
    assert m.parse_directory_part(b"12\0c\0\0") == m.DirectoryPart(b"12", b"c\0", 3, True)
    assert m.parse_directory_part(b"12\0\0") == m.DirectoryPart(b"12", b"", 1, True)


PARSERS: list[Callable[[bytes], object]] = [
    m.expect_ok,
    m.parse_bool,
    m.parse_number,
    m.parse_string,
    m.parse_children,
    m.parse_directory_part,
    m.parse_watch_event,
]


@pytest.mark.parametrize("parse", PARSERS)
@given(
    payload=st.binary(max_size=40) | st.lists(st.sampled_from([b"\0", b"1", b"T", b"a", b"OK"])).map(b"".join)
)
def test_any_reply_is_understood_or_the_one_error(parse: Callable[[bytes], object], payload: bytes) -> None:
    with suppress(RemoteProtocolError):
        parse(payload)


@pytest.mark.parametrize("payload", [b"", b"1", b"\0", b"-1\0", b"4294967296\0", b"1 \0", b"12345678901\0"])
def test_what_is_no_number_is_refused(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="a number"):
        m.parse_number(payload)


def test_servers_split_what_clients_build() -> None:
    assert m.split_fields(m.watch_request("/a", "t")) == [b"/a", b"t"]
    assert m.split_fields(m.get_feature_request()) == []
    assert m.split_fields(m.NOTHING) == [b""]
    assert m.split_fields(b"/a") is None
    assert m.parse_children(m.format_children([b"a", b"b"])) == ["a", "b"]
    assert m.parse_watch_event(m.format_watch_event(b"/a", b"t")) == ("/a", "t")
