"""What is written is valid against libvirt's own schemas. Skipped where they, or xmllint, are missing.

Debian has them in its packages libvirt0 and libxml2-utils.
"""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import purevirt
from purevirt import testing
from purevirt.formats import capabilities_xml
from purevirt.model import Capabilities, DomainCapabilities
from tests import peers
from tests.support import capabilities as some

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    peers.need_schemas()


def known(text: str) -> str:
    """The document as the schemas can take it: libvirt prints words that its own schemas have not.

    The os_type "xenpvh", and host CPU features with a dot in the name. Schemas that have them are not helped.
    """
    if "xenpvh" not in (peers.SCHEMAS / "capability.rng").read_text():
        text = text.replace("<os_type>xenpvh<", "<os_type>xen<")
    if r"[a-zA-Z0-9\-_]+" in (peers.SCHEMAS / "cputypes.rng").read_text():
        text = re.sub(r"(<feature name='sse4)\.", r"\1_", text)
    return text


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(some.capabilities, min_size=20, max_size=40))
def test_hosts_are_valid(hosts: list[Capabilities]) -> None:
    documents = [known(capabilities_xml.format(host)) for host in hosts]
    assert peers.schema_faults("capability.rng", documents) == []


@settings(max_examples=5, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(some.domain_capabilities, min_size=20, max_size=40))
def test_guests_are_valid(guests: list[DomainCapabilities]) -> None:
    documents = [capabilities_xml.format_domain(guest) for guest in guests]
    assert peers.schema_faults("domaincaps.rng", documents) == []


def test_what_a_simulated_host_says_is_valid() -> None:
    with (
        testing.Host(xend=False, empty=True) as simulated,
        purevirt.open(simulated.uri) as measured,
        purevirt.open_read_only(simulated.uri) as seen,
    ):
        hosts = [known(connection.capabilities_xml()) for connection in (measured, seen)]
        guests = [measured.domain_capabilities_xml(kind) for kind in ("pv", "pvh", "hvm")]
    assert peers.schema_faults("capability.rng", hosts) == []
    assert peers.schema_faults("domaincaps.rng", guests) == []


def test_the_schema_would_find_a_fault() -> None:
    broken = (
        "<capabilities><host><cpu><arch>x86_64</arch></cpu><iommu support='maybe'/></host></capabilities>"
    )
    assert peers.schema_faults("capability.rng", [broken])
    assert peers.schema_faults("domaincaps.rng", ["<domainCapabilities/>"])
