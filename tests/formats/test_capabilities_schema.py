"""What is written is valid against libvirt's own schemas. Skipped where they, or xmllint, are missing.

Debian has them in its packages libvirt0 and libxml2-utils.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import purevirt
from purevirt import testing
from purevirt.formats import capabilities_xml
from purevirt.model import Capabilities, DomainCapabilities
from tests.support import capabilities as some

SCHEMAS = Path("/usr/share/libvirt/schemas")


@pytest.fixture(scope="module", autouse=True)
def peer() -> None:
    missing = []
    if not (SCHEMAS / "capability.rng").exists():
        missing.append("libvirt's schemas (package libvirt0)")
    if shutil.which("xmllint") is None:
        missing.append("xmllint (package libxml2-utils)")
    if not missing:
        return
    reason = f"missing: {', '.join(missing)}"
    if os.environ.get("PUREVIRT_REQUIRE_PEERS") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def faults(schema: str, documents: list[str], directory: Path) -> list[str]:
    """What xmllint says of all of them; one process, since each start reads the schema."""
    directory.mkdir(exist_ok=True)
    names = []
    for number, document in enumerate(documents):
        file = directory / f"{number}.xml"
        file.write_text(document)
        names.append(str(file))
    done = subprocess.run(
        ["xmllint", "--noout", "--relaxng", str(SCHEMAS / schema), *names],
        capture_output=True,
        text=True,
        check=False,
    )
    found = [line for line in done.stderr.splitlines() if not line.endswith(" validates")]
    assert bool(found) == (done.returncode != 0), done.stderr
    return found


def known(text: str) -> str:
    """The document as the schemas can take it: libvirt prints words that its own schemas have not.

    The os_type "xenpvh", and host CPU features with a dot in the name. Schemas that have them are not helped.
    """
    if "xenpvh" not in (SCHEMAS / "capability.rng").read_text():
        text = text.replace("<os_type>xenpvh<", "<os_type>xen<")
    if r"[a-zA-Z0-9\-_]+" in (SCHEMAS / "cputypes.rng").read_text():
        text = re.sub(r"(<feature name='sse4)\.", r"\1_", text)
    return text


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(some.capabilities, min_size=20, max_size=40))
def test_hosts_are_valid(tmp_path: Path, hosts: list[Capabilities]) -> None:
    documents = [known(capabilities_xml.format(host)) for host in hosts]
    assert not faults("capability.rng", documents, tmp_path / "hosts")


@settings(max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(some.domain_capabilities, min_size=20, max_size=40))
def test_guests_are_valid(tmp_path: Path, guests: list[DomainCapabilities]) -> None:
    documents = [capabilities_xml.format_domain(guest) for guest in guests]
    assert not faults("domaincaps.rng", documents, tmp_path / "guests")


def test_what_a_simulated_host_says_is_valid(tmp_path: Path) -> None:
    with (
        testing.Host(xend=False, empty=True) as simulated,
        purevirt.open(simulated.uri) as measured,
        purevirt.open_read_only(simulated.uri) as seen,
    ):
        hosts = [known(connection.capabilities_xml()) for connection in (measured, seen)]
        guests = [measured.domain_capabilities_xml(kind) for kind in ("pv", "pvh", "hvm")]
    assert not faults("capability.rng", hosts, tmp_path / "hosts")
    assert not faults("domaincaps.rng", guests, tmp_path / "guests")


def test_the_schema_would_find_a_fault(tmp_path: Path) -> None:
    broken = (
        "<capabilities><host><cpu><arch>x86_64</arch></cpu><iommu support='maybe'/></host></capabilities>"
    )
    assert faults("capability.rng", [broken], tmp_path / "broken")
    assert faults("domaincaps.rng", ["<domainCapabilities/>"], tmp_path / "empty")
