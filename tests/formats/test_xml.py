"""The XML layer: texts come back letter for letter, edits leave the rest alone, hostile texts are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import ConfigError
from purevirt.formats import xml

NAMES = st.sampled_from(["a", "b", "c:d"])
TEXTS = st.sampled_from(
    ["", " ", "\n  ", "text", "&amp;", "&#10;", "<!-- c -->", "<![CDATA[<x/>]]>", "<?p i?>", "/>", "é"]
)
ATTRIBUTES = st.sampled_from(["", " x='1'", ' x = "<2"'.replace("<", "&lt;"), " y='a>b/'", "\n z='é'"])
ELEMENTS = st.recursive(
    st.builds("<{0}{1}/>".format, NAMES, ATTRIBUTES),
    lambda inner: st.builds(
        lambda name, attribute, parts: f"<{name}{attribute}>{''.join(parts)}</{name}>",
        NAMES,
        ATTRIBUTES,
        st.lists(TEXTS | inner, max_size=4),
    ),
    max_leaves=12,
)


def _all(element: xml.Element) -> list[xml.Element]:
    return [element, *(one for child in element.children for one in _all(child))]


@given(ELEMENTS)
def test_every_element_knows_its_own_text(text: str) -> None:
    tree = xml.parse(text)
    assert tree.text() == text
    for element in _all(tree.root):
        again = xml.parse(tree.source(element)).root
        assert (again.name, again.attributes, again.text) == (
            element.name,
            element.attributes,
            element.text,
        )


@given(ELEMENTS, st.data())
def test_an_attribute_set_and_taken_away_leaves_the_text_as_it_was(text: str, data: st.DataObject) -> None:
    tree = xml.parse(text)
    index = data.draw(st.integers(0, len(_all(tree.root)) - 1))
    edits = xml.Edits(tree)
    edits.set_attribute(_all(tree.root)[index], "new", "<'\"&\n")
    changed = edits.done()
    assert _all(changed.root)[index].attributes["new"] == "<'\"&\n"
    edits = xml.Edits(changed)
    edits.set_attribute(_all(changed.root)[index], "new", None)
    assert edits.done().text() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!DOCTYPE a><a/>", ":1:1: a document type is refused"),
        ("<a>\n &b;</a>", ":2:2: this is no XML: undefined entity"),
        ("<a>" * 65 + "</a>" * 65, "too deep, expected at most 64"),
        (b"<a>\xff</a>", ":1:4: this is no UTF-8"),
        (b"<?xml version='1.0' encoding='utf-7'?><a/>", "the encoding 'utf-7' is refused"),
        ("<a>\ud800</a>", "surrogate"),
        (
            '<!DOCTYPE a [<!ENTITY b "ha">'
            + "".join(f'<!ENTITY b{n} "{"&b;" * 9}">' for n in range(9))
            + "]><a>&b8;</a>",
            ":1:1: a document type is refused",
        ),
        ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>", ":1:1: a document type is refused"),
        ("\n<a><![CDATA[", ":2:"),
        ("<a x='1' x='2'/>", "duplicate attribute"),
        ("<a/><b/>", "junk after document element"),
        ("", "no element found"),
        ("<a>" + " " * (16 << 20) + "</a>", "bytes are too many, expected at most 16777216"),
        (b"<?xml version='1.0' encoding='UTF-16'?><a/>", "this is not in utf-16, as it says"),
    ],
)
def test_what_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        xml.parse(text)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1", "us-ascii"])
def test_encodings(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?><a>{'x' if encoding == 'us-ascii' else 'é'}</a>"
    assert xml.parse(text.encode(encoding)).root.text in ("x", "é")
    assert xml.parse(text).root.text in ("x", "é")
