"""Each operation on nodes: what it answers and what it changes, without transactions, watches or guests."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.daemons.xenstored import Server
from purevirt.wire.xenstore import Op
from tests.daemons.xenstored.talk import Talk

OK = b"OK\0"


def test_a_new_store_holds_what_c_xenstored_puts_there(dom0: Talk) -> None:
    assert dom0.list(b"/") == [b"tool"]
    assert dom0.list(b"/tool") == [b"xenstored"]
    assert dom0.read(b"/tool/xenstored") == b""
    assert dom0.permissions(b"/") == b"n0"


@pytest.mark.parametrize("value", [b"", b"1", b"two words", bytes(range(256)), b"\0", b"x" * 4000])
def test_what_was_written_is_read(dom0: Talk, value: bytes) -> None:
    assert dom0.write(b"/a", value) == OK
    assert dom0.read(b"/a") == value
    assert dom0.write(b"/a", b"other") == OK
    assert dom0.read(b"/a") == b"other"


def test_write_makes_the_parents_it_lacks(dom0: Talk) -> None:
    assert dom0.write(b"/a/b/c", b"1") == OK
    assert dom0.list(b"/") == [b"a", b"tool"]
    assert dom0.list(b"/a") == [b"b"]
    assert dom0.list(b"/a/b") == [b"c"]
    assert dom0.read(b"/a/b") == b""
    assert dom0.read(b"/a/b/c") == b"1"


def test_write_keeps_children_and_permissions(dom0: Talk) -> None:
    dom0.write(b"/a/b")
    dom0.allow(b"/a", b"r0 w5")
    dom0.write(b"/a", b"value")
    assert dom0.list(b"/a") == [b"b"]
    assert dom0.permissions(b"/a") == b"r0 w5"


def test_a_value_of_the_root_can_be_written(dom0: Talk) -> None:
    assert dom0.write(b"/", b"root") == OK
    assert dom0.read(b"/") == b"root"
    assert dom0.list(b"/") == [b"tool"]


def test_new_nodes_inherit_the_permissions_of_their_parent(dom0: Talk) -> None:
    dom0.mkdir(b"/a")
    dom0.allow(b"/a", b"r7 b3")
    dom0.write(b"/a/b/c")
    assert dom0.permissions(b"/a/b") == b"r7 b3"
    assert dom0.permissions(b"/a/b/c") == b"r7 b3"


def test_mkdir_leaves_what_is_there(dom0: Talk) -> None:
    dom0.write(b"/a", b"value")
    assert dom0.mkdir(b"/a") == OK
    assert dom0.read(b"/a") == b"value"
    assert dom0.mkdir(b"/x/y") == OK
    assert dom0.read(b"/x/y") == b""


def test_children_are_listed_in_order(dom0: Talk) -> None:
    for name in (b"b", b"a", b"c", b"10", b"9"):
        dom0.write(b"/d/" + name)
    assert dom0.list(b"/d") == [b"10", b"9", b"a", b"b", b"c"]
    dom0.rm(b"/d/a")
    assert dom0.list(b"/d") == [b"10", b"9", b"b", b"c"]


def test_rm_takes_all_below_with_it(dom0: Talk) -> None:
    dom0.write(b"/a/b/c/d")
    dom0.write(b"/a/b/e")
    dom0.write(b"/ab")
    assert dom0.rm(b"/a") == OK
    assert dom0.list(b"/") == [b"ab", b"tool"]
    for path in (b"/a", b"/a/b", b"/a/b/c", b"/a/b/c/d", b"/a/b/e"):
        assert dom0.read(path) == "ENOENT"


def test_rm_of_a_very_deep_tree(dom0: Talk) -> None:
    path = b"/a" * 1500
    assert dom0.write(path) == OK
    assert dom0.rm(b"/a") == OK
    assert dom0.list(b"/") == [b"tool"]


def test_rm_of_what_is_not_there_fails_only_without_a_parent(dom0: Talk) -> None:
    dom0.mkdir(b"/a")
    assert dom0.rm(b"/a/x") == OK
    assert dom0.rm(b"/a/x/y") == "ENOENT"


def test_the_root_cannot_be_removed(dom0: Talk) -> None:
    assert dom0.rm(b"/") == "EINVAL"


@pytest.mark.parametrize("op", [Op.READ, Op.DIRECTORY, Op.GET_PERMS, Op.RM])
def test_what_is_not_there_is_enoent(dom0: Talk, op: Op) -> None:
    assert dom0.ask(op, b"/none/such\0") == "ENOENT"


@pytest.mark.parametrize(
    "path", [b"", b"/a/", b"//", b"/a//b", b"/a b", b"/\xff", b"/" + b"x" * 3072, b"x" * 2049, b"/*", b"a/"]
)
@pytest.mark.parametrize("op", [Op.READ, Op.DIRECTORY, Op.GET_PERMS, Op.RM, Op.MKDIR, Op.WRITE])
def test_what_is_no_path_is_einval(dom0: Talk, op: Op, path: bytes) -> None:
    assert dom0.ask(op, path + b"\0") == "EINVAL"


@pytest.mark.parametrize("op", [Op.READ, Op.DIRECTORY, Op.RM, Op.MKDIR, Op.WRITE])
@pytest.mark.parametrize("path", [b"@releaseDomain", b"@introduceDomain", b"@else"])
def test_special_paths_are_no_nodes(dom0: Talk, op: Op, path: bytes) -> None:
    assert dom0.ask(op, path + b"\0") == "EINVAL"


@pytest.mark.parametrize("op", [Op.READ, Op.DIRECTORY, Op.GET_PERMS, Op.RM, Op.MKDIR])
@pytest.mark.parametrize("payload", [b"", b"/", b"/tool", b"/\0/\0", b"/tool\0x", b"\0/tool", b"/tool\0\0"])
def test_one_path_is_one_string(dom0: Talk, op: Op, payload: bytes) -> None:
    assert dom0.ask(op, payload) == "EINVAL"


def test_relative_paths_are_below_the_home_of_domain_0(dom0: Talk) -> None:
    assert dom0.write(b"data/x", b"1") == OK
    assert dom0.read(b"/local/domain/0/data/x") == b"1"
    assert dom0.read(b"data/x") == b"1"


def test_the_longest_paths(dom0: Talk) -> None:
    assert dom0.write(b"/" + b"x" * 3071) == OK
    assert dom0.write(b"x" * 2048) == OK


def test_permissions_are_set_and_told(dom0: Talk) -> None:
    dom0.mkdir(b"/a")
    assert dom0.allow(b"/a", b"b0 r1 w2 n32752") == OK
    assert dom0.permissions(b"/a") == b"b0 r1 w2 n32752"


@pytest.mark.parametrize(
    "permissions", [b"", b"x0", b"r", b"rr", b"r-1", b"r99999", b"r0 q1", b"\xff0", b"r0 "]
)
def test_what_are_no_permissions_is_einval(dom0: Talk, permissions: bytes) -> None:
    dom0.mkdir(b"/a")
    assert dom0.allow(b"/a", permissions) == "EINVAL"
    assert dom0.ask(Op.SET_PERMS, b"/a\0") == "EINVAL"
    assert dom0.ask(Op.SET_PERMS, b"") == "EINVAL"
    assert dom0.permissions(b"/a") == b"n0"


def test_special_paths_have_permissions(dom0: Talk) -> None:
    assert dom0.permissions(b"@releaseDomain") == b"n0"
    assert dom0.allow(b"@releaseDomain", b"n0 r5") == OK
    assert dom0.permissions(b"@releaseDomain") == b"n0 r5"


def fill(dom0: Talk, count: int) -> list[bytes]:
    """Children of /d that take more than one packet to list."""
    names = [b"child-%05d" % number for number in range(count)]
    for name in names:
        dom0.write(b"/d/" + name)
    return names


def test_a_list_that_is_too_long_is_e2big(dom0: Talk) -> None:
    names = fill(dom0, 341)
    assert dom0.list(b"/d") == names  # 341 * 12 = 4092 bytes
    dom0.write(b"/d/x")
    assert dom0.list(b"/d") == [*names, b"x"]
    dom0.write(b"/d/xxxx")
    assert dom0.list(b"/d") == "E2BIG"


def part(dom0: Talk, offset: int) -> tuple[int, bytes]:
    """The generation and the names, as bytes."""
    answer = dom0.ask(Op.DIRECTORY_PART, b"/d\0%d\0" % offset)
    assert isinstance(answer, bytes)
    generation, _, names = answer.partition(b"\0")
    return int(generation), names


def read_in_parts(dom0: Talk) -> list[bytes]:
    """As libxenstore does: until an empty name comes."""
    text = b""
    generation, names = part(dom0, 0)
    while not (names == b"\0" or names.endswith(b"\0\0")):
        text += names
        again, names = part(dom0, len(text))
        assert again == generation
    return (text + names[:-1]).split(b"\0")[:-1]


@pytest.mark.parametrize("count", [1, 2, 340, 341, 342, 343, 1000])
def test_a_long_list_is_read_in_parts(dom0: Talk, count: int) -> None:
    dom0.mkdir(b"/d")
    assert read_in_parts(dom0) == []
    names = fill(dom0, count)
    assert read_in_parts(dom0) == names


def test_the_generation_tells_of_changes(dom0: Talk) -> None:
    fill(dom0, 3)
    before = part(dom0, 0)[0]
    assert part(dom0, 0)[0] == before
    dom0.write(b"/d/child-00000", b"value")
    assert part(dom0, 0)[0] == before
    dom0.rm(b"/d/child-00000")
    assert part(dom0, 0)[0] != before


def test_beyond_the_end_of_a_list_is_an_empty_name(dom0: Talk) -> None:
    fill(dom0, 3)
    assert part(dom0, 36)[1] == b"\0"
    assert part(dom0, 999999)[1] == b"\0"


@pytest.mark.parametrize(
    "payload", [b"/d\0", b"/d\0x\0", b"/d\0-1\0", b"/d\x000\x001\0", b"", b"/d\0\0", b"/d\x001"]
)
def test_a_part_needs_a_path_and_a_number(dom0: Talk, payload: bytes) -> None:
    dom0.mkdir(b"/d")
    assert dom0.ask(Op.DIRECTORY_PART, payload) == "EINVAL"


@pytest.mark.parametrize("op", [15, 16, 20, 27, 65535, 0xFFFFFFFF])
def test_unknown_operations_are_enosys(dom0: Talk, op: int) -> None:
    assert dom0.ask(op, b"/\0") == "ENOSYS"


def test_a_write_without_a_path_is_einval(dom0: Talk) -> None:
    assert dom0.ask(Op.WRITE, b"/a") == "EINVAL"
    assert dom0.ask(Op.WRITE, b"") == "EINVAL"


@given(st.lists(st.tuples(st.sampled_from("wmrd"), st.lists(st.sampled_from("abc"), min_size=1, max_size=4))))
def test_the_tree_is_like_a_plain_model(steps: list[tuple[str, list[str]]]) -> None:
    server = Server()
    dom0 = Talk(server)
    model: dict[bytes, bytes] = {b"": b""}
    for number, (kind, names) in enumerate(steps):
        path = b"".join(b"/" + name.encode() for name in names)
        parents = [path[:cut] for cut in range(len(path)) if path[cut : cut + 1] == b"/"]
        if kind == "w" or (kind == "m" and path not in model):
            model.update({parent: b"" for parent in parents if parent not in model})
            model[path] = b"%d" % number if kind == "w" else b""
        if kind == "w":
            assert dom0.write(path, b"%d" % number) == OK
        elif kind == "m":
            assert dom0.mkdir(path) == OK
        elif kind == "r":
            assert dom0.rm(path) == (OK if parents[-1] in model else "ENOENT")
            model = {
                at: value for at, value in model.items() if at != path and not at.startswith(path + b"/")
            }
        assert dom0.read(path) == model.get(path, "ENOENT")
    for path in model:
        below = {at[len(path) + 1 :] for at in model if at.startswith(path + b"/")}
        names_there = sorted(name for name in below if b"/" not in name)
        listed = dom0.list(path or b"/")
        assert isinstance(listed, list)
        assert [name for name in listed if name != b"tool"] == names_there
