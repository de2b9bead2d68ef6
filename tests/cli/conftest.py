from __future__ import annotations

import pytest

from purevirt import testing
from tests.support.terminal import Terminal


@pytest.fixture
def purevirt(host: testing.Host, capsys: pytest.CaptureFixture[str]) -> Terminal:
    """A command line, and each module's own host."""
    return Terminal(host.uri, capsys)
