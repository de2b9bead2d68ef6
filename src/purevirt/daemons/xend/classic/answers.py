"""Answers as xend sent them: status texts, headers in its order and spelling, S-expressions or a plain HTML page.

xend kept headers in a Python 2 dictionary, so their order is that of a hash table of eight places, and of a larger one
when there are six: recorded, not designed. A client gets S-expressions unless it looks like a browser.
"""

from __future__ import annotations

from html import escape
from typing import NamedTuple
from urllib.parse import quote

from purevirt.daemons.xend.http import Request, Response
from purevirt.errors import Denied, ReadOnly, XenError
from purevirt.wire import sxp

__all__ = [
    "HTML",
    "STRAY",
    "SXP",
    "TEXT",
    "Answer",
    "failed",
    "not_found",
    "present",
    "refused",
    "wants_html",
]

SXP = "application/sxp"
TEXT = "text/plain"
HTML = "text/html"
STRAY = "''"
"""The empty string that xend put after many bodies: the value of a function that had already written its answer."""


class Answer(NamedTuple):
    """What a resource answers. `text` None: no body, and no type.

    `links` are what a browser may go to from here; `words` is what it shows of an error.
    """

    text: str | None = None
    type: str = SXP
    status: int = 200
    reason: str = "OK"
    location: str | None = None
    links: tuple[str, ...] = ()
    words: str | None = None


def not_found(words: str) -> Answer:
    """404, with the words as text."""
    return Answer(words, TEXT, 404, "Not found")


def failed(operation: str, words: str, status: int = 500) -> Answer:
    """An operation that failed: the reason phrase names it, the body says why."""
    return Answer(sxp.text(["xend.err", words]), SXP, status, f"Request failed: {operation}", words=words)


def refused(error: XenError) -> Answer:
    """A read that failed: there is no operation to name."""
    if isinstance(error, (Denied, ReadOnly)):
        return Answer(str(error), TEXT, 403, "Forbidden")
    return Answer(str(error), TEXT, 500, "Internal server error")


def wants_html(request: Request) -> bool:
    """xend's rule: a client that names itself and what it accepts, and does not accept S-expressions."""
    accept = request.header("accept")
    return bool(request.header("user-agent") and accept and SXP not in accept)


def present(request: Request, path: str, answer: Answer) -> Response:
    """The bytes. HEAD is the server's business."""
    text, kind = answer.text, answer.type
    if kind == SXP and wants_html(request):
        text, kind = _page(path, answer), HTML
    body = b"" if text is None else text.encode("utf-8", "surrogateescape")
    return Response(
        answer.status,
        answer.reason,
        _headers(len(body), None if text is None else kind, answer.location),
        body,
    )


def _headers(length: int, kind: str | None, location: str | None) -> tuple[tuple[str, str], ...]:
    found = [("Content-length", str(length)), ("Expires", "-1")]
    if location is not None:
        found.append(("Location", location))
    elif kind is not None:
        found.append(("Content-type", kind))
    found += [("Pragma", "no-cache"), ("Cache-control", "no-cache")]
    if location is not None and kind is not None:
        found.append(("Content-type", kind))
    return tuple(found)


def _page(path: str, answer: Answer) -> str:
    """The same content for people: an error in a paragraph, anything else as it is, with links."""
    title = escape(path)
    if answer.words is not None:
        content = f"<p>{escape(answer.words)}</p>"
    else:
        content = f"<pre>{escape((answer.text or '').removesuffix(STRAY))}</pre>"
    base = path.rstrip("/")
    links = [("..", f"{base}/..")] if base else []
    links += [(name, f"{base}/{quote(name, safe='', errors='surrogateescape')}") for name in answer.links]
    items = "".join(f'<li><a href="{escape(target)}">{escape(name)}</a></li>' for name, target in links)
    return f"<html><head><title>{title}</title></head><body><h1>{title}</h1><ul>{items}</ul>{content}</body></html>\n"
