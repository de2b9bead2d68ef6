"""systemd-analyze, which says what systemd has against a unit; no systemd need run."""

from __future__ import annotations

import shutil

from ._packages import required


def need_systemd() -> None:
    """In a test or fixture: skip where it is missing, or fail if PUREVIRT_REQUIRE_PEERS=1."""
    found = shutil.which("systemd-analyze")
    required([] if found else ["systemd-analyze (package systemd)"])
