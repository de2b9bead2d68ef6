"""The daemon's channel, as the driver uses it: operations of the contract out, values of the model or exceptions
back.

The client, h11 and json are loaded with the first call, and so is the connection made; where the daemon was restarted
since, the next call connects again. A daemon that is gone is an error that says so: no other channel is tried.
"""

from __future__ import annotations

from _thread import allocate_lock
from collections.abc import Mapping

from purevirt._typing import TYPE_CHECKING, Any
from purevirt.channels import xend
from purevirt.drivers.xen.routes import how_to_start
from purevirt.errors import ChannelUnavailable, ConnectError, XenError
from purevirt.model import DomainRef

if TYPE_CHECKING:
    from purevirt.channels.xend.client import XendClient

__all__ = ["CHANGE_TIMEOUT", "READ_TIMEOUT", "Daemon"]

READ_TIMEOUT = 10.0
CHANGE_TIMEOUT = 30.0
"""The default deadlines, in seconds."""


class Daemon:
    """The Xen daemon of the host below `root`; `mode` is "blocking" or "aio"."""

    def __init__(self, root: str, mode: str) -> None:
        self._root = root
        self._mode = mode
        self._client: XendClient | None = None
        self._lock = allocate_lock()  # two threads make one client

    def another(self) -> Daemon:
        """The same daemon over connections of its own: for whoever waits long, and wants to be woken by `close`."""
        return Daemon(self._root, self._mode)

    async def close(self) -> None:
        """Close the connections there are."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _connected(self) -> XendClient:
        with self._lock:
            if self._client is None:
                from purevirt.channels.xend import dial

                self._client = dial.client(self._root + xend.SOCKET, self._mode)
            return self._client

    async def call(
        self,
        operation: str,
        ref: DomainRef | None = None,
        arguments: Mapping[str, object] | None = None,
        *,
        timeout: float | None = READ_TIMEOUT,
        grace: float | None = None,
        answers: bool = True,
    ) -> Any:
        """Let the daemon do it. `timeout` is in seconds; `grace` is how much longer the daemon's word is waited for;
        `answers` says whether a value is expected.

        Whatever the daemon raised; ChannelUnavailable: it is not there any more; Timeout, Closed: it did not answer,
        and whether the call took effect is unknown; RemoteProtocolError: what it answered makes no sense.
        """
        from purevirt.formats.xend_json import call, error_from, result

        client = self._connected()
        try:
            answer = await client.call(call(operation, ref, arguments or {}, timeout), timeout, grace=grace)
        except ConnectError as error:
            raise ChannelUnavailable(
                f"{operation} needs the Xen daemon, which answered when the connection was opened: {error}; "
                + how_to_start(self._root),
                operation=operation,
                domain=_domain(ref),
                channel="daemon",
                path=error.path,
                errno=error.errno,
            ) from error
        except XenError as error:
            raise type(error)(
                f"{operation}: {error}",
                operation=operation,
                domain=_domain(ref),
                channel="daemon",
                errno=error.errno,
            ) from error
        if "error" in answer:
            failed = error_from(answer)
            failed.operation = operation  # the call that was made, whatever the daemon did for its sake
            raise failed
        if answer["result"] is None and not answers:
            return None
        return result(operation, answer["result"])


def _domain(ref: DomainRef | None) -> str | None:
    return None if ref is None else ref.name or str(ref.uuid)
