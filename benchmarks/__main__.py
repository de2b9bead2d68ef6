"""Run every benchmark that needs no lab, each in a process of its own."""

from __future__ import annotations

import subprocess
import sys

MODULES = (
    "startup",
    "scaling",
    "classic",
    "xend",
    "xenstore_client",
    "xenstored",
    "xl_config",
    "domain_xml",
    "building",
    "supervision",
)


def main() -> int:
    status = 0
    for module in MODULES:
        status |= subprocess.run(
            [sys.executable, "-m", f"benchmarks.{module}", *sys.argv[1:]], check=False
        ).returncode
    return status


if __name__ == "__main__":
    sys.exit(main())
