"""The short way to `purevirt list`, `suspend` and `resume`, without click.

Scripts and prompts call them again and again, and most of their time is imports, of which click is the largest. So the
plain forms of these commands are recognised here; whatever is not plain (another command, an abbreviation, --help, a
mistake) goes the long way through `app`, which decides. A test compares the two ways, word for word.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

from purevirt._typing import NoReturn
from purevirt.cli.session import Session, abandon_output, report

__all__ = ["run"]

_ONLY = {"--name": "name", "--uuid": "uuid", "--id": "id"}
_CHANGES = {"suspend": "suspended", "resume": "resumed"}


class _Options:
    everything = False
    only: str | None = None
    change: str | None = None
    domain: str | None = None


def run(arguments: Sequence[str]) -> int | None:
    """Run it if it is a plain command of these, and return the exit status; None if it is not."""
    session = Session()
    options = _parse(arguments, session)
    if options is None or "_PUREVIRT_COMPLETE" in os.environ:
        return None
    from purevirt.errors import XenError

    try:
        if options.change is None:
            from purevirt.cli import listing

            listing.show(session, everything=options.everything, only=options.only)
        elif not _change(session, options.change, options.domain or ""):
            return None
        sys.stdout.flush()
    except XenError as error:
        return report(error, as_json=session.json)
    except BrokenPipeError:
        abandon_output()
    except KeyboardInterrupt:
        return 130
    finally:
        session.close()
    return 0


def _change(session: Session, operation: str, domain: str) -> bool:
    """Whether it was done. Otherwise nothing was, and the long way knows more."""
    program = importlib.import_module("purevirt.programs.change")
    if not program.change(session.uri, operation, domain):
        return False
    if session.json:
        from purevirt.cli import output

        output.done(True)
    else:
        print(f"Domain '{domain}' {_CHANGES[operation]}")
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
        elif word == "list":
            break
        elif word in _CHANGES and not session.read_only:
            return _parse_change(word, list(words), session)
        else:
            return None
    else:
        return None
    options = _Options()
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


def _parse_change(word: str, rest: list[str], session: Session) -> _Options | None:
    if "--json" in rest:
        session.json = True
        rest.remove("--json")
    if len(rest) != 1 or rest[0].startswith("-"):
        return None
    options = _Options()
    options.change, options.domain = word, rest[0]
    return options
