"""The tree: which resource a path names, and what its methods are."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from purevirt.channels.files import HostFiles
from purevirt.daemons.xend.classic import domains, node
from purevirt.daemons.xend.classic.answers import STRAY, TEXT, Answer, not_found, present, refused
from purevirt.daemons.xend.classic.arguments import Arguments, read_arguments
from purevirt.daemons.xend.classic.context import Background, Context, Operations, perform, unavailable
from purevirt.daemons.xend.classic.gather import Facts, Reads
from purevirt.daemons.xend.classic.halted import Halted
from purevirt.daemons.xend.contract import Calls
from purevirt.daemons.xend.http import Request, Response
from purevirt.errors import XenError

__all__ = ["ClassicFace"]

_VNET: Operations = {
    "create": unavailable("not supported: this daemon has no vnets", config=Arguments.expression)
}


class ClassicFace:
    """The handler of every path that is not our own.

    `files` is where the host's files are; `keep` see `gather`; `patience` is how long (seconds) an operation that is
    answered with 202 is awaited before.
    """

    def __init__(self, calls: Calls, files: HostFiles, *, keep: float = 1.0, patience: float = 2.0) -> None:
        self._calls = calls
        self._files = files
        self._facts = Facts(calls, keep)
        self._halted = Halted()
        self._background = Background(patience)

    async def __call__(self, request: Request) -> Response:
        """The answer to one request. It raises nothing that a client could bring about."""
        path, query = _target(request.target)
        try:
            arguments = read_arguments(request, query)
        except ValueError as error:
            return present(request, path, Answer(str(error), TEXT, 400, "Bad request"))
        reads = Reads(self._calls, request.caller)
        context = Context(
            request, path, arguments, reads, self._facts, self._halted, self._files, self._background
        )
        try:
            answer = await _answer(context)
        except XenError as error:
            answer = refused(error)
        return present(request, path, answer)

    async def close(self) -> None:
        """Give up what was accepted and still goes on."""
        await self._background.close()


def _target(target: str) -> tuple[str, str]:
    """Path and query. A client that talks to a proxy sends a whole URL."""
    if not target.startswith("/"):
        try:
            target = urlsplit(target)._replace(scheme="", netloc="").geturl() or "/"
        except ValueError:
            target = "/"
    path, _, query = target.partition("#")[0].partition("?")
    return path, query


async def _answer(context: Context) -> Answer:
    method = context.request.method
    if method not in ("GET", "HEAD", "POST"):
        return Answer(f"Request method not supported ({method})", TEXT, 501, "Not implemented")
    post = method == "POST"
    elements = [unquote(one, errors="surrogateescape") for one in context.path.split("/") if one]
    match elements:
        case []:
            return await _directory(context, post)
        case ["xend"]:
            return await _directory(context, post, "node", "domain", "vnet")
        case ["xend", "domain"]:
            return await (domains.post_domains if post else domains.get_domains)(context)
        case ["xend", "domain", name]:
            return await (domains.post_domain if post else domains.get_domain)(context, name)
        case ["xend", "node"]:
            return await (perform(context, node.NODE) if post else node.get_node(context))
        case ["xend", "node", "dmesg"]:
            return await (perform(context, node.DMESG) if post else node.get_dmesg(context))
        case ["xend", "node", "log"]:
            return await (perform(context, {}) if post else node.get_log(context))
        case ["xend", "vnet"]:
            return await perform(context, _VNET) if post else Answer("()")
    return not_found(f"Not found {elements[_known(elements)]}")


def _known(elements: list[str]) -> int:
    """How many elements of a path lead somewhere."""
    if elements[0] != "xend":
        return 0
    if len(elements) < 3 or elements[1] not in ("node", "domain", "vnet"):
        return 1
    deeper = elements[1] == "domain" or (elements[1] == "node" and elements[2] in ("dmesg", "log"))
    return 3 if deeper else 2


async def _directory(context: Context, post: bool, *names: str) -> Answer:
    """A list of what is below, written by hand in xend: hence the two spaces."""
    if post:
        return await perform(context, {})
    inner = "".join(f" {name}" for name in names)
    return Answer(f"(ls {inner}){STRAY}", links=names or ("xend",))
