"""What is written is valid against libvirt's own schema, whatever is described; so are our golden files."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import purevirt.model.description as described
from purevirt.errors import InvalidConfig
from purevirt.formats import device_xml, domain_xml
from purevirt.formats.domain_xml.devices import DEVICES
from purevirt.model.description import DomainDescription, LiveDescription
from purevirt.model.domain import DomainType
from tests import peers
from tests.support.descriptions import descriptions, field

pytestmark = pytest.mark.peers

T = TypeVar("T")
DATA = Path(__file__).parents[1] / "data" / "descriptions"


@pytest.fixture(autouse=True, scope="module")
def installed() -> None:
    peers.need_schemas()


def drawn(strategy: st.SearchStrategy[T], count: int) -> list[T]:
    """Many of them at once: a process of xmllint for each would take its time."""
    found: list[T] = []

    @settings(max_examples=count, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(strategy)
    def draw(one: T) -> None:
        found.append(one)

    draw()
    return found


def test_any_description_is_valid() -> None:
    written = []
    for description in drawn(descriptions, 300):
        names = tuple(f"vif7.{number}" for number in range(len(description.interfaces)))
        live = LiveDescription(7, "/dev/pts/3", 5901, names)
        written += [domain_xml.format(description).text(), domain_xml.format(description, live=live).text()]
    assert peers.schema_faults("domain.rng", written) == []


def test_any_change_leaves_it_valid() -> None:
    pairs = drawn(st.tuples(descriptions, descriptions), 200)
    written = [domain_xml.format(one).updated(other).text() for one, other in pairs]
    assert peers.schema_faults("domain.rng", written) == []


WITHIN = """<domain type='xen'>
  <name>a</name>
  <memory>1</memory>
  <os><type>hvm</type></os>
  <devices>{}</devices>
</domain>"""
KINDS = sorted({device.field for device in DEVICES} - {"video"})
HINTS = typing.get_type_hints(
    DomainDescription, localns={**vars(described), "UUID": UUID, "DomainType": DomainType}
)


@pytest.mark.parametrize("kind", KINDS)
def test_any_device_is_valid_and_comes_back(kind: str) -> None:
    written = []
    for record in {
        one for several in drawn(field(DomainDescription, kind, HINTS[kind]), 60) for one in several
    }:
        try:
            text = device_xml.format(kind, record)
        except InvalidConfig:
            continue  # there are no words for it
        assert device_xml.parse(text) == (kind, record)
        written.append(WITHIN.format(text))
    assert written
    assert peers.schema_faults("domain.rng", written) == []


def test_golden_files_are_valid() -> None:
    files = sorted(DATA.glob("*.xml"))
    assert len(files) >= 6
    assert peers.schema_faults("domain.rng", [path.read_text() for path in files]) == []


def test_the_schema_would_find_a_fault() -> None:
    assert peers.schema_faults("domain.rng", ["<domain type='xen'><name>a</name><vcpu>-1</vcpu></domain>"])
