"""Tells a simulated host which pages and ports of a new domain are its rings, over the host's bus.

On a real host a builder maps the new domain's pages for that, and writes into its grant table and start_info page.
"""

from __future__ import annotations

import asyncio
import errno
import os
from functools import partial

from purevirt.channels.bus.client import BusClient
from purevirt.channels.bus.memory import SharedMemory
from purevirt.errors import Closed, OperationError, Timeout
from purevirt.wire.bus.frames import BusOp, Notice

__all__ = ["Ring", "give"]

_TIMEOUT = 10.0

Ring = tuple[int, int]
"""A guest frame number, and a port."""


async def give(root: str, domid: int, store: Ring, console: Ring) -> None:
    """Let these be its rings. ConnectError, Closed: the host has gone; OperationError: it refuses."""
    client = BusClient.connect(f"{root}/dev/xen/bus", SharedMemory(f"{root}/dev/xen/memory"))
    loop = asyncio.get_running_loop()
    answers: list[asyncio.Future[Notice]] = []
    try:
        for op, (gfn, port) in ((BusOp.GIVE_STORE, store), (BusOp.GIVE_CONSOLE, console)):
            future: asyncio.Future[Notice] = loop.create_future()
            client.ask(partial(_answered, future), op, domid, gfn, port)
            answers.append(future)
        client.flush()  # two short records into an empty socket: they go at once
        loop.add_reader(client.fileno(), client.receive)
        try:
            async with asyncio.timeout(_TIMEOUT):
                notices = await asyncio.gather(*answers)
        except TimeoutError:
            raise Timeout("the bus of the simulated host does not answer", channel="bus") from None
    finally:
        if not client.closed:
            loop.remove_reader(client.fileno())
        client.close()
    for notice in notices:
        if notice.status == -errno.ECONNRESET:
            raise Closed("the bus of the simulated host has gone", channel="bus")
        if notice.status:
            raise OperationError(
                f"domain {domid} did not get its rings: {os.strerror(-notice.status)}",
                domain=str(domid),
                channel="bus",
                errno=-notice.status,
            )


def _answered(future: asyncio.Future[Notice], notice: Notice) -> None:
    if not future.done():
        future.set_result(notice)
