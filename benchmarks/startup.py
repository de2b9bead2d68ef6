"""`purevirt -c test:///default list` as a process: a host is started, listed and stopped. The limit is 250 ms."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import report

SRC = str(Path(__file__).resolve().parents[1] / "src")


def process(*argv: str) -> Callable[[], object]:
    # Byte code is kept, as an installed package keeps it.
    environment = {**os.environ, "PYTHONPATH": SRC}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return lambda: subprocess.run(
        [sys.executable, *argv], check=True, stdout=subprocess.DEVNULL, env=environment
    )


def main() -> None:
    options = report.options(__doc__, 15)
    candidates = {
        "python3 -c pass": process("-c", "pass"),
        "purevirt --version": process("-m", "purevirt", "--version"),
        "purevirt -c test:///default list": process("-m", "purevirt", "-c", "test:///default", "list"),
    }
    for run in candidates.values():
        run()
    report.show(
        "Start-up", report.interleave(candidates, options.rounds), "python3 -c pass", as_json=options.json
    )


if __name__ == "__main__":
    main()
