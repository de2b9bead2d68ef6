"""Debian's real xl as a reader of configuration files: what it makes of one, on a machine without Xen."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from ._packages import PeerError, programs, shim

_SOURCE = Path(__file__).with_name("xl.c")


def xl_create_dry_run(config: str, *, deadline: float = 20.0) -> dict[str, Any]:
    """What ``xl create -n -d`` prints of a configuration file: libxl's record of the domain, as JSON.

    `config` is written with surrogate escapes. Raises PeerError with xl's words if it refuses the file, or dies.
    """
    directory = programs()
    if directory is None or not (directory / "xl").exists():
        raise PeerError("xl is missing (package xen-utils-4.17)")
    environment = {**os.environ, "LD_PRELOAD": str(shim(_SOURCE)), "LC_ALL": "C"}
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "domain.cfg"
        path.write_text(config, encoding="utf-8", errors="surrogateescape", newline="")
        done = subprocess.run(
            [str(directory / "xl"), "create", "-n", "-d", str(path)], env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, encoding="utf-8", errors="replace", timeout=deadline, check=False,
        )  # fmt: skip
    if done.returncode or not done.stdout:
        raise PeerError(f"xl ended with {done.returncode}: {done.stderr.strip()}")
    described: dict[str, Any] = json.loads(done.stdout)
    return described
