"""Whole files of libvirt's XML: what they say, how it is written anew, what xl's configuration file makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from purevirt import formats
from purevirt.formats import carried, domain_xml
from purevirt.model.description import DomainDescription
from tests.support.golden import golden

DATA = Path(__file__).parents[1] / "data" / "descriptions"
FILES = sorted(path for path in DATA.glob("*.xml") if not path.name.endswith(".fresh.xml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_files_say_and_are_written_as_recorded(path: Path) -> None:
    text = path.read_text()
    document = domain_xml.parse(text, file=path.name)
    assert document.text() == text
    said = carried.missing(DomainDescription(document.description.name), document.description)
    lines = "".join(f"{carried.line(item)}\n" for item in said)
    assert lines == golden(path.with_suffix(".xml.said"), lines)
    fresh = domain_xml.format(document.description)
    assert fresh.text() == golden(path.with_suffix(".fresh.xml"), fresh.text())
    assert domain_xml.parse(fresh.text()).description == document.description


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_xl_config_of_a_golden_file_loses_nothing(path: Path) -> None:
    done = formats.convert(path.read_bytes(), "xen-xl")
    report = "".join(f"# {line}\n" for line in done.report)
    assert report + done.text == golden(path.with_suffix(".xml.fresh.cfg"), report + done.text)
    back = formats.convert(done.text, "xml")
    assert back.description == done.description
    assert back.text == domain_xml.format(done.description).text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_change_leaves_every_other_line_alone(path: Path) -> None:
    document = domain_xml.parse(path.read_text())
    said = document.description
    changed = document.updated(said._replace(cpus=said.cpus._replace(online=1, maximum=4)))
    before, after = document.text().splitlines(), changed.text().splitlines()
    assert len(before) == len(after)
    assert [line for line in after if line not in before] == [line for line in after if "</vcpu>" in line]
    assert changed.updated(said).description == said
