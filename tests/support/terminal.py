"""The command line as a person meets it: what one line prints, where, and with which status."""

from __future__ import annotations

import json
from typing import Any

import pytest

from purevirt.cli.app import run

__all__ = ["Terminal"]


class Terminal:
    """Runs command lines against one host; `err` is what the last one said on standard error."""

    def __init__(self, uri: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.uri, self.capsys = uri, capsys
        self.err = ""

    def __call__(self, *arguments: str, status: int = 0) -> str:
        """What it printed; of one that fails, as it must, its one line on standard error."""
        got = run(["-c", self.uri, *arguments])
        captured = self.capsys.readouterr()
        self.err = captured.err
        assert got == status, captured
        if status:
            assert len(captured.err.splitlines()) == 1, captured.err
            assert captured.out == ""
            return captured.err
        assert captured.err == "" or "inactive" in captured.err
        return captured.out

    def json(self, *arguments: str) -> Any:
        """What it printed with --json."""
        return json.loads(self(*arguments, "--json"))
