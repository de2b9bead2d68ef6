"""console: a domain's text console at this terminal."""

from __future__ import annotations

import os
import select
import signal
import stat
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from purevirt import errors
from purevirt.cli.context import complete_domain, pass_session
from purevirt.cli.session import Session

if TYPE_CHECKING:
    import purevirt

_LOOK = 0.25
"""How often a domain that is to come back is looked for, in seconds."""
_TURN = 0.5
_PENDING = 1 << 16
"""How many bytes that the guest has not taken yet are kept; what is typed beyond is dropped."""
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


def _escape(_context: click.Context, _parameter: click.Parameter, text: str) -> bytes:
    if len(text) == 2 and text[0] == "^" and 0x40 <= ord(text[1].upper()) < 0x60:
        return bytes((ord(text[1].upper()) & 0x1F,))
    if len(text) == 1 and text.isascii():
        return text.encode()
    raise click.BadParameter(f"{text!r} is no key: expected one character, or ^ and a letter, as in ^]")


@click.command()
@click.option("--devname", metavar="NAME", help="Another than the first console: console1, serial0.")
@click.option("--num", type=click.IntRange(0, 9999), metavar="N", help="The same by its number: consoleN.")
@click.option("--force", is_flag=True, help="Take it from a program that reads it.")
@click.option("--escape", callback=_escape, default="^]", metavar="KEY", help="What ends it. Default: ^].")
@click.option("--no-input", is_flag=True, help="Only print: nothing is typed, and no terminal needed.")
@click.option("--reconnect", is_flag=True, help="When it ends, wait until the domain runs again.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=10.0,
    metavar="SECONDS",
    help="For a new domain's console to be there. Default: 10.",
)
@click.argument("domain", shell_complete=complete_domain)
@pass_session
def console(
    session: Session,
    domain: str,
    devname: str | None,
    num: int | None,
    force: bool,
    escape: bytes,
    no_input: bool,
    reconnect: bool,
    timeout: float,
) -> None:
    """Connect this terminal to a domain's text console.

    Ends with status 0 when the escape key is pressed or the domain stops. With --no-input, or input from /dev/null,
    what the domain prints is copied to standard output, as it comes, until it stops.
    """
    if devname is not None and num is not None:
        raise click.UsageError("--devname and --num name the same thing: give one of them")
    device = devname if num is None else f"console{num}"
    source = None if no_input or _is_null() else 0
    if source is not None and not os.isatty(source):
        raise click.UsageError("standard input is no terminal: --no-input copies only what is printed")
    found = session.connection.lookup(domain)
    shown = found.name() or str(found.uuid)
    opened, domid = found.console(device, force=force, timeout=timeout), found.id()
    key = f"^{chr(escape[0] + 0x40)} (Ctrl + {chr(escape[0] + 0x40)})" if escape[0] < 32 else escape.decode()
    click.echo(f"Connected to domain '{shown}'", err=source is None)
    if source is not None:
        click.echo(f"Escape character is {key}")
    sys.stdout.flush()
    try:
        with _raw(source):
            stopped = _talk(opened, source, escape)
            while stopped and reconnect:
                opened.close()
                if _lives(found, domid):
                    _say(f"the console of domain '{shown}' has ended: waiting for its daemon", source)
                else:
                    _say(f"domain '{shown}' has stopped: waiting until it runs again", source)
                again = _again(found, device, force, timeout, source, escape)
                if again is None:
                    stopped = False
                    break
                opened, domid = again, found.id()
                _say(f"Connected to domain '{shown}'", source)
                stopped = _talk(opened, source, escape)
    finally:
        opened.close()
        click.echo("", err=source is None)
    if stopped and _lives(found, domid):
        raise errors.Closed(
            f"the console of domain {shown} has ended, and the domain runs: its console daemon was stopped",
            operation="console",
            domain=shown,
            channel="console",
        )
    if stopped:
        click.echo(f"domain '{shown}' has stopped", err=True)


def _is_null() -> bool:
    try:
        found = os.fstat(0)
        return stat.S_ISCHR(found.st_mode) and found.st_rdev == os.stat(os.devnull).st_rdev
    except OSError:
        return True  # it was closed (`<&-`)


def _talk(opened: purevirt.Console, source: int | None, escape: bytes) -> bool:
    """Until the console ends (True), or the person has enough."""
    console = opened.fileno()
    readers = [console] + ([] if source is None else [source])
    pending = bytearray()
    while True:
        # A guest that is paused takes nothing: its console must not wait for it, or the escape key did nothing.
        ready, _, _ = select.select(readers, [console] if pending else [], [], _TURN)
        ended = False
        if source in ready:
            assert source is not None
            typed, found, _ = _typed(source).partition(escape)
            pending += typed[: _PENDING - len(pending)]
            ended = bool(found)
        try:
            del pending[: opened.send(bytes(pending)) if pending else 0]
        except errors.Closed:
            return True
        if ended:
            return False
        if console in ready or not ready:  # whether it was taken over is seen by reading
            data = opened.read(0)
            if data == b"":
                return True
            _print(data or b"")


def _typed(source: int) -> bytes:
    data = os.read(source, 4096)
    if not data:
        raise click.exceptions.Exit(0)  # the terminal has gone
    return data


def _print(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _say(text: str, source: int | None) -> None:
    click.echo(f"\r\n{text}\r" if source is not None else text, err=True)


def _lives(found: purevirt.Domain, domid: int | None = None) -> bool:
    """Whether it runs, and with `domid` whether it is still the same: a console also ends when its daemon does, and
    after a reboot another domain has the UUID."""
    from purevirt import DomainState

    try:
        lives = found.state()[0] in (DomainState.RUNNING, DomainState.BLOCKED, DomainState.PAUSED)
        return lives and (domid is None or found.id() == domid)
    except (errors.NoSuchDomain, errors.DomainAmbiguous):
        return False  # or the one before it is still on its way out


def _again(
    found: purevirt.Domain,
    device: str | None,
    force: bool,
    timeout: float,
    source: int | None,
    escape: bytes,
) -> purevirt.Console | None:
    """The console of the domain that comes in its place; None: the person has enough."""
    while True:
        ready, _, _ = select.select([] if source is None else [source], [], [], _LOOK)
        if ready and source is not None and escape in _typed(source):
            return None
        try:
            if _lives(found):
                return found.console(device, force=force, timeout=timeout)
        except (errors.NoSuchDomain, errors.ConnectError, errors.NoSuchDevice, errors.Timeout):
            continue  # it is on its way out, or not yet there


@contextmanager
def _raw(source: int | None) -> Iterator[None]:
    """The terminal raw; as it was before however this ends."""
    if source is None:
        yield
        return
    before = termios.tcgetattr(source)
    handlers = {number: signal.signal(number, _ended) for number in _ENDINGS}
    try:
        tty.setraw(source)
        yield
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _ended(number: int, _frame: object) -> None:
    raise click.exceptions.Exit(128 + number)
