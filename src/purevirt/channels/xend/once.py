"""One exchange with the Xen daemon over a connection of its own, for a program that makes no other.

`blocking` does the same for threads, many calls and connections that are kept; this loads half as much.
"""

from __future__ import annotations

import time

from purevirt.channels import unix
from purevirt.channels.xend.http import Http
from purevirt.channels.xend.transport import (
    CHANNEL,
    HINT,
    WHAT,
    Request,
    Response,
    lost,
    time_left,
    timed_out,
)
from purevirt.errors import Closed

__all__ = ["exchange"]

_RECEIVE = 64 * 1024


def exchange(path: str, request: Request, timeout: float) -> Response:
    """Send it, and return the answer. ConnectError: nothing was sent. Timeout, Closed, RemoteProtocolError: as
    `transport.Transport` has them."""
    deadline = time.monotonic() + timeout
    http, broken = Http(), None
    data = http.request(request)
    sock = unix.connect(path, timeout=timeout, what=WHAT, channel=CHANNEL, hint=HINT)
    try:
        sock.settimeout(time_left(deadline))
        try:
            sock.sendall(data)
        except TimeoutError:
            raise
        except OSError as error:
            broken = error  # what it refused our request with may still be there to read
        while True:
            left = time_left(deadline)
            if not left:
                raise TimeoutError
            sock.settimeout(left)
            response = http.feed(sock.recv(_RECEIVE))
            if response is not None:
                return response
    except TimeoutError:
        raise timed_out(timeout, sent=True) from None
    except Closed as error:
        raise lost(broken, False) from error
    except OSError as error:
        raise lost(broken or error, False) from error
    finally:
        sock.close()
