"""The text console of a domain: the terminal that its console daemon serves. `terminal` opens it, under the lock that
Xen's own `xenconsole` takes; `blocking` and `aio` move bytes; `transport` is what both offer."""

from purevirt.channels.console.terminal import Terminal
from purevirt.channels.console.transport import Transport

__all__ = ["Terminal", "Transport", "dial"]


def dial(terminal: Terminal, mode: str) -> Transport:
    """A transport over an open terminal; `mode` is "blocking" or "aio"."""
    if mode == "aio":
        from purevirt.channels.console.aio import AsyncioTransport

        return AsyncioTransport(terminal)
    from purevirt.channels.console.blocking import BlockingTransport

    return BlockingTransport(terminal)
