"""The short way to `purevirt list`, without click.

Scripts and prompts call `list` again and again, and most of its time is imports, of which click is the largest. So
the plain forms of this one command are recognised here; whatever is not plain (another command, an abbreviation,
--help, a mistake) goes the long way through `app`, which decides. A test compares the two ways, word for word.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from purevirt._typing import NoReturn
from purevirt.cli.session import Session, abandon_output, report

__all__ = ["run"]

_ONLY = {"--name": "name", "--uuid": "uuid", "--id": "id"}


class _Options:
    everything = False
    only: str | None = None


def run(arguments: Sequence[str]) -> int | None:
    """Run it if it is a plain `list`, and return the exit status; None if it is not."""
    session = Session()
    options = _parse(arguments, session)
    if options is None or "_PUREVIRT_COMPLETE" in os.environ:
        return None
    from purevirt.cli import listing
    from purevirt.errors import XenError

    try:
        listing.show(session, everything=options.everything, only=options.only)
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
