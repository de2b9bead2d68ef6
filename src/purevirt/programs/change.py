"""One change to one domain, by a process that does nothing else: `purevirt suspend`, `purevirt resume`.

The ordinary way opens the hypervisor and the store, finds the domain in them, and then calls the Xen daemon, which has
all of that open, and finds the domain again. A script that suspends a hundred domains pays for it a hundred times, and
most of it is imports. So here the daemon is told the domain's name, in one exchange, and nothing is loaded that this
does not take. Wherever that is not the whole story (another kind of host, no daemon, a domain that is named in another
way, or not found), nothing has been changed, and the ordinary way is for the caller to go: it says what is the matter.
"""

from __future__ import annotations

import os

from purevirt.api import uri as uris
from purevirt.channels.xend.once import exchange
from purevirt.channels.xend.transport import Request, Response
from purevirt.errors import ConnectError, NoSuchDomain, XenError

__all__ = ["change"]

_TIMEOUT = 30.0
_GRACE = 1.0  # the daemon keeps the limit as well, and can say better than we what did not happen in time
_PRIVCMD = "/dev/xen/privcmd"
_SOCKET = "/run/purevirt/xend.sock"
_DONE = b'{"result":null}'


def change(uri: str | None, operation: str, name: str) -> bool:
    """Let the daemon do it. False: that cannot be said in short, and nothing was changed.

    Raises what the operation raises on an open connection.
    """
    root = _root(uri)
    if root is None or not _is_plain(name):
        return False
    document = (
        f'{{"operation":"{operation}","domain":{{"uuid":null,"domid":null,"name":"{name}"}},'
        f'"arguments":{{}},"timeout":{_TIMEOUT}}}'
    )
    headers = (("Content-Type", "application/json"), ("Accept", "application/json"))
    request = Request("POST", "/purevirt/v1/call", headers, document.encode("ascii"))
    try:
        response = exchange(root + _SOCKET, request, _TIMEOUT + _GRACE)
    except ConnectError:
        return False
    except XenError as error:
        raise type(error)(
            f"{operation}: {error}", operation=operation, domain=name, channel="daemon", errno=error.errno
        ) from error
    if response.status == 200 and response.body == _DONE:
        return True
    told = _error(response)
    if isinstance(told, NoSuchDomain):
        return False
    raise told


def _root(uri: str | None) -> str | None:
    """Where the host is, if it is one that this process could open: whoever may not, is told so the ordinary way."""
    try:
        location = uris.choose(uri, os.environ, on_dom0=True)
    except XenError:
        return None
    if location.simulated or not os.access(location.root + _PRIVCMD, os.R_OK | os.W_OK):
        return None
    return location.root


def _is_plain(name: str) -> bool:
    """Whether it can only be a name, not an id or a UUID, and is the same in JSON."""
    if not 0 < len(name) < 256 or name.isdigit() or name.count("-") == 4:
        return False
    return name.isascii() and name.isprintable() and '"' not in name and "\\" not in name


def _error(response: Response) -> XenError:
    import json

    from purevirt.formats import xend_json

    try:
        return xend_json.error_from(json.loads(response.body))
    except (ValueError, RecursionError):
        return xend_json.error_from(None)
