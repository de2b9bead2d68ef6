"""The project's own promises: exports, generated files, wheels, sizes, wording."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import purevirt
from purevirt import errors

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src" / "purevirt").rglob("*.py"))


def test_every_public_name_can_be_loaded() -> None:
    for name in purevirt.__all__:
        assert getattr(purevirt, name) is not None


def test_the_error_tree_is_drawn_in_full() -> None:
    """The docstring of errors draws every class, below the base that it has."""
    assert errors.__doc__ is not None
    drawn: dict[str, str] = {}
    stack: list[tuple[int, str]] = []
    for line in errors.__doc__.splitlines():
        match = re.match(r"^ {4}([│ ├└─]*)([A-Z][A-Za-z]+)", line)
        if match is None:
            continue
        depth = len(match[1])
        while stack and stack[-1][0] >= depth:
            stack.pop()
        drawn[match[2]] = stack[-1][1] if stack else "Exception"
        stack.append((depth, match[2]))
    actual = {name: getattr(errors, name).__bases__[0].__name__ for name in errors.__all__}
    assert drawn == actual


def test_every_error_says_its_kind_and_status() -> None:
    for name in errors.__all__:
        error = getattr(errors, name)(
            "words", operation="op", domain="dom", channel="store", path="/p", errno=2
        )
        assert error.kind == name
        assert error.as_dict()["kind"] == name
        assert error.as_dict()["detail"] == {"path": "/p", "errno": "ENOENT"}
        assert 1 <= error.exit_status <= 7


@pytest.mark.parametrize("tool", ["generate_sync.py", "generate_docs.py"])
def test_generated_files_are_fresh(tool: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "tools" / tool), "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_modules_explain_themselves() -> None:
    for path in SOURCES:
        if "_sync" in path.parts:
            continue
        assert ast.get_docstring(ast.parse(path.read_text())), f"{path} has no docstring"


def test_no_module_becomes_the_place_where_everything_ends_up() -> None:
    for folder in ("src", "lab", "tools"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            lines = len(path.read_text().splitlines())
            assert lines <= 500, f"{path.relative_to(ROOT)} has {lines} lines"


def test_public_functions_have_docstrings() -> None:
    for path in (ROOT / "src/purevirt/api/_async").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                for item in node.body:
                    if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)) and not item.name.startswith(
                        "_"
                    ):
                        assert ast.get_docstring(item), f"{path.name}: {node.name}.{item.name}"


def test_what_an_install_needs_is_pinned_and_recorded() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = {re.split(r"[<>=!~ ]", line)[0] for line in project["project"]["dependencies"]}
    pinned = {
        line.split("==")[0]
        for line in (ROOT / "requirements/run.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    assert needed == pinned
    reasons = (ROOT / "docs/dependencies.md").read_text()
    for name in needed:
        assert f"`{name}`" in reasons


def extra(name: str) -> set[str]:
    """What an extra needs, with what that needs on a Linux of the oldest Python."""
    from importlib.metadata import distribution

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found: set[str] = set()
    wanted = [re.split(r"[<>=!~ ]", line)[0] for line in project["project"]["optional-dependencies"][name]]
    while wanted:
        one = wanted.pop().replace("_", "-")
        if one not in found:
            found.add(one)
            lines = [line.partition(";") for line in distribution(one).requires or ()]
            wanted += [
                re.split(r"[<>=!~ (\[]", line)[0]
                for line, _, condition in lines
                if not re.search(r"extra|win32|python_version < ['\"]3\.(?:[0-9]|1[01])['\"]", condition)
            ]
    return found


def test_what_an_extra_needs_is_pinned_and_recorded() -> None:
    lines = (ROOT / "requirements/test.txt").read_text().splitlines()
    pinned = {line.split("==")[0].replace("_", "-") for line in lines}
    reasons = (ROOT / "docs/dependencies.md").read_text()
    assert {"starlette", "uvicorn", "h11", "anyio"} <= extra("daemon")
    for name in extra("daemon"):
        assert name in pinned
        assert f"`{name}`" in reasons.replace("_", "-")


def test_what_an_install_needs_is_pure_python() -> None:
    """Each run-time dependency, and each of an extra, is installed from a wheel tagged py3-none-any."""
    from importlib.metadata import distribution

    lines = [*(ROOT / "requirements/run.txt").read_text().splitlines(), *extra("daemon")]
    for line in lines:
        if not line or line.startswith("#"):
            continue
        wheel = distribution(line.split("==")[0]).read_text("WHEEL")
        assert wheel is not None
        assert "Root-Is-Purelib: true" in wheel
        assert "Tag: py3-none-any" in wheel


def test_help_of_every_command_is_the_one_in_the_table() -> None:
    import click

    from purevirt.cli.app import COMMANDS, cli

    context = click.Context(cli)
    for section in COMMANDS.values():
        for name, (_, summary) in section.items():
            command = cli.get_command(context, name)
            assert command is not None
            assert (command.help or "").splitlines()[0] == summary


def test_no_test_sleeps() -> None:
    for path in sorted((ROOT / "tests").rglob("*.py")):
        if path == Path(__file__):
            continue
        assert not re.search(r"\b(time|asyncio)\.sleep\((?!0\))", path.read_text()), f"{path} sleeps"


def test_no_file_names_a_package_registry() -> None:
    """Mirrors come from the machine's own configuration; pip itself knows which host must not be named."""
    found = subprocess.run(
        [sys.executable, "-c", "from pip._internal.models.index import PyPI; print(PyPI.netloc)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    names = [name for name in (found, found.removeprefix("www."), "deb." + "debian.org") if name]
    listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=False, cwd=ROOT)
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.is_file():
            text = path.read_bytes()
            assert not [host for host in names if host.encode() in text], f"{name} names a registry"


def test_our_own_wheel_is_pure_and_complete(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    packed = set(zipfile.ZipFile(wheel).namelist())
    sources = {str(path.relative_to(ROOT / "src")) for path in SOURCES} | {"purevirt/py.typed"}
    sources.add("purevirt/daemons/xend/purevirt-xend.service")
    assert sources <= packed
    assert not [name for name in packed if not name.startswith(("purevirt/", "purevirt-"))]
