"""convert, validate, domxml-from-native, domxml-to-native: descriptions of domains in files. No host is needed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from purevirt import description, formats
from purevirt.cli import files, output
from purevirt.cli.context import json_option, pass_session
from purevirt.cli.session import Session
from purevirt.errors import ConfigError, InvalidConfig

__all__ = ["convert", "domxml_from_native", "domxml_to_native", "validate"]

F = TypeVar("F", bound=Callable[..., Any])

_WRITABLE = [name for name, (_, writable) in formats.FORMATS.items() if writable]
_ENDINGS = {".xml": "xml", ".cfg": "xen-xl", ".conf": "xen-xl", ".sxp": "xen-sxpr"}
_NATIVE = ["xen-xl", "xen-sxpr"]


def _report_options(function: F) -> F:
    report = click.option(
        "--report", is_flag=True, help="List what the target has no words for, on standard error."
    )
    strict = click.option(
        "--strict", is_flag=True, help="Fail if there is anything that the target has no words for."
    )
    return report(strict(function))


@click.command()
@click.argument("source", metavar="IN", type=click.Path(allow_dash=True))
@click.argument("target", metavar="[OUT]", default="-", type=click.Path(allow_dash=True, dir_okay=False))
@click.option(
    "--from", "from_", type=click.Choice(list(formats.FORMATS)), help="IN's format; else recognised."
)
@click.option(
    "--to",
    type=click.Choice(_WRITABLE),
    help="OUT's format; else by its ending (.xml, .cfg, .sxp), else the one that IN has not.",
)
@click.option("--force", is_flag=True, help="Replace OUT if it is there.")
@_report_options
@json_option
@pass_session
def convert(
    session: Session,
    source: str,
    target: str,
    from_: str | None,
    to: str | None,
    force: bool,
    report: bool,
    strict: bool,
) -> None:
    """Turn a description of a domain into another format.

    IN and OUT are files; "-" is standard input and output. Formats: xml (libvirt's), xen-xl (xl.cfg), xen-sxpr (what
    xend took), and to read only libxl-json (what libxl records of a running domain). What OUT's format has no words
    for is carried in it, in a place that its own programs pass over, and comes back.
    """
    data = files.read(source)
    name = files.shown(source)
    known = formats.recognise(data, file=name) if from_ is None else from_
    wanted = to or _by_ending(target) or ("xen-xl" if known == "xml" else "xml")
    done = formats.convert(data, wanted, from_=known, strict=strict, file=name)
    secret = description.has_secrets(done.description)
    if session.json:
        if target != "-":
            files.write(target, done.text, force=force, secret=secret)
        output.print_json(
            {
                "from": known,
                "to": wanted,
                "file": None if target == "-" else target,
                "text": done.text if target == "-" else None,
                "unsaid": [
                    {"path": item.path, "value": item.value, "instead": item.native} for item in done.unsaid
                ],
                "comments_left": done.comments,
            }
        )
        return
    files.write(target, done.text, force=force, secret=secret)
    _tell(done, wanted, report)


@click.command()
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))
@click.option("--format", "format_", type=click.Choice(list(formats.FORMATS)), help="Else recognised.")
@json_option
@pass_session
def validate(session: Session, file: str, format_: str | None) -> int:
    """Check a description of a domain: can it be read, and could there be such a domain?

    Mistakes are told with line and column where they have one. Nothing is asked of a host: whether its files and
    bridges are there shows when the domain is created.
    """
    data, name = files.read(file), files.shown(file)
    known = formats.recognise(data, file=name) if format_ is None else format_
    try:
        document = formats.parse(data, known, file=name)
    except ConfigError as error:
        if session.json:
            place = {"line": error.line, "column": error.column}
            output.print_json({"valid": False, "problems": [{"path": None, "message": str(error), **place}]})
            return error.exit_status
        raise
    said = document.description
    found = description.problems(said)
    if session.json:
        problems = [{"path": one.path, "message": one.message, "line": None, "column": None} for one in found]
        output.print_json({"valid": not found, "format": known, "name": said.name, "problems": problems})
    elif found:
        for one in found:
            click.echo(f"{output.text(name)}: {one.path}: {output.text(one.message)}", err=True)
    else:
        kind = said.type.name
        click.echo(f"{output.text(name)}: valid {known}, {kind} domain {output.text(repr(said.name))}")
    return InvalidConfig.exit_status if found else 0


@click.command("domxml-from-native")
@click.argument("format_", metavar="FORMAT", type=click.Choice(_NATIVE))
@click.argument("file", metavar="FILE", type=click.Path(allow_dash=True))
@_report_options
@pass_session
def domxml_from_native(session: Session, format_: str, file: str, report: bool, strict: bool) -> None:
    """Turn an xl.cfg (FORMAT xen-xl) or what xend took (xen-sxpr) into libvirt's XML."""
    done = formats.convert(files.read(file), "xml", from_=format_, strict=strict, file=files.shown(file))
    files.write("-", done.text, force=True)
    _tell(done, "xml", report)


@click.command("domxml-to-native")
@click.argument("format_", metavar="FORMAT", type=click.Choice(_NATIVE))
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(allow_dash=True))
@click.option("--xml", "xml", metavar="FILE", type=click.Path(allow_dash=True), help="The same as FILE.")
@click.option("--domain", metavar="DOMAIN", help="Of a domain of the host, instead of a file.")
@_report_options
@pass_session
def domxml_to_native(
    session: Session,
    format_: str,
    file: str | None,
    xml: str | None,
    domain: str | None,
    report: bool,
    strict: bool,
) -> None:
    """Turn libvirt's XML into an xl.cfg (FORMAT xen-xl) or what xend took (xen-sxpr)."""
    given = [one for one in (file, xml, domain) if one is not None]
    if len(given) != 1:
        raise click.UsageError("name one of FILE, --xml FILE and --domain DOMAIN")
    if domain is not None:
        data: str | bytes = session.connection.lookup(domain).xml()
        name = f"domain {domain}"
    else:
        path = file or xml or ""
        data, name = files.read(path), files.shown(path)
    done = formats.convert(data, format_, from_="xml", strict=strict, file=name)
    files.write("-", done.text, force=True)
    _tell(done, format_, report)


def _by_ending(target: str) -> str | None:
    for ending, name in _ENDINGS.items():
        if target.lower().endswith(ending):
            return name
    return None


def _tell(done: formats.Conversion, to: str, report: bool) -> None:
    """What could not be said, on standard error: the output may be a file's content."""
    lines = done.report
    if report:
        for line in lines:
            click.echo(f"{to} cannot say: {output.text(line)}", err=True)
    elif done.unsaid and sys.stderr.isatty():
        count = len(done.unsaid)
        things = f"{count} thing{'s' if count > 1 else ''}"
        click.echo(f"{things} that {to} has no words for, carried along; --report lists them", err=True)
