"""The short way to `purevirt list`, `suspend` and the like, without click.

Scripts and prompts call them again and again, and most of their time is imports, of which click is the largest. So the
plain forms of these commands are recognised here; whatever is not plain (another command, an abbreviation, --help, a
mistake) goes the long way through `app`, which decides. A test compares the two ways, word for word.

What changes a domain by its name is shorter still (`programs.change`): the Xen daemon finds it.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence

from purevirt._typing import NoReturn
from purevirt.cli.session import Session, abandon_output, report, report_unwritten

__all__ = ["run"]

_ONLY = {"--name": "name", "--uuid": "uuid", "--id": "id"}
_CHANGES = ("suspend", "resume", "shutdown", "reboot", "destroy")
_AT_ONCE = {
    "suspend": "suspended",
    "resume": "resumed",
    "destroy": "destroyed",
}  # as in `changing`, which is not loaded


class _Options:
    everything = False
    only: str | None = None
    change: str | None = None
    domain = ""


def run(arguments: Sequence[str]) -> int | None:
    """Run it if it is plain, and return the exit status; None if it is not."""
    session = Session()
    options = _parse(arguments, session)
    if options is None or "_PUREVIRT_COMPLETE" in os.environ:
        return None
    from purevirt.errors import XenError

    try:
        if options.change is not None and _at_once(session, options.change, options.domain):
            pass
        elif options.change is not None:
            from purevirt.cli import changing

            changing.change(session, options.change, options.domain)
        else:
            from purevirt.cli import listing

            listing.show(session, everything=options.everything, only=options.only)
        sys.stdout.flush()
    except XenError as error:
        return report(error, as_json=session.json)
    except BrokenPipeError:
        abandon_output()
    except OSError as error:
        return report_unwritten(error, as_json=session.json)
    except KeyboardInterrupt:
        return 130
    finally:
        session.close()
    return 0


def _at_once(session: Session, command: str, domain: str) -> bool:
    """Whether the daemon has done it, told no more than the name. Otherwise nothing was done."""
    if command not in _AT_ONCE or session.read_only or session.json:
        return False
    if not importlib.import_module("purevirt.programs.change").change(session.uri, command, domain):
        return False
    print(f"Domain '{domain}' {_AT_ONCE[command]}")
    return True


def leave(status: int) -> NoReturn:
    """End the process: everything is closed and flushed, so nothing has to be taken apart piece by piece."""
    sys.stderr.flush()
    os._exit(status)


def _parse(arguments: Sequence[str], session: Session) -> _Options | None:
    words = iter(arguments)
    for word in words:
        if word in ("-c", "--connect"):
            session.uri = next(words, None)
            if session.uri is None:
                return None
        elif word in ("-r", "--readonly"):
            session.read_only = True
        elif word == "list" or word in _CHANGES:
            break
        else:
            return None
    else:
        return None
    options = _Options()
    if word in _CHANGES:
        options.change = word
        return _plain_change(options, words, session)
    for word in words:
        if word == "--all":
            options.everything = True
        elif word == "--json":
            session.json = True
        elif word in _ONLY:
            options.only = _ONLY[word]
        else:
            return None
    return options


def _plain_change(options: _Options, words: Iterator[str], session: Session) -> _Options | None:
    """A domain, perhaps --json, and nothing else."""
    for word in words:
        if word == "--json":
            session.json = True
        elif word.startswith("-") or not word or options.domain:
            return None
        else:
            options.domain = word
    return options if options.domain else None
