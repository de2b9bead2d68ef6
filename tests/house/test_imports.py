"""Who may import whom: the table of ARCHITECTURE.md, kept true."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "purevirt"

# Room -> what its modules may import of purevirt (prefixes below `purevirt.`). Everything may import errors.
ALLOWED: dict[str, tuple[str, ...]] = {
    "model": ("model",),
    "wire": ("wire",),
    "formats": ("formats", "model", "wire.sxp"),
    "channels": ("channels", "wire"),
    "drivers": ("drivers", "channels", "formats", "wire", "model"),
    "host": ("host", "wire", "model", "channels"),
    "daemons": ("daemons", "wire", "formats", "model", "channels", "drivers"),
    "api": ("api", "drivers", "model", "formats", "_run", "_version", "channels.xenstore"),
    "programs": (
        "programs",
        "model",
        "wire",
        "formats",
        "channels",
        "drivers",
        "host",
        "daemons",
        "api",
        "_run",
    ),
    "cli": ("cli", "_version"),
}

# The public doors that faces for people may use.
PUBLIC = {
    "purevirt",
    "purevirt.description",
    "purevirt.store",
    "purevirt.formats",
    "purevirt.testing",
    "purevirt.errors",
}

# Standard library modules that a room must not touch.
FORBIDDEN: dict[str, tuple[str, ...]] = {
    "model": ("os", "socket", "asyncio", "threading", "time", "struct", "json"),
    "wire": ("os", "socket", "asyncio", "threading", "time", "select", "selectors"),
    "formats": ("os", "socket", "asyncio", "threading", "time"),
    "drivers": ("asyncio", "socket", "threading"),
}

# Where the design names an exception, it stands here with its reason.
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("api._hosts", "purevirt.programs.shared"): "test:///default is started by name, lazily",
}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, as "a.b.c" — with the names of a from-import appended."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            assert node.module is not None
            yield node.module
            if node.module == "purevirt":
                for alias in node.names:
                    yield f"purevirt.{alias.name}"


def modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        found.append((name, path))
    return found


@pytest.mark.parametrize(("name", "path"), modules(), ids=[name for name, _ in modules()])
def test_a_module_imports_only_what_its_room_may(name: str, path: Path) -> None:
    room = name.split(".")[0]
    wrong = []
    for found in imports(path):
        if found in ("purevirt", "purevirt.errors", "purevirt._typing") or found.startswith(
            "purevirt.errors."
        ):
            continue
        if found.split(".")[0] == "purevirt":
            if room not in ALLOWED or (name, found) in EXCEPTIONS:
                continue
            if room == "cli" and found in PUBLIC:
                continue
            below = found.removeprefix("purevirt.")
            if room == "cli" and below.split(".")[0] not in {
                p.name.removesuffix(".py") for p in PACKAGE.iterdir()
            }:
                continue  # a public name: `from purevirt import Connection`
            if not any(below == prefix or below.startswith(prefix + ".") for prefix in ALLOWED[room]):
                wrong.append(found)
        elif found.split(".")[0] in FORBIDDEN.get(room, ()):
            wrong.append(found)
    assert not wrong, f"{name} imports {', '.join(wrong)}, which its room may not"


def test_every_exception_is_still_needed() -> None:
    used = {(name, found) for name, path in modules() for found in imports(path)}
    assert set(EXCEPTIONS) <= used


def loaded_by(code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(PACKAGE.parent), "PATH": "/usr/bin:/bin"},
    )
    return set(done.stdout.split())


def test_import_purevirt_stays_light() -> None:
    loaded = loaded_by("import purevirt")
    assert {name for name in loaded if name.startswith("purevirt")} == {
        "purevirt",
        "purevirt._typing",
        "purevirt._version",
    }
    assert not loaded & {"asyncio", "dataclasses", "socket", "click", "struct"}


def test_the_blocking_api_never_loads_asyncio() -> None:
    loaded = loaded_by("import purevirt; purevirt.open, purevirt.Store, purevirt.Domain")
    assert "asyncio" not in loaded
    assert "click" not in loaded


def test_the_plain_list_loads_neither_click_nor_typing() -> None:
    """What every call of `purevirt list` pays for. Each of these would be a tenth of it, or more."""
    later = ("channels.xend.client", "formats", "drivers.xen.events", "model.events", "model.scheduling")
    code = "from purevirt.cli import quick, listing; import purevirt; purevirt.open\n"
    code += "from purevirt.channels.hypercall import dial, privcmd\n"
    code += "import purevirt.channels.xenstore.blocking"
    loaded = loaded_by(code)
    assert not loaded & {
        f"purevirt.{name}" for name in ("model.node", "model.devices", "drivers.xen.devices", *later)
    }
    assert not loaded & {
        "asyncio",
        "click",
        "typing",
        "re",
        "dataclasses",
        "inspect",
        "json",
        "uuid",
        "h11",
        "threading",
    }


def test_a_plain_change_loads_neither_click_nor_h11() -> None:
    """What `purevirt suspend` pays for beyond a listing: json, and little else."""
    code = "from purevirt.cli import quick, changing; import purevirt; purevirt.open\n"
    code += "from purevirt.drivers.xen import changes, daemon\n"
    code += "from purevirt.channels.xend import blocking, dial\n"
    code += "from purevirt.formats import xend_json\n"
    loaded = loaded_by(code)
    assert not loaded & {
        "asyncio",
        "click",
        "typing",
        "dataclasses",
        "inspect",
        "h11",
        "threading",
        "uuid",
        "urllib",
    }
    assert not loaded & {f"purevirt.{name}" for name in ("wire.sxp", "formats.xend_results", "model.node")}


def test_a_plain_change_loads_next_to_nothing() -> None:
    """What every call of `purevirt suspend` pays for, when all goes well."""
    code = """
from purevirt.cli import quick
from purevirt.programs import change
from purevirt.channels.xend.http import Http
from purevirt.channels.xend.transport import Request
http = Http()
http.request(Request("POST", "/", (), b"{}"))
answer = b'HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\nContent-Length: 15\\r\\n\\r\\n{"result":null}'
assert http.feed(answer).body == change._DONE
"""
    loaded = loaded_by(code)
    assert not loaded & {"asyncio", "click", "typing", "re", "json", "uuid", "h11", "threading", "enum"}
    assert {name for name in loaded if name.startswith("purevirt.")} == {
        "purevirt._typing",
        "purevirt._version",
        "purevirt.api",
        "purevirt.api.uri",
        "purevirt.channels",
        "purevirt.channels.unix",
        *(f"purevirt.channels.xend{name}" for name in ("", ".http", ".once", ".transport")),
        "purevirt.cli",
        "purevirt.cli.quick",
        "purevirt.cli.session",
        "purevirt.errors",
        "purevirt.programs",
        "purevirt.programs.change",
    }


def test_opening_loads_nothing_that_speaks_to_the_daemon() -> None:
    """With hypercalls it is only asked whether it listens."""
    code = """
import socket
from purevirt import testing
import purevirt, sys
with testing.Host(xend=False) as host:
    import os
    os.makedirs(host.root + "/run/purevirt", exist_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(host.root + "/run/purevirt/xend.sock")
        listener.listen()
        with purevirt.open(host.uri) as connection:
            assert connection.has_daemon
            connection.domain_infos()
"""
    assert not loaded_by(code) & {"h11", "purevirt.channels.xend.client", "purevirt.formats.xend_json"}


def test_a_command_loads_only_its_own_module() -> None:
    loaded = loaded_by("from purevirt.cli.app import cli; cli.get_command(None, 'nodeinfo')")
    commands = {name for name in loaded if name.startswith("purevirt.cli.commands.")}
    assert commands == {"purevirt.cli.commands.node"}
    assert "purevirt.api._sync.connection" not in loaded
