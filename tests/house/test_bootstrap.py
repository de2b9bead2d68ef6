"""On a machine that lacks a part, setting up names the package to install."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

WITHOUT = """
import runpy, sys
{change}
sys.argv = ["bootstrap.py", {venv!r}]
runpy.run_path({script!r}, run_name="__main__")
"""


def bootstrap(venv: Path, change: str) -> subprocess.CompletedProcess[str]:
    code = WITHOUT.format(change=change, venv=str(venv), script=str(ROOT / "tools/bootstrap.py"))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_a_python_without_venv_is_told_the_package(tmp_path: Path) -> None:
    done = bootstrap(tmp_path / "venv", "sys.modules['ensurepip'] = None")
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert done.returncode == 1
    assert f"apt-get install python{version}-venv" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_python_that_is_too_old_is_told_what_is_needed(tmp_path: Path) -> None:
    done = bootstrap(tmp_path / "venv", "sys.version_info = (3, 9, 2)")
    assert done.returncode == 1
    assert "needs 3.11 or newer" in done.stderr
    assert "PYTHON=" in done.stderr


def test_a_venv_that_cannot_be_made_is_not_left_half_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = bootstrap(tmp_path / "file" / "venv", "")
    assert done.returncode == 1
    assert "venv failed. On Debian or Ubuntu: apt-get install" in done.stderr
