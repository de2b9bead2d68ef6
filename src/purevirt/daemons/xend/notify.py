"""Tells the service manager how the daemon is doing: sd_notify(3)'s protocol, as systemd and others speak it.

A datagram of NAME=VALUE lines goes to the Unix socket that $NOTIFY_SOCKET names, a path or, after an @, an abstract
name. $WATCHDOG_USEC is how often the manager wants to hear that the daemon lives, $WATCHDOG_PID which process it means.

The variables are taken out of the environment: what the daemon runs (scripts, tools) must not speak in its name. A
message that cannot be sent is logged and otherwise forgotten: a daemon does not end because nobody listens.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import MutableMapping

__all__ = ["Notifier"]

_TIMEOUT = 1.0  # for a manager whose queue is full: the event loop waits as long
_LONGEST = 1024  # characters of a status

_log = logging.getLogger(__name__)


class Notifier:
    """Sends. Without an address every method does nothing. `watchdog`: seconds, or None if nobody watches."""

    def __init__(self, address: str | None, watchdog: float | None = None) -> None:
        self.watchdog = watchdog if address else None
        self._address = address
        self._complained = False

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> Notifier:
        """As the manager asked for it; its variables are removed."""
        address = environment.pop("NOTIFY_SOCKET", None)
        usec = environment.pop("WATCHDOG_USEC", "")
        pid = environment.pop("WATCHDOG_PID", "")
        if address and address[0] not in "/@":
            _log.warning(
                "NOTIFY_SOCKET is %r, which is no path and no abstract name: nobody is told", address
            )
            address = None
        ours = not pid or pid == str(os.getpid())
        seconds = int(usec) / 1e6 if ours and usec.isascii() and usec.isdigit() else 0.0
        return cls(address or None, seconds or None)

    def ready(self, status: str) -> None:
        """The daemon serves: after its start, and after each reload."""
        self._send("READY=1", _status(status))

    def reloading(self) -> None:
        """The settings are being read again. The time tells the manager which reload a later READY is of."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The daemon ends."""
        self._send("STOPPING=1", _status("ending"))

    def longer(self, seconds: float) -> None:
        """The end takes at least so much longer: the manager is not to give up."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def status(self, status: str) -> None:
        """What a person should know."""
        self._send(_status(status))

    def alive(self) -> None:
        """The watchdog may wait anew."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        where = f"\0{self._address[1:]}" if self._address[0] == "@" else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                sock.settimeout(_TIMEOUT)
                sock.sendto("\n".join(lines).encode("utf-8", "replace"), where)
        except OSError as error:
            if not self._complained:
                _log.warning("the service manager cannot be told %s: %s", lines[0], error)
            self._complained = True
        else:
            self._complained = False


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())[:_LONGEST]}"
