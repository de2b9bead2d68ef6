"""The unit for systemd: what systemd itself says of it, and how it is made to fit an installation."""

from __future__ import annotations

import configparser
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from purevirt.daemons.xend import unit
from purevirt.errors import Unsupported
from tests import peers


def read(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(text)
    return parser


def verify(path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SYSTEMD_LOG_LEVEL": "info"}
    return subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True, text=True, check=False, env=environment, timeout=50,
    )  # fmt: skip


def test_systemd_has_nothing_against_it(tmp_path: Path) -> None:
    peers.need_systemd()
    path = tmp_path / "purevirt-xend.service"
    path.write_text(unit.text((sys.executable, "-m", "purevirt")))
    done = verify(path)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    path.write_text(path.read_text().replace("KillMode=process", "KillMode=proces"))
    assert "kill mode" in verify(path).stderr  # that it looks at what we write


def test_systemd_reads_a_command_with_spaces_as_it_is_meant(tmp_path: Path) -> None:
    peers.need_systemd()
    program = tmp_path / "a b  c" / "purevirt"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    path = tmp_path / "purevirt-xend.service"
    path.write_text(unit.text(unit.command(str(program))))
    assert verify(path).stderr == ""
    program.unlink()
    assert f"Command {program} is not executable" in verify(path).stderr


@pytest.mark.parametrize("name", ['a"b', "a$b", "a%b", "a\\b", "a\nb", "ä"])
def test_a_command_that_systemd_would_not_run_is_refused(name: str) -> None:
    with pytest.raises(Unsupported, match="systemd cannot be told to run"):
        unit.text((f"/opt/{name}/purevirt",))


def test_what_a_restart_must_not_touch() -> None:
    service = read(unit.text())["Service"]
    assert service["Type"] == "notify"
    assert service["KillMode"] == "process"
    assert service["ExecStart"] == "/usr/bin/purevirt xend"
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    # Each of these would make a mount namespace or close devices, for hotplug scripts and device models as well.
    for name in service:
        assert not name.startswith(("Private", "Protect", "ReadOnly", "ReadWrite", "Inaccessible", "Device"))
        assert name not in ("RestrictNamespaces", "MemoryDenyWriteExecute", "RestrictAddressFamilies")


def test_the_command_of_this_installation(tmp_path: Path) -> None:
    program = tmp_path / "purevirt"
    assert unit.command(str(program)) == (sys.executable, "-m", "purevirt")  # it is not there
    program.write_text("#!/bin/sh\n")
    assert unit.command(str(program)) == (sys.executable, "-m", "purevirt")  # it cannot be run
    program.chmod(0o755)
    assert unit.command(str(program)) == (str(program),)
    assert unit.command("/usr/lib/x/purevirt/__main__.py") == (sys.executable, "-m", "purevirt")


def test_the_command_line_prints_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "purevirt", "xend", "--print-unit"],
        capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": sys_path()},
    )  # fmt: skip
    assert done.stdout == unit.text((sys.executable, "-m", "purevirt"))


def sys_path() -> str:
    return str(Path(unit.__file__).parents[3])


def test_systemd_is_found_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUREVIRT_REQUIRE_PEERS", "0")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(pytest.skip.Exception, match="package systemd"):
        peers.need_systemd()
