"""What the peers need from the machine: Debian's packages, the shim compiled against their headers.

`available` says in one line what is missing; `install` gets it; `need` is for tests.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_SOURCE = Path(__file__).with_name("shim.c")
_HEADERS = Path("/usr/include/xenctrl.h")


class PeerError(Exception):
    """A peer could not be started or a real tool failed; the text carries what it wrote to stderr."""


def programs() -> Path | None:
    """The directory of the newest xenstored that is installed (Debian: /usr/lib/xen-4.17/bin)."""
    found = [path.parent for path in Path("/usr/lib").glob("xen-*/bin/xenstored")]
    return max(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path.parent.name)], default=None)


def available() -> str | None:
    """None where the peers can run, else the reason why not, which names Debian's packages."""
    missing = _missing()
    return _reason(missing) if missing else None


def _missing() -> list[str]:
    missing = []
    directory = programs()
    if directory is None or not (directory / "oxenstored").exists():
        missing.append("xenstored (package xen-utils-4.17, or your release's xen-utils-*)")
    if shutil.which("xenstore-ls") is None:
        missing.append("xenstore-ls (package xenstore-utils)")
    if shutil.which("cc") is None:
        missing.append("a C compiler (package gcc)")
    if not _HEADERS.exists():
        missing.append("Xen's headers (package libxen-dev)")
    return missing


def _reason(missing: list[str]) -> str:
    return f"missing: {', '.join(missing)}; `python -m tests.peers install` installs them"


def need() -> None:
    """In a test or fixture: skip where the peers are missing, or fail if PUREVIRT_REQUIRE_PEERS=1."""
    required(_missing())


def required(missing: list[str]) -> None:
    """Skip or fail, as `need`, if anything is missing."""
    import pytest

    if not missing:
        return
    if os.environ.get("PUREVIRT_REQUIRE_PEERS") == "1":
        pytest.fail(_reason(missing), pytrace=False)
    pytest.skip(_reason(missing))


def install() -> None:
    """Install the packages with apt-get. Needs root and Debian (or a relative of it)."""
    apt = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run(["apt-get", "update"], env=apt, check=True)
    names = subprocess.run(
        ["apt-cache", "search", "--names-only", r"^xen-utils-[0-9.]+$"],
        env=apt, check=True, capture_output=True, text=True,
    ).stdout.split("\n")  # fmt: skip
    utils = [line.split()[0] for line in names if line]
    if not utils:
        raise PeerError("apt-cache knows no package xen-utils-VERSION")
    wanted = [max(utils), "xenstore-utils", "libxen-dev", "gcc", "libc6-dev", "libvirt0", "libxml2-utils"]
    wanted += ["systemd"]  # for systemd-analyze; nothing of it is run
    subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *wanted], env=apt, check=True)


def shim(source: Path = _SOURCE) -> Path:
    """The compiled shim: made once for each source and Xen version, in $PUREVIRT_CACHE/peers."""
    version = programs()
    key = hashlib.sha256(source.read_bytes() + str(version).encode()).hexdigest()[:16]
    cache = Path(os.environ.get("PUREVIRT_CACHE") or Path.home() / ".cache" / "purevirt") / "peers"
    target = cache / f"shim-{key}.so"
    if target.exists():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:  # then renamed: several tests may start at once
        made = Path(scratch) / "shim.so"
        command = ["cc", "-O2", "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(made), str(source), "-ldl"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise PeerError(f"cannot compile {source}:\n{done.stderr}")
        made.replace(target)
    return target
