"""What `suspend`, `resume`, `shutdown`, `reboot` and `destroy` do and say, for both ways that lead to them (`quick`
and `commands.lifecycle`)."""

from __future__ import annotations

from purevirt._typing import TYPE_CHECKING
from purevirt.cli import output

if TYPE_CHECKING:
    from purevirt.cli.session import Session

__all__ = ["WORDS", "change"]

WORDS = {
    "suspend": "suspended",
    "resume": "resumed",
    "shutdown": "is being shutdown",
    "reboot": "is being rebooted",
    "destroy": "destroyed",
}
"""What virsh says when it is done."""


def change(session: Session, command: str, domain: str, timeout: float = 30.0, **arguments: str) -> None:
    """Do it, and say so."""
    getattr(session.connection.lookup(domain), command)(**arguments, timeout=timeout)
    output.done(session.json, f"Domain '{domain}' {WORDS[command]}")
