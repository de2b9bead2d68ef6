"""A <domain> as a document: its text, the description it holds, and how it changes when the description does.

What libvirt has no words for is carried in <metadata> (see `formats.carried`). Whether something needs to be is never
declared: what was written is read again and compared with what was wanted.
"""

from __future__ import annotations

from purevirt.formats import carried
from purevirt.formats.carried import Carried
from purevirt.formats.domain_xml.binding import CARRIED, NAMESPACE, Said, canonical, described
from purevirt.formats.domain_xml.live import show
from purevirt.formats.domain_xml.merging import merged
from purevirt.formats.large import Unhindered
from purevirt.formats.xml import Edits, Made, Tree
from purevirt.formats.xml import parse as parse_tree
from purevirt.model.description import DomainDescription, LiveDescription, without_secrets

__all__ = ["XmlDocument", "format", "parse"]


class XmlDocument:
    """libvirt's XML of a domain.

    `description` is what it says, with what it carries; `carried` is what of it libvirt has no words for; `domid` the
    number of a running domain.
    """

    __slots__ = ("_said", "_tree", "carried", "description", "domid")

    def __init__(
        self, tree: Tree, said: Said, description: DomainDescription, carries: tuple[Carried, ...]
    ) -> None:
        self._tree = tree
        self._said = said
        self.description = description
        self.carried = carries
        self.domid = said.domid

    @property
    def comments(self) -> int:
        """How many comments are in it."""
        return self._tree.comments

    def text(self) -> str:
        """The XML, letter for letter as it was where nothing changed."""
        return self._tree.text()

    def updated(self, description: DomainDescription) -> XmlDocument:
        """The same text, changed where the description says something else."""
        if description == self.description:
            return self
        tree = merged(self._tree, canonical(self._said.description), canonical(description))
        return _finished(tree, description)

    def __repr__(self) -> str:
        return f"<XmlDocument of {self.description.name!r}>"


def parse(text: str | bytes, *, file: str = "<text>") -> XmlDocument:
    """Read libvirt's XML of a domain of Xen. ConfigError, with line and column, for what is wrong in it."""
    with Unhindered(text):
        tree = parse_tree(text, file=file)
        said = described(tree)
    if not said.carried:
        return XmlDocument(tree, said, said.description, ())
    description, _ = carried.apply(said.description, said.carried)
    return XmlDocument(tree, said, description, tuple(carried.missing(said.description, description)))


def format(  # noqa: A001 - the other half of parse
    description: DomainDescription,
    *,
    file: str = "<text>",
    live: LiveDescription | None = None,
    security_info: bool = True,
) -> XmlDocument:
    """Write a description as libvirt does, with all that it says; without `security_info`, no passwords.

    `live`: it runs, and these are its number, terminal, port and names.
    """
    if not security_info:
        description = without_secrets(description)
    made = canonical(description)
    if live is not None:
        show(made, description, live)
    return _finished(parse_tree("\n".join([*made.lines(), ""]), file=file), description)


def _finished(tree: Tree, description: DomainDescription) -> XmlDocument:
    """With what the text does not say of the description carried in it."""
    said = described(tree)
    lost = tuple(carried.missing(said.description, description))
    if lost == said.carried:
        return XmlDocument(tree, said, description, lost)
    tree = _with_lines(tree, [carried.line(item) for item in lost])
    said = described(tree)
    return XmlDocument(tree, said, description, lost)


def _with_lines(tree: Tree, lines: list[str]) -> Tree:
    edits = Edits(tree)
    metadata = tree.root.find("metadata")
    old = None if metadata is None else metadata.find(CARRIED)
    if old is not None:
        if lines:
            edits.replace(old, "\n".join(_carrying(lines).lines("    ")).lstrip())
        else:
            edits.remove(metadata if metadata is not None and len(metadata.children) == 1 else old)
        return edits.done()
    made = _carrying(lines)
    if metadata is not None:
        edits.insert(metadata, made)
    else:
        first = [
            child
            for child in tree.root.children
            if child.name in ("name", "uuid", "genid", "title", "description")
        ]
        edits.insert(tree.root, Made("metadata", children=[made]), first[-1] if first else None)
    return edits.done()


def _carrying(lines: list[str]) -> Made:
    return Made(
        CARRIED,
        {"xmlns:purevirt": NAMESPACE},
        children=[Made("purevirt:carried", text=line) for line in lines],
    )
