"""Files in which it is recorded what comes out; a change of that shows as a change of them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["golden"]


def golden(path: Path, text: str) -> str:
    """What is recorded; PUREVIRT_REGENERATE=1 records it anew."""
    if os.environ.get("PUREVIRT_REGENERATE") == "1":
        path.write_text(text)
    return path.read_text()
