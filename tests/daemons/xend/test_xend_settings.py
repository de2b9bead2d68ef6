"""The settings: their table, their file, and what is said of mistakes in it."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.daemons.xend import settings_file
from purevirt.daemons.xend.settings import (
    DEFAULTS,
    PENDING,
    SECTIONS,
    TABLE,
    Setting,
    Settings,
    changes,
    effective,
)
from purevirt.daemons.xend.settings_file import load, parse, places, show
from purevirt.errors import ConfigError, InvalidConfig

SOURCES = Path(settings_file.__file__).parents[2]

OTHERS = Settings(
    socket="/run/other/xend.sock",
    classic="",
    tcp="[::1]:8000",
    rest_socket="",
    rest=":8006",
    reader_group="leser innen",
    operator_group='with "quotes" and \\',
    roots=("/srv/images", "/dev/vg0"),
    autostart=False,
    on_host_shutdown="none",
    restart_count=9,
    restart_seconds=1.5,
    restart_slowdown=0.0,
    parallel_jobs=2,
    job_deadline=3600.0,
    state="/srv/größe",
    read_only_store=False,
    vcpu_wait=0.25,
    backend_wait=60.0,
    log_level="debug",
    log_format="json",
    audit="/srv/audit.log",
)
"""Another value for each."""


def test_each_field_is_one_row_and_each_default_is_allowed() -> None:
    assert [row.field for row in TABLE] == [name for name in Settings._fields if name != "root"]
    assert len({row.name for row in TABLE}) == len(TABLE)
    assert {row.section for row in TABLE} == set(SECTIONS)
    for row in TABLE:
        assert row.read(row.default) == row.default
        assert row.help.endswith(".")
        assert "\n" not in row.help


def test_a_setting_is_used_or_said_to_be_pending() -> None:
    """Whoever begins to use one takes it off PENDING; nobody can leave a dead one."""
    texts = [
        path.read_text()
        for room in ("daemons", "programs")
        for path in (SOURCES / room).rglob("*.py")
        if path.name != "settings.py"
    ]
    used = {name for text in texts for name in re.findall(r"\b(?:settings|now)\.([a-z_]+)", text)}
    assert {row.field for row in TABLE} - used == PENDING


# --- there and back


def test_all_other_values_are_read_back() -> None:
    assert {row.field for row in changes(DEFAULTS, OTHERS)} == {row.field for row in TABLE}
    assert parse(show(OTHERS)) == OTHERS
    assert parse(show(DEFAULTS)) == parse("") == DEFAULTS


def test_what_is_shown_has_every_default_to_be_uncommented() -> None:
    shown = show(OTHERS)
    uncommented = re.sub(r"(?m)^(?!# )[a-z_]+ = .*\n", "", shown)
    uncommented = re.sub(r"(?m)^# ([a-z_]+ = )", r"\1", uncommented)
    document = tomllib.loads(uncommented)
    assert sum(len(body) for body in document.values()) == len(TABLE)
    assert parse(uncommented) == DEFAULTS
    for row in TABLE:
        assert f"# {row.help}\n" in shown


@st.composite
def settings(draw: st.DrawFn) -> Settings:
    letters = st.text(st.characters(codec="utf-8"), max_size=12)
    words = letters.map(lambda text: "".join(letter for letter in text if letter.isprintable()))
    kinds: dict[type, st.SearchStrategy[object]] = {
        bool: st.booleans(),
        int: st.integers(0, 2000),
        float: st.floats(-1, 1e6),
        str: words | words.map("/{}".format) | st.just("127.0.0.1:80"),
        tuple: st.lists(words.map("/x/{}".format), max_size=3).map(tuple),
    }
    values = {}
    for row in TABLE:
        value = draw(kinds[type(row.default)])
        try:
            values[row.field] = row.read(value)
        except ValueError:
            values[row.field] = row.default
    return Settings(**values)  # type: ignore[arg-type]


@given(settings())
def test_whatever_is_allowed_is_read_back(found: Settings) -> None:
    assert parse(show(found)) == found


# --- mistakes


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("[listen]\nsocket = 3", (2, 10), "listen.socket must be an absolute path, not 3"),
        ('[listen]\nsocket = "run/x"', (2, 10), "must be an absolute path, not 'run/x'"),
        ('[listen]\nsocket = "/run/../x"', (2, 10), "must be an absolute path"),
        ('[listen]\nsocket = "/run/x/"', (2, 10), "must be an absolute path"),
        ('[listen]\nsocket = ""', (2, 10), "must be an absolute path"),
        ('[listen]\ntcp = "localhost:80"', (2, 7), "must be ADDRESS:PORT"),
        ('[listen]\ntcp = "127.0.0.1:65536"', (2, 7), "must be ADDRESS:PORT"),
        ("# so\n\n  [jobs]\n\n\tparallel=0 # none", (5, 11), "must be a whole number from 1 to 64, not 0"),
        ("[jobs]\nparallel = true", (2, 12), "must be a whole number"),
        ("[jobs]\nparallel = 1.0", (2, 12), "must be a whole number"),
        ("[jobs]\ndeadline = nan", (2, 12), "must be 0 to 604800 seconds, not nan"),
        ("[guests]\nvcpu_wait = inf", (2, 13), "must be 0 to 60 seconds, not inf"),
        ("[guests]\nvcpu_wait = -0.1", (2, 13), "must be 0 to 60 seconds"),
        ("[store]\nread_only = 1", (2, 13), "must be true or false, not 1"),
        ('[store]\nread_only = "yes"', (2, 13), "must be true or false, not 'yes'"),
        ('[log]\n"level" = \'loud\'', (2, 11), 'must be one of "debug", "info", "warning", "error", not \'loud\''),
        ('[access]\nreader_group = "a\\nb"', (2, 16), "must be the name of a group"),
        ('[access]\nroots = [\n  "/a", # ]\n  "b",\n]\n', (2, 9), "access.roots must be a list of absolute paths"),
        ('access.roots = "/a"', (1, 16), "access.roots must be a list of absolute paths"),
        ("access = {roots = 1}", (1, 10), "access.roots must be a list"),
        ("[ access ]\nreader_grup = 'x'", (2, 1), 'unknown key "reader_grup" in [access]; there are reader_group,'),
        ("[access]\n[access.more]\nx = 1", (2, 1), 'unknown key "more" in [access]'),
        ("[log]\n[acess]\n", (2, 1), 'unknown section "acess"; there are listen, access,'),
        ("a.b = 1", (1, 1), 'unknown section "a"'),
        ("listen = 1", (1, 10), "listen must be a section, [listen], not a value"),
        ("[[listen]]\nsocket = '/a'", (1, 1), "listen must be a section"),
        ('[listen]\nclassic = """/a\n[log]\nlevel = 1"""\n[log]\nlevel = 1', (2, 11), "listen.classic must be"),
        ("[log]\naudit = '''/a'''\nlevel = 1", (3, 9), "log.level must be"),
        ("[listen]\nsocket = ", (2, 10), "no TOML: invalid value"),
        ("[listen\n", (1, 8), "no TOML: expected ']'"),
        ("[log]\nlevel = 'a", (2, 11), "no TOML: "),
        ("[log]\nlevel = 'info'\nlevel = 'info'\n", (3, 15), "no TOML: cannot overwrite a value"),
        ("x = " + "9" * 5000, None, "no TOML: "),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(text: str, place: tuple[int, int] | None, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, "/etc/x.toml")
    error = caught.value
    assert words in str(error)
    assert str(error).startswith("/etc/x.toml:")
    assert "\n" not in str(error)
    assert error.file == "/etc/x.toml"
    assert (None if error.line is None else (error.line, error.column)) == place
    if place is not None:
        assert str(error).startswith(f"/etc/x.toml:{place[0]}:{place[1]}: ")
    assert error.exit_status == 2


def test_values_nested_too_deeply() -> None:
    with pytest.raises(ConfigError):
        parse("x = " + "[" * 50000)


def test_places_go_past_whatever_a_value_may_be() -> None:
    text = """\
a = "[x] # no" # = "
'b b'."c" = [ [1, 2], # ]
  { d = "}" } ]
e = '''
[f]
'''
[g . "h"]
i = { j = 1, k = "\\"" }
[[l]]
m = 1979-05-27 07:32:00
[[l]]
n = \"\"\"\\\"\"\"\"\"\"
o = 1
"""
    assert tomllib.loads(text)["l"][1]["o"] == 1
    found = {path: (place.key[0], place.value) for path, place in places(text).items()}
    assert found == {
        ("a",): (1, (1, 5)),
        ("b b", "c"): (2, (2, 13)),
        ("e",): (4, (4, 5)),
        ("g", "h"): (7, (7, 1)),
        ("g", "h", "i"): (8, (8, 5)),
        ("l",): (9, (9, 1)),
        ("l", "m"): (10, (10, 5)),
        ("l", "n"): (12, (12, 5)),
        ("l", "o"): (13, (13, 5)),
    }


@given(
    st.text()
    | st.lists(st.sampled_from(["[", "]", "listen", ".", '"', "'", "=", "\n", "1", "{", "}", ",", "#"])).map(
        "".join
    )
)
def test_any_text_is_settings_or_one_error(text: str) -> None:
    try:
        parse(text)
    except ConfigError as error:
        assert "\n" not in str(error)  # noqa: PT017


# --- the file


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    root = str(tmp_path)
    assert load(root, None, {}) == Settings(root)
    with pytest.raises(ConfigError, match=r"cannot read .*/none: no such file"):
        load(root, f"{root}/none", {})


def test_the_usual_file_lies_below_the_root_and_the_command_line_counts_more(tmp_path: Path) -> None:
    file = tmp_path / "etc/purevirt/xend.toml"
    file.parent.mkdir(parents=True)
    file.write_bytes(b'[listen]\r\ntcp = ":1"\r\n[log]\r\nlevel = "error"\r\n')
    found = load(str(tmp_path), None, {"log_level": "debug", "audit": f"{tmp_path}/a.log"})
    assert found == Settings(str(tmp_path), tcp=":1", log_level="debug", audit=f"{tmp_path}/a.log")
    assert found.below(found.audit) == f"{tmp_path}/a.log"
    assert found.below(found.socket) == f"{tmp_path}/run/purevirt/xend.sock"
    assert DEFAULTS.below("/run/x") == "/run/x"
    with pytest.raises(InvalidConfig, match=r"log\.level must be one of .*, not 'loud'"):
        load(str(tmp_path), None, {"log_level": "loud"})


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "latin").write_bytes(b"[log]\n# na\xefve\n")
    (tmp_path / "big").write_bytes(b"#" * (1 << 20) + b"\n")
    for name, words in (
        ("directory", "is a directory|is no file"),
        ("fifo", "is no file"),
        ("latin", r":2:5: the text must be UTF-8"),
        ("big", "has more than 1048576 bytes"),
    ):
        with pytest.raises(ConfigError, match=words):
            load("", str(tmp_path / name), {})


# --- reload


def test_what_holds_after_a_reload() -> None:
    now = effective(DEFAULTS, OTHERS)
    waiting = changes(now, OTHERS)
    assert [row.name for row in waiting] == [
        "listen.socket",
        "listen.classic",
        "listen.tcp",
        "listen.rest_socket",
        "listen.rest",
        "supervision.autostart",
        "state.directory",
        "store.read_only",
    ]

    def live(row: Setting) -> bool:
        return bool(getattr(now, row.field) == getattr(OTHERS, row.field))

    assert all(live(row) != (row in waiting) for row in TABLE)
