"""define, undefine, edit, autostart, desc, metadata."""

from __future__ import annotations

import difflib
import os
import tempfile

import click

import purevirt
from purevirt import formats
from purevirt.cli import files, output
from purevirt.cli.commands.life import description_in
from purevirt.cli.context import domain_argument, json_option, pass_session
from purevirt.cli.session import Session
from purevirt.errors import Conflict, Denied, NoSuchDomain, WrongState, XenError

__all__ = ["autostart", "define", "desc", "edit", "metadata", "undefine"]

_FORMATS = list(formats.FORMATS)
_ENDINGS = {"xml": ".xml", "xen-xl": ".cfg", "xen-sxpr": ".sxp"}


@click.command()
@click.option("--format", "form", type=click.Choice(_FORMATS), help="What is in FILE; else recognised.")
@click.option("--validate", is_flag=True, help="For virsh's sake: what cannot be is always refused.")
@click.argument("file")
@json_option
@pass_session
def define(session: Session, file: str, form: str | None, validate: bool) -> None:
    """Have a domain remembered, or remembered otherwise than before.

    FILE is XML, an xl.cfg or what xend took; - for standard input. It is kept as it is, comments and all.
    """
    text = description_in(file)
    form = form or formats.recognise(text, file=files.shown(file))
    formats.parse(text, form, file=files.shown(file))  # a mistake is told with the file's name, and its line
    found = session.connection.define(text, format=form)
    if session.json:
        output.print_json(found.definition())
    else:
        click.echo(f"Domain '{output.text(found.name())}' defined from {files.shown(file)}")


@click.command()
@click.option("--managed-save", is_flag=True, help="Lose its saved state as well.")
@domain_argument
@json_option
@pass_session
def undefine(session: Session, domain: str, managed_save: bool) -> None:
    """Have a domain forgotten.

    If it runs it goes on, until it ends.
    """
    session.connection.lookup(domain).undefine(managed_save=managed_save)
    output.done(session.json, f"Domain '{domain}' has been undefined")


@click.command()
@click.option("--disable", is_flag=True, help="Do not start it with the host.")
@click.option("--order", type=int, help="Those of a lower order are started first. Default: 0.")
@domain_argument
@json_option
@pass_session
def autostart(session: Session, domain: str, disable: bool, order: int | None) -> None:
    """Have a domain started with its host, or not."""
    session.connection.lookup(domain).set_autostart(not disable, order=order)
    output.done(session.json, f"Domain '{domain}' {'unmarked' if disable else 'marked'} as autostarted")


@click.command()
@click.option("--title", is_flag=True, help="The title, one line, instead of the description.")
@click.option("--live", is_flag=True, hidden=True, help="For virsh's sake.")
@click.option("--config", is_flag=True, help="For virsh's sake: it is always the definition's.")
@click.option("--edit", "in_editor", is_flag=True, help="Open it in an editor.")
@click.option("--new-desc", metavar="TEXT", help="As an option, for virsh's sake.")
@domain_argument
@click.argument("words", metavar="[TEXT]...", nargs=-1)
@json_option
@pass_session
def desc(
    session: Session,
    domain: str,
    words: tuple[str, ...],
    new_desc: str | None,
    title: bool,
    live: bool,
    config: bool,
    in_editor: bool,
) -> None:
    """Show a domain's description in words, or its title, or give it another; an empty one takes it away."""
    if live:
        raise WrongState("a running domain has no description of its own: it is its definition's (--config)")
    found = session.connection.lookup(domain)
    known = found.description(live=False)
    now = known.title if title else known.summary
    text = new_desc if new_desc is not None else (" ".join(words) if words else None)
    what = "title" if title else "description"
    if in_editor:
        edited = click.edit(now or "")
        text = now or "" if edited is None else edited.rstrip("\n")
    if text is None:
        if session.json:
            output.print_json({what: now})
        else:
            click.echo(output.text(now) if now else f"No {what} for domain: {domain}")
        return
    try:
        (found.set_title if title else found.set_summary)(text or None)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    output.done(session.json, f"Domain {what} updated successfully")


@click.command()
@click.option("--key", metavar="PREFIX", help="The prefix of the namespace, for an element that has none.")
@click.option("--set", "element", metavar="XML", help="Keep this element, in place of the one there is.")
@click.option("--remove", is_flag=True, help="Take the element away.")
@click.option("--config", is_flag=True, help="For virsh's sake: it is always the definition's.")
@domain_argument
@click.argument("uri")
@json_option
@pass_session
def metadata(
    session: Session,
    domain: str,
    uri: str,
    key: str | None,
    element: str | None,
    remove: bool,
    config: bool,
) -> None:
    """Show, set or remove the XML that another program keeps with a domain's definition.

    URI is the namespace of its element.
    """
    if remove and element is not None:
        raise click.UsageError("give --set or --remove, not both")
    found = session.connection.lookup(domain)
    if remove or element is not None:
        found.set_metadata(uri, element, key=key)
        output.done(session.json, f"Metadata {'removed' if remove else 'modified'}")
        return
    kept = found.metadata(uri)
    if session.json:
        output.print_json({"metadata": kept})
    elif kept is None:
        raise XenError(f"the definition of domain {domain} has no metadata of {uri}")
    else:
        click.echo(kept)


@click.command()
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_ENDINGS)),
    help="Edit it in another format than it is kept in.",
)
@domain_argument
@pass_session
def edit(session: Session, domain: str, form: str | None) -> None:
    """Change a domain's definition in an editor: $VISUAL, $EDITOR, or vi.

    What was changed is checked, shown and applied. If it cannot be, you may go on editing; nothing that you wrote is
    lost. A running domain goes by it when it is started next.
    """
    work = _Edited(session.connection.lookup(domain), form)
    try:
        applied = work.go_on(session.connection)
    except _GivenUp:
        raise XenError(f"nothing was changed; what you wrote is in {work.in_file()}") from None
    except BaseException:
        if work.text != work.kept:
            click.echo(f"purevirt: what you wrote is in {work.in_file()}", err=True)
        raise
    click.echo(f"Domain '{domain}' configuration {'edited' if applied else 'not changed'}")


class _GivenUp(Exception):
    """Whoever edits has had enough, or cannot be asked."""


class _Edited:
    """A definition in an editor: `kept` as the daemon has it, `text` as it is to be."""

    def __init__(self, domain: purevirt.Domain, form: str | None) -> None:
        self._domain = domain
        self.form = form or ""
        self._read()
        self.text = self.kept

    def _read(self) -> None:
        try:
            known = self._domain.definition_text(security_info=True)
        except Denied:
            known = self._domain.definition_text()
        self.form = self.form or known.format
        same = self.form == known.format
        self.kept = known.text if same else formats.convert(known.text, self.form, from_=known.format).text
        self.revision = known.revision

    def go_on(self, connection: purevirt.Connection) -> bool:
        """Edit and apply, again and again until one is content; False: there is nothing to apply."""
        ending = _ENDINGS[self.form]
        editing = True
        while True:
            if editing:
                edited = click.edit(self.text, extension=ending, require_save=False)
                self.text = self.text if edited is None else edited
            if self.text == self.kept:
                return False
            try:
                formats.parse(self.text, self.form, file=f"definition{ending}")
                if editing:
                    _show_difference(self.kept, self.text)
                connection.define(self.text, format=self.form, revision=self.revision)
                return True
            except Conflict as error:
                click.echo(f"purevirt: {error}; from that to yours:", err=True)
                self._read()
                _show_difference(self.kept, self.text)
                editing = not _again("Put yours in its place, edit it again, or give up?", ("y", "e", "n"))
            except XenError as error:
                click.echo(f"purevirt: {error}", err=True)
                editing = not _again("Edit it again, or give up?", ("e", "n"))

    def in_file(self) -> str:
        """The path of a new file with what was written."""
        descriptor, path = tempfile.mkstemp(prefix="purevirt-edit-", suffix=_ENDINGS[self.form])
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(self.text)
        return path


def _again(question: str, answers: tuple[str, ...]) -> bool:
    """Whether it is to be done all the same; False: edit it again."""
    try:
        answer = click.prompt(question, type=click.Choice(answers), default="e", err=True)
    except (click.Abort, EOFError):
        answer = "n"
    if answer == "n":
        raise _GivenUp
    return bool(answer == "y")


def _show_difference(old: str, new: str) -> None:
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "before", "after", lineterm="", n=1)
    for line in lines:
        click.echo(output.text(line))


def facts(domain: purevirt.Domain) -> list[tuple[str, object]]:
    """What `dominfo` says of a definition."""
    try:
        known = domain.definition()
    except NoSuchDomain:
        return [("Persistent", False)]
    return [("Persistent", True), ("Autostart", known.autostart), ("Managed save", known.managed_save)]
