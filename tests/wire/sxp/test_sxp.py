"""S-expressions: tables of what xend reads and writes, splits anywhere, and any bytes at all."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import LocalProtocolError, RemoteProtocolError
from purevirt.wire import sxp
from purevirt.wire.sxp import Node, Parser, Value

READ: list[tuple[bytes, list[Node]]] = [
    (b"", []),
    (b" \t\n\v\f\r", []),
    (b"atom", ["atom"]),
    (b"()", [[]]),
    (b"(())", [[[]]]),
    (b"(name pv1)", [["name", "pv1"]]),
    (b"(ls  node domain vnet)''", [["ls", "node", "domain", "vnet"], ""]),
    (b"(a(b)c)", [["a", ["b"], "c"]]),
    (b"a{b;c<d", ["a", "{b", ";c", "<d"]),
    (b"don't 'a b'\"c'd\"", ["don't", "a b", "c'd"]),
    (b"a # gone ( ' \nb", ["a", "b"]),
    (b"a#gone", ["a"]),
    (rb"'\a\b\t\n\v\f\r\\\'\"'", ["\a\b\t\n\v\f\r\\'\""]),
    (rb"'\x41\x7e\101\7z\0'", ["A~A\7z\0"]),
    (rb"'\377\xff'", ["\udcff\udcff"]),
    (rb"'\xc3\xa9' " + "é".encode(), ["é", "é"]),
    (rb"'\qrs'", ["\\rs"]),
    (b"a\x04 ( ' )", ["a"]),
    (b"(a) # \x04 (", [["a"]]),
    (b"(vm (@ (x 1)) b)", [["vm", ["@", ["x", "1"]], "b"]]),
    (b"12 -3 4.5 '6'", ["12", "-3", "4.5", "6"]),
]


@pytest.mark.parametrize(("data", "values"), READ, ids=[repr(data) for data, _ in READ])
def test_what_xend_reads(data: bytes, values: list[Node]) -> None:
    assert sxp.parse(data) == values
    assert feed_bytes(Parser(), data) == values


BROKEN = [
    (b")", "never began", 0),
    (b"(a))", "never began", 3),
    (b"(a", "within a list", 2),
    (b"((a)", "within a list", 4),
    (b"'a", "within a string", 2),
    (b"\"a'", "within a string", 3),
    (b"'a\\", "within a string", 3),
    (b"'a\x04'", "within a string", 2),
    (b"'a\\\x04", "within a string", 3),
    (b"(a\x04)", "within a list", 2),
    (rb"'\xg0'", "two hexadecimal digits", 3),
    (rb"'\x1'", "two hexadecimal digits", 4),
    (rb"'\400'", "at most", 4),
    (b"(" * 129, "nested deeper than 128", 128),
]


def feed_bytes(parser: Parser, data: bytes) -> list[Node]:
    got: list[Node] = []
    for index in range(len(data)):
        got += parser.feed(data[index : index + 1])
    return got + parser.close()


@pytest.mark.parametrize(("data", "words", "offset"), BROKEN, ids=[repr(data)[:20] for data, _, _ in BROKEN])
def test_what_is_broken_is_named_with_its_offset(data: bytes, words: str, offset: int) -> None:
    with pytest.raises(RemoteProtocolError, match=words) as caught:
        sxp.parse(data)
    assert caught.value.detail == str(offset)
    assert f"(byte {offset})" in str(caught.value)
    parser = Parser()
    with pytest.raises(RemoteProtocolError, match=words) as again:
        feed_bytes(parser, data)
    assert again.value.detail == str(offset)
    for _ in range(2):
        with pytest.raises(RemoteProtocolError, match=words):
            parser.feed(b"a")
        with pytest.raises(RemoteProtocolError, match=words):
            parser.close()


def test_what_came_before_the_broken_byte_is_delivered_first() -> None:
    parser = Parser()
    assert parser.feed(b"(a) b ) c") == [["a"], "b"]
    with pytest.raises(RemoteProtocolError, match="never began"):
        parser.feed(b"(d)")


def test_exactly_one_expression_can_be_asked_for() -> None:
    assert sxp.parse_one(b" (a b)\n") == ["a", "b"]
    for data in (b"", b"# nothing", b"(a) (b)"):
        with pytest.raises(RemoteProtocolError, match="not one S-expression"):
            sxp.parse_one(data)


def test_an_expression_may_not_grow_without_bound() -> None:
    parser = Parser(max_size=100)
    assert parser.feed(b"(a) " * 100) == [["a"]] * 100
    assert parser.feed(b"(a " * 1) == []
    with pytest.raises(RemoteProtocolError, match="longer than 100"):
        feed_bytes(parser, b"bbbbbbbb " * 20)


def test_pending_says_whether_an_expression_has_begun() -> None:
    parser = Parser()
    for data, pending in (
        (b" ", False),
        (b"a", True),
        (b" #", False),
        (b"x\n(", True),
        (b")", False),
        (b"'", True),
    ):
        parser.feed(data)
        assert parser.pending is pending, data


@pytest.mark.parametrize("unit", [b"(" + b"a " * 50 + b") ", b"'a\\n" + b"b" * 90 + b"' ", b"x" * 99 + b" "])
def test_reading_takes_time_in_proportion(unit: bytes) -> None:
    """A megabyte in pieces of 16 bytes: quadratic work would take minutes, the test's own limit is its judge."""
    data = b"(" + unit * (1_000_000 // len(unit)) + b"'" + b"y" * 1_000_000 + b"')"
    started = time.process_time()
    parser = Parser()
    got: list[Node] = []
    for index in range(0, len(data), 16):
        got += parser.feed(data[index : index + 16])
    assert len(got) == 1
    assert time.process_time() - started < 20


WRITTEN: list[tuple[Value, str]] = [
    ("", "''"),
    ("pv1", "pv1"),
    ("@", "@"),
    ("@@", "'@@'"),
    ("a.b-c_d:e/f~g", "a.b-c_d:e/f~g"),
    ("a b", "'a b'"),
    ("it's", '"it\'s"'),
    ('it\'s "it"', "'it\\'s \"it\"'"),
    ('say "x"', "'say \"x\"'"),
    ("#1", "'#1'"),
    ("a\\b", r"'a\\b'"),
    ("\t\n\r\0\x7f", r"'\t\n\r\x00\x7f'"),
    ("é", r"'\xc3\xa9'"),
    ("\udcff", r"'\xff'"),
    ("virt_start=0xffff800000000000", "'virt_start=0xffff800000000000'"),
    (" ro root=/dev/xvda", "' ro root=/dev/xvda'"),
    (0, "0"),
    (-7, "-7"),
    (2**63 - 1, "9223372036854775807"),
    (2**63, "'9223372036854775808'"),
    (0.049201931, "0.049201931"),
    (1795355729.6341, "1795355729.63"),
    (2.0, "2.0"),
    (-3.0, "-3.0"),
    (1e16, "1e+16"),
    (True, "True"),
    (False, "False"),
    (None, "'None'"),
    ([], "()"),
    ((), "()"),
    ([[]], "(())"),
    (["name", "pv1"], "(name pv1)"),
    (["cpus", [[0, 1], []]], "(cpus ((0 1) ()))"),
    ("{'cap': 0, 'weight': 256}", "\"{'cap': 0, 'weight': 256}\""),
]


@pytest.mark.parametrize(("value", "written"), WRITTEN, ids=[written for _, written in WRITTEN])
def test_what_xend_writes(value: Value, written: str) -> None:
    assert sxp.text(value) == written
    assert sxp.encode(value) == written.encode()


def test_what_cannot_be_written_is_refused() -> None:
    with pytest.raises(LocalProtocolError, match="no bytes"):
        sxp.encode("\ud800")
    deep: list[Value] = []
    for _ in range(128):
        deep = [deep]
    with pytest.raises(LocalProtocolError, match="nested deeper"):
        sxp.encode(deep)
    assert sxp.parse(sxp.encode(deep[0])) == [deep[0]]


DOMAIN = sxp.parse_one(
    b"(domain (domid 3) (name 'a b') (image (linux (kernel /k))) (memory '64') (cpu_time 1.5) (cpus (0)) (empty)"
    b" (device (vbd (dev xvda))) (device (vif (mac m))) (name second) (x inf) (y 1_0))"
)


def test_lookups_take_the_first_match() -> None:
    assert sxp.head(DOMAIN) == "domain"
    assert sxp.head("domain") is sxp.head([]) is sxp.head([["a"]]) is None
    assert sxp.value(DOMAIN, "name") == "a b"
    assert sxp.value(DOMAIN, "image", "linux", "kernel") == "/k"
    assert sxp.value(DOMAIN, "image") is sxp.value(DOMAIN, "cpus") is sxp.value(DOMAIN, "empty") is None
    assert (
        sxp.value(DOMAIN, "image", "hvm", "kernel") is sxp.value("atom", "name") is sxp.value(DOMAIN) is None
    )
    assert sxp.child(DOMAIN, "domid") == ["domid", "3"]
    assert sxp.child(DOMAIN, "nothing") is None
    assert [sxp.head(device[1]) for device in sxp.children(DOMAIN, "device")] == ["vbd", "vif"]


def test_numbers_may_be_quoted() -> None:
    assert sxp.number(DOMAIN, "domid") == 3
    assert sxp.number(DOMAIN, "memory") == 64
    assert sxp.number(DOMAIN, "cpu_time") == 1.5
    assert [sxp.number(DOMAIN, key) for key in ("name", "cpus", "nothing", "x", "y")] == [None] * 5


values = st.recursive(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers()
    | st.floats(allow_nan=False)
    | st.booleans(),
    lambda inner: st.lists(inner, max_size=5),
    max_leaves=25,
)


def as_read(value: Value) -> Node:
    """What a parser makes of a value: the text of everything that is no list."""
    if isinstance(value, (list, tuple)):
        return [as_read(element) for element in value]
    return value if isinstance(value, str) else sxp.text(value).strip("'")


def feed(data: bytes, cuts: list[int]) -> tuple[list[Node], str | None]:
    """Everything that comes out, and the error that it ends with."""
    parser = Parser()
    got: list[Node] = []
    try:
        start = 0
        for cut in [*sorted(cuts), len(data)]:
            got += parser.feed(data[start:cut])
            start = max(start, min(cut, len(data)))
        got += parser.close()
        parser.feed(b"")
    except RemoteProtocolError as error:
        return got, str(error)
    return got, None


@given(st.lists(values, max_size=4), st.lists(st.integers(0, 400), max_size=8))
def test_what_is_written_can_be_read_split_anywhere(written: list[Value], cuts: list[int]) -> None:
    data = b"\n".join(sxp.encode(value) for value in written)
    assert feed(data, cuts) == ([as_read(value) for value in written], None)


sxp_like = st.lists(
    st.sampled_from(
        [b"(", b")", b"'", b'"', b"\\", b"x4", b"17", b" ", b"#", b"\n", b"\x04", b"a", b"{", b"\xff"]
    )
).map(b"".join)


@given(st.binary(max_size=200) | sxp_like, st.lists(st.integers(0, 200), max_size=8))
def test_any_bytes_give_values_or_the_one_error(data: bytes, cuts: list[int]) -> None:
    got, error = feed(data, cuts)
    assert (got, error) == feed(data, [])
    if error is None:
        assert sxp.parse(data) == got
        again = b" ".join(sxp.encode(value) for value in got)
        assert sxp.parse(again) == got  # any bytes that were read can be written
    else:
        with pytest.raises(RemoteProtocolError):
            sxp.parse(data)
