"""What may be a path, one by one and in batches."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import LocalProtocolError
from purevirt.wire.xenstore import check_path, is_special, is_valid_path
from purevirt.wire.xenstore.paths import check_paths

# The rule once more, in other words: the code deletes characters, this one matches them.
RULE = re.compile(rb"/|/?[A-Za-z0-9\-_@]+(?:/[A-Za-z0-9\-_@]+)*")

anything = st.text(alphabet="ab0-_@/ \0é.", max_size=12)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/local/domain/0/name",
        "relative/path",
        "@introduceDomain",
        "/a@b",
        "a",
        "/" + "x" * 3071,
        "x" * 2048,
    ],
)
def test_paths(path: str) -> None:
    assert check_path(path) == path.encode()
    assert check_path(path.encode()) == path.encode()
    assert check_paths([path, path]) == [path.encode()] * 2


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("", "it is empty"),
        ("/a/", "ends with a slash"),
        ("/a//b", "an empty part"),
        ("//", "ends with a slash"),
        ("/a b", "allowed are letters"),
        ('/a"b', "allowed are letters"),
        ("/a.b", "allowed are letters"),
        ("/a\0b", "allowed are letters"),
        ("/ünïcode", "ASCII letters"),
        (b"/\xff", "allowed are letters"),
        ("/" + "x" * 3072, "3073 bytes, more than 3072"),
        ("x" * 2049, "2049 bytes, more than 2048"),
    ],
)
def test_what_is_no_path_is_told_why(path: str | bytes, why: str) -> None:
    for attempt in (
        lambda: check_path(path),
        lambda: check_paths(["/fine", path]),
        lambda: check_paths([path]),
    ):
        with pytest.raises(LocalProtocolError, match=why):
            attempt()


@given(anything)
def test_the_fast_rule_is_the_rule(path: str) -> None:
    raw = path.encode("utf-8")
    assert is_valid_path(raw) == (RULE.fullmatch(raw) is not None)


@given(st.lists(anything, max_size=4))
def test_a_batch_is_judged_as_its_members_are(paths: list[str]) -> None:
    valid = all(RULE.fullmatch(path.encode("utf-8")) for path in paths)
    if valid:
        assert check_paths(paths) == [path.encode() for path in paths]
    else:
        with pytest.raises(LocalProtocolError):
            check_paths(paths)


def test_a_batch_may_mix_text_and_bytes_and_be_empty() -> None:
    assert check_paths(["/a", b"/b"]) == [b"/a", b"/b"]
    assert check_paths(iter(())) == []


def test_special_names_begin_with_an_at_sign() -> None:
    assert is_special(b"@releaseDomain")
    assert not is_special(b"/a@b")
