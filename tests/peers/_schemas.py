"""libvirt's own schemas (RelaxNG), and xmllint, which holds documents against them."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ._packages import required

SCHEMAS = Path("/usr/share/libvirt/schemas")


def need_schemas() -> None:
    """In a test or fixture: skip where they are missing, or fail if PUREVIRT_REQUIRE_PEERS=1."""
    missing = []
    if not (SCHEMAS / "domain.rng").exists():
        missing.append("libvirt's schemas (package libvirt0)")
    if shutil.which("xmllint") is None:
        missing.append("xmllint (package libxml2-utils)")
    required(missing)


def schema_faults(schema: str, documents: Sequence[str]) -> list[str]:
    """What xmllint says of all of them; one process, since each start reads the schema."""
    with tempfile.TemporaryDirectory() as directory:
        names = []
        for number, document in enumerate(documents):
            file = Path(directory) / f"{number}.xml"
            file.write_text(document)
            names.append(str(file))
        done = subprocess.run(
            ["xmllint", "--noout", "--relaxng", str(SCHEMAS / schema), *names],
            capture_output=True,
            text=True,
            check=False,
        )
    found = [line for line in done.stderr.splitlines() if not line.endswith(" validates")]
    assert bool(found) == (done.returncode != 0), done.stderr
    return found
