"""This checkout in Domain 0: purevirt, what it and its tests need, the tests, and a quick way to run them.

What comes from a package index is fetched once by this machine's pip and kept in the lab's cache by a hash of
what is asked for; the checkout's own files are copied anew. All of it is compiled here,
where that is ten times faster, as long as both Pythons have the same bytecode; Domain 0 compiles for itself
otherwise.

In Domain 0 everything is below /opt/purevirt, in memory: `site` (from the index), and the checkout's
directories.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from lab.errors import LabError, say
from lab.recipe import cache_dir

if TYPE_CHECKING:
    from lab.host import Host

ROOT = "/opt/purevirt"
#: How Python in Domain 0 finds it all, in front of what Debian installed.
ENVIRONMENT = {"PYTHONPATH": f"{ROOT}/src:{ROOT}/site:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"}

#: purevirt runs on pure Python alone, so here too. Tools of its tests may hold compiled code, for Domain 0.
_PURE = ["--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"]
_COMPILED = [
    "--only-binary=:all:",
    *(f"--platform={platform}_x86_64" for platform in ("manylinux_2_28", "manylinux_2_17", "manylinux2014")),
    "--implementation=cp",
]
#: The command, as pip would install it.
_SCRIPT = """\
#!/usr/bin/python3
import sys
from purevirt.cli import main
sys.exit(main())
"""
_COPIED = ("src", "tests", "benchmarks", "examples", "tools", "lab", "pyproject.toml")
_SKIPPED = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info")


def install(host: Host, checkout: Path) -> None:
    """Put the checkout and what it needs into Domain 0, replacing what an earlier call put there."""
    ask = "import sys, importlib.util as u; print('%d.%d' % sys.version_info[:2], u.MAGIC_NUMBER.hex())"
    python, magic = host.run(["python3", "-c", ask]).stdout.split()
    same_bytecode = magic == importlib.util.MAGIC_NUMBER.hex()
    site = _site(checkout, python, compiled=same_bytecode)
    say("copying this checkout into Domain 0")
    host.shell('mountpoint -q "$1" || { mkdir -p "$1"; mount -t tmpfs -o mode=0755 purevirt "$1"; }', ROOT)
    host.shell('cd "$1" && rm -rf -- *', ROOT)
    with tempfile.TemporaryDirectory(prefix="purevirt-lab-") as name:
        tree = Path(name) / "purevirt"
        tree.mkdir()
        shutil.copytree(site, tree / "site")
        for item in _COPIED:
            source = checkout / item
            if source.is_dir():
                shutil.copytree(source, tree / item, ignore=_SKIPPED)
            elif source.exists():
                shutil.copy(source, tree / item)
        if same_bytecode:
            # Not the tests: pytest rewrites those itself.
            _compile(tree / "src", f"{ROOT}/src")
        host.put(tree, ROOT, compiled=True)
    host.run(["sh", "-euc", "cat >/usr/local/bin/purevirt; chmod 755 /usr/local/bin/purevirt"], input=_SCRIPT)
    if not same_bytecode:
        say("compiling it there, which takes a minute or two")
        compile_all = ["python3", "-m", "compileall", "-q", "-j", "2"]
        host.run([*compile_all, f"{ROOT}/src", f"{ROOT}/site"], timeout=600)


def _site(checkout: Path, python: str, *, compiled: bool) -> Path:
    """The directory of third-party packages for Domain 0's Python, from the cache or made now by pip."""
    wanted = requirements(checkout)
    digest = hashlib.sha256(json.dumps([python, sys.implementation.cache_tag, *wanted]).encode())
    site = cache_dir() / "sites" / digest.hexdigest()[:12]
    if site.exists():
        return site
    needed, tools, pins = wanted
    say(f"fetching {', '.join(needed + tools)}")
    site.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=site.parent) as name:
        made = Path(name) / "site"
        constraints = Path(name) / "constraints.txt"
        constraints.write_text("\n".join(pins))
        _pip(made, constraints, [*_PURE, f"--python-version={python}"], needed)
        _pip(made, constraints, [*_COMPILED, f"--python-version={python}"], tools)
        if compiled:
            _compile(made, f"{ROOT}/site")
        try:
            os.rename(made, site)
        except OSError:  # another process was faster
            if not site.exists():
                raise
    return site


def requirements(checkout: Path) -> tuple[list[str], list[str], list[str]]:
    """What purevirt needs, what its tests need (both from pyproject.toml), and the versions that CI pins."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text())
    needed = project["project"].get("dependencies", [])
    pinned = checkout / "requirements" / "test.txt"
    lines = pinned.read_text().splitlines() if pinned.exists() else []
    pins = [line for line in lines if line and not line.startswith("#")]
    return sorted(needed), sorted(project["dependency-groups"]["test"]), sorted(pins)


def _pip(target: Path, constraints: Path, platform: list[str], wanted: list[str]) -> None:
    if not wanted:
        return
    argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile", "--target", str(target)]
    argv += ["--disable-pip-version-check", "--root-user-action=ignore", "--constraint", str(constraints)]
    done = subprocess.run([*argv, *platform, *wanted], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LabError(f"pip cannot fetch {', '.join(wanted)}:\n{done.stdout}{done.stderr}")


def _compile(tree: Path, remote: str) -> None:
    """Byte-compile what will be `remote` in Domain 0, so that Python there asks for no file's time."""
    for path in tree.rglob("*.py"):
        try:
            py_compile.compile(
                str(path),
                dfile=f"{remote}/{path.relative_to(tree)}",
                doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
            )
        except py_compile.PyCompileError:
            continue  # a file of test data, or a template: whoever imports it will hear about it
