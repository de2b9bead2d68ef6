"""XML as a text that can be looked at and changed, and is otherwise given back letter for letter.

`tree` reads (with expat, and nothing that a hostile text could use against us), `editing` changes a text in place,
`making` writes new elements, `asking` demands of elements what must be there.

Neighbours: `domain_xml`, `device_xml` and `capabilities_xml` give the elements a meaning.
"""

from purevirt.formats.xml.asking import Asked, ask
from purevirt.formats.xml.editing import Edits
from purevirt.formats.xml.making import Made, element
from purevirt.formats.xml.tree import Element, Tree, parse

__all__ = ["Asked", "Edits", "Element", "Made", "Tree", "ask", "element", "parse"]
