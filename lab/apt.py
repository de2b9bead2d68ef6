"""This machine's apt: the tools the lab needs, and the mirror that a Domain 0 is built from.

The mirror, its proxy and its certificates are whatever this machine is configured with; no host name of a
mirror is written in this repository. A suite that the machine itself does not run (trixie, for Xen 4.20) is
taken from the same addresses under its own name.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable

from lab.errors import LabError, say

_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"

#: program -> the Debian package that ships it
BUILD_TOOLS = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "as": "binutils", "ld": "binutils"}
BOOT_TOOLS = {"qemu-system-x86_64": "qemu-system-x86"}

#: Settings of the machine's apt that decide whether its mirror can be reached and trusted.
_NETWORK_SETTINGS = (
    "Acquire::http",
    "Acquire::https",
    "Acquire::Check-",
    "Acquire::Retries",
    "Acquire::Force",
)


def program(name: str) -> str:
    """The full path of an installed program, also where root's PATH lacks the sbin directories."""
    found = shutil.which(name, path=_PATH)
    if found is None:
        raise LabError(f"{name} is not installed")
    return found


def ensure(tools: dict[str, str]) -> None:
    """Install the Debian packages of tools that are missing; raises LabError when that cannot be done."""
    missing = sorted({package for name, package in tools.items() if not shutil.which(name, path=_PATH)})
    if not missing:
        return
    command = f"apt-get install --no-install-recommends {' '.join(missing)}"
    if shutil.which("apt-get", path=_PATH) is None:
        raise LabError(
            f"the lab needs {', '.join(missing)} and this machine has no apt-get; it runs on Debian"
        )
    if os.geteuid() != 0:
        raise LabError(f"the lab needs {', '.join(missing)}; as root, run: {command}")
    say(f"installing {', '.join(missing)}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
    if _quiet(install, environment) != 0:
        # Most often the lists are missing or stale, as on a fresh machine.
        _quiet(["apt-get", "update", "-qq"], environment)
        done = subprocess.run(install, env=environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise LabError(f"{command} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")


def _quiet(argv: list[str], environment: dict[str, str]) -> int:
    return subprocess.run(argv, env=environment, capture_output=True, check=False).returncode


def sources(suite: str) -> str:
    """The lines of a sources.list for `suite`, from the places that this machine takes Debian from."""
    for attempt in range(2):
        targets = _output(
            [
                "apt-get",
                "indextargets",
                "--format",
                "$(ORIGIN)|$(REPO_URI)|$(CODENAME)",
                "Created-By: Packages",
            ]
        )
        lines = source_lines(targets.splitlines(), suite)
        if lines:
            return "\n".join(lines) + "\n"
        if attempt == 0:  # A fresh machine has no lists yet.
            _quiet(["apt-get", "update", "-qq"], dict(os.environ))
    raise LabError("this machine's apt knows no Debian mirror (apt-get indextargets names none)")


def source_lines(targets: Iterable[str], suite: str) -> list[str]:
    """Turn `origin|address|codename` lines of the machine's own release into deb lines for `suite`.

    >>> source_lines(["Debian|mirror:/d/|bookworm", "Debian|mirror:/s/|bookworm-security"], "trixie")
    ['deb mirror:/d/ trixie main', 'deb mirror:/s/ trixie-security main']
    """
    lines = set()
    for target in targets:
        origin, address, codename = target.split("|")
        _release, dash, section = codename.partition("-")
        if origin == "Debian" and section in ("", "updates", "security"):
            lines.add(f"deb {address} {suite}{dash}{section} main")
    return sorted(lines)


def network_settings() -> str:
    """The lines of this machine's apt configuration about proxies, certificates and dates."""
    dump = _output(["apt-config", "dump"])
    return "".join(f"{line}\n" for line in dump.splitlines() if line.startswith(_NETWORK_SETTINGS))


def _output(argv: list[str]) -> str:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise LabError(f"{argv[0]} is missing: the lab builds its Domain 0 with Debian's apt") from None
    except subprocess.CalledProcessError as error:
        raise LabError(f"{' '.join(argv)} failed: {error.stderr.strip()}") from error
