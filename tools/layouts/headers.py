"""Where the real Xen headers come from: Debian's package libxen-dev, of several releases of Debian.

The installed package serves if it is the wanted Xen. Another release's is fetched with an apt configuration
of our own (nothing of the machine's but the address of its mirror) and unpacked, not installed, into
$PUREVIRT_CACHE/layouts (default ~/.cache/purevirt/layouts).
"""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "libxen-dev"
SUITES = {"4.14": "bullseye", "4.17": "bookworm", "4.20": "trixie"}
"""Which release of Debian has which Xen."""

_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"


class HeadersUnavailable(Exception):
    """The package could not be had; the text says why."""


@dataclass(frozen=True, slots=True)
class Headers:
    """A directory for the compiler's -I that holds `xen/`, and the version of the package it is from."""

    include: Path
    version: str


def headers(xen: str) -> Headers:
    """The public headers of `xen` (a key of `SUITES`)."""
    installed = _query(["dpkg-query", "-W", "-f", "${Version}", PACKAGE])
    if installed.startswith(f"{xen}."):
        return Headers(Path("/usr/include"), installed)
    return _unpacked(xen)


def _unpacked(xen: str) -> Headers:
    directory = _cache() / xen
    include = directory / "root" / "usr" / "include"
    if not (include / "xen" / "sysctl.h").exists():
        archive = _fetch(SUITES[xen], directory)
        _run(["dpkg-deb", "-x", str(archive), str(directory / "root")])
    [archive] = directory.glob(f"{PACKAGE}_*.deb")
    return Headers(include, _run(["dpkg-deb", "-f", str(archive), "Version"]).strip())


def _fetch(suite: str, directory: Path) -> Path:
    """Download the newest libxen-dev of `suite` into `directory`, by an apt that knows of nothing else."""
    apt = directory / "apt"
    for name in (
        "etc/apt.conf.d",
        "etc/preferences.d",
        "etc/trusted.gpg.d",
        "state/lists/partial",
        "cache/archives/partial",
    ):
        (apt / name).mkdir(parents=True, exist_ok=True)
    (apt / "status").touch()
    (apt / "etc" / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {_mirror()} {suite} main\n")
    configuration = apt / "apt.conf"
    configuration.write_text(
        f'Dir::Etc "{apt}/etc";\nDir::State "{apt}/state";\nDir::State::status "{apt}/status";\n'
        f'Dir::Cache "{apt}/cache";\nAPT::Architecture "amd64";\nAPT::Architectures {{ "amd64"; }};\n'
        'APT::Sandbox::User "root";\nAcquire::Languages "none";\n'
    )
    environment = {**os.environ, "APT_CONFIG": str(configuration)}
    for stale in directory.glob("*.deb"):
        stale.unlink()
    _run(["apt-get", "-q", "update"], environment=environment)
    _run(["apt-get", "-q", "download", PACKAGE], environment=environment, cwd=directory)
    [archive] = directory.glob(f"{PACKAGE}_*.deb")
    return archive


def _mirror() -> str:
    """The address of the Debian archive that this machine uses."""
    fields = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    for line in _run(["apt-get", "indextargets", "--format", fields]).splitlines():
        origin, label, address = line.split("|", 2)
        if (origin, label) == ("Debian", "Debian"):
            return address
    raise HeadersUnavailable("apt knows no mirror of Debian (run apt-get update first)")


def _cache() -> Path:
    return Path(os.environ.get("PUREVIRT_CACHE") or Path.home() / ".cache" / "purevirt") / "layouts"


def _query(command: list[str]) -> str:
    """The command's output, or nothing where it fails or does not exist."""
    try:
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout
    except FileNotFoundError:
        return ""


def _run(command: list[str], *, environment: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, cwd=cwd)
    except FileNotFoundError as missing:
        raise HeadersUnavailable(f"{command[0]} is not installed") from missing
    if done.returncode:
        raise HeadersUnavailable(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout
