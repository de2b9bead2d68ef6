"""store ls|tree|read|write|rm|chmod|watch: the Xen Store from the command line.

Without -c, the store is found as the C tools find it, so these work in a guest as well.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from purevirt.cli import output
from purevirt.cli.context import json_option, pass_session
from purevirt.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    import purevirt


@contextmanager
def _open(session: Session) -> Iterator[purevirt.Store]:
    if session.uri or os.environ.get("PUREVIRT_URI") or os.environ.get("LIBVIRT_DEFAULT_URI"):
        yield session.connection.store
        return
    import purevirt.store

    with purevirt.store.open(read_only=session.read_only) as found:
        yield found


@click.group()
def store() -> None:
    """Read, write and watch the Xen Store."""


@store.command()
@click.option("-f", "--full", is_flag=True, help="Whole paths instead of names.")
@click.argument("path", default="/")
@json_option
@pass_session
def ls(session: Session, path: str, full: bool) -> None:
    """List the children of a node."""
    with _open(session) as found:
        names = found.list(path)
    if full:
        names = [f"{path.rstrip('/')}/{name}" for name in names]
    if session.json:
        output.print_json(names)
    else:
        for name in names:
            click.echo(name)


@store.command()
@click.option("-f", "--full", is_flag=True, help="A line per node with its whole path, as xenstore-ls -f.")
@click.argument("path", default="/")
@json_option
@pass_session
def tree(session: Session, path: str, full: bool) -> None:
    """Show a node and everything below it, with values."""
    with _open(session) as found:
        nodes = found.tree(path)
    if session.json:
        output.print_json(nodes)
        return
    base = path.rstrip("/")
    depth_of_base = base.count("/")
    for node in _depth_first(nodes):
        if node in (path, base) and not full:
            continue
        depth = node.count("/") - depth_of_base - 1
        label = node if full else " " * depth + node.rpartition("/")[2]
        click.echo(f'{label} = "{_value(nodes[node])}"')


def _depth_first(nodes: dict[str, str]) -> list[str]:
    """The tree comes level by level; people read it branch by branch."""
    return sorted(nodes, key=lambda path: path.rstrip("/").split("/"))


def _value(value: str) -> str:
    return output.text(value.replace("\\", "\\\\").replace('"', '\\"'))


@store.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--raw", is_flag=True, help="The bytes of one value, without a newline.")
@json_option
@pass_session
def read(session: Session, paths: tuple[str, ...], raw: bool) -> None:
    """Show the values of nodes, one a line."""
    if raw and len(paths) > 1:
        raise click.UsageError("--raw takes one path: values have no separator")
    with _open(session) as found:
        if raw:
            click.echo(found.read_bytes(paths[0]), nl=False)
            return
        values = {path: found.read(path) for path in paths}
    if session.json:
        output.print_json(values)
    else:
        for value in values.values():
            click.echo(output.text(value))


@store.command()
@click.argument("path")
@click.argument("value")
@json_option
@pass_session
def write(session: Session, path: str, value: str) -> None:
    """Set a node's value, creating it and its parents as needed."""
    with _open(session) as found:
        found.write(path, value)
    output.done(session.json)


@store.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@json_option
@pass_session
def rm(session: Session, paths: tuple[str, ...]) -> None:
    """Remove nodes with everything below them."""
    with _open(session) as found:
        for path in paths:
            if not found.exists(path):
                found.read(path)  # the error that says so
        for path in paths:
            found.remove(path)
    output.done(session.json)


@store.command()
@click.argument("path")
@click.argument("permissions", nargs=-1, metavar="[PERMISSION...]")
@json_option
@pass_session
def chmod(session: Session, path: str, permissions: tuple[str, ...]) -> None:
    """Show or set a node's permissions, as in: chmod PATH n0 r5.

    The first names the owner, and its letter what everyone else may do: n nothing, r read, w write, b both.
    """
    with _open(session) as found:
        if permissions:
            found.set_permissions(path, permissions)
            output.done(session.json)
            return
        shown = [str(entry) for entry in found.permissions(path)]
    if session.json:
        output.print_json(shown)
    else:
        click.echo(" ".join(shown))


@store.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("-n", "--count", type=click.IntRange(min=1), help="End after so many events.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="End after so long.")
@click.option("--values", is_flag=True, help="Also read the node that the event names.")
@json_option
@pass_session
def watch(
    session: Session, paths: tuple[str, ...], count: int | None, timeout: float | None, values: bool
) -> None:
    """Print a line for each change at or below the paths; each path is told once at the start.

    Special paths: @introduceDomain, @releaseDomain. With --json, an object a line. Ends with status 7 when --timeout
    passes before --count events came.
    """
    from purevirt.errors import Timeout
    from purevirt.store import Event

    deadline = None if timeout is None else time.monotonic() + timeout
    seen = 0
    with _open(session) as found, found.watch(*paths) as events:
        while count is None or seen < count:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            notice = events.next(left)
            if notice is None:
                if count is not None:
                    raise Timeout(f"{seen} of {count} events came within {timeout:g} s", operation="watch")
                return
            seen += 1
            shown: dict[str, object] = {"kind": type(notice).__name__.lower(), **notice._asdict()}
            if isinstance(notice, Event):
                line = notice.path
                if values and not notice.path.startswith("@"):
                    shown["value"] = value = found.get(notice.path)
                    line += " (gone)" if value is None else f' = "{_value(value)}"'
            else:
                line = f"# {shown}"
            click.echo(
                json.dumps(output.jsonable(shown), ensure_ascii=False) if session.json else output.text(line)
            )
            sys.stdout.flush()
