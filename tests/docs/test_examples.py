"""Docs do not lie: their Python blocks run, their links lead somewhere, the demo demonstrates."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md", ROOT / "lab/README.md"]
PAGES += sorted((ROOT / "docs").glob("*.md"))

BLOCKS = [
    (page, number, block)
    for page in PAGES
    if page.parent.name != "lab"
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```", page.read_text(), re.S | re.M))
]


@pytest.mark.parametrize(("page", "number", "block"), BLOCKS, ids=[f"{p.name}-{n}" for p, n, _ in BLOCKS])
def test_a_python_block_runs(page: Path, number: int, block: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", block],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_the_demo_ends_by_itself_with_status_0() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples/demo.py")],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT / "src"), "PATH": "/usr/bin:/bin"},
        timeout=50,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "test" in done.stdout
    assert "list_domains" in done.stdout
