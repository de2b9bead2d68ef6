"""libvirt's XML of a domain: to the model and back, changes in place, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from purevirt.errors import ConfigError
from purevirt.formats import domain_xml
from purevirt.model.description import DomainDescription
from tests.support.descriptions import descriptions

WEB = """<!-- the web server -->
<domain type='xen' id="7">
  <name>web</name>
  <uuid>6a6f3a39-29a8-4b1f-9d04-2f1b6a7d1e11</uuid>
  <memory unit='GiB'>2</memory>
  <vcpu placement='static' current='2'>4</vcpu>
  <os>
    <type arch='x86_64' machine='xenfv'>hvm</type>
    <boot dev='hd'/>
  </os>
  <devices>
    <disk type='block' device='disk'>
      <driver name='phy' type='raw' cache='none'/>
      <source dev='/dev/vg/web'/> <!-- its disk -->
      <target dev='xvda' bus='xen'/>
    </disk>
    <rng model='virtio'><backend model='random'>/dev/random</backend></rng>
  </devices>
</domain>
"""


def test_a_text_comes_back_letter_for_letter() -> None:
    document = domain_xml.parse(WEB)
    assert document.text() == WEB
    assert (document.domid, document.comments) == (7, 2)
    assert document.description.memory.kib == 2 << 20
    assert [item.place for item in document.description.unknown] == ["devices", "devices/disk[xvda]/driver"]


def test_a_change_leaves_everything_else_as_it_was() -> None:
    document = domain_xml.parse(WEB)
    (disk,) = document.description.disks
    wanted = document.description._replace(disks=(disk._replace(read_only=True),))
    changed = document.updated(wanted)
    assert changed.description == wanted == domain_xml.parse(changed.text()).description
    assert changed.text() == WEB.replace("bus='xen'/>\n", "bus='xen'/>\n      <readonly/>\n")


def test_what_libvirt_cannot_say_is_carried_until_it_is_no_longer_wanted() -> None:
    document = domain_xml.parse(WEB)
    wanted = document.description._replace(cpus=document.description.cpus._replace(soft_affinity=("0-1",)))
    changed = document.updated(wanted)
    assert [item.path for item in changed.carried] == ["cpus.soft_affinity"]
    assert domain_xml.parse(changed.text()).description == wanted
    assert changed.updated(document.description).text() == WEB


@settings(deadline=None, max_examples=100)
@given(descriptions)
def test_any_description_comes_back(description: DomainDescription) -> None:
    document = domain_xml.format(description)
    assert domain_xml.parse(document.text()).description == description


@settings(deadline=None, max_examples=50)
@given(descriptions, descriptions)
def test_any_description_can_become_any_other(one: DomainDescription, other: DomainDescription) -> None:
    changed = domain_xml.format(one).updated(other)
    assert domain_xml.parse(changed.text()).description == other


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("6a6f3a39", "xyz", 4, "expected a UUID"),
        ("unit='GiB'", "unit='furlong'", 5, "unit is 'furlong', expected one of b, bytes"),
        (">4<", ">-4<", 6, "<vcpu> is '-4', expected a number"),
        ("<name>web</name>", "", 2, "has no name"),
        ("type='xen'", "type='kvm'", 2, "expected 'xen'"),
        ("</memory>", "</memory><memory>1</memory>", 5, "a second <memory>"),
        ("<rng", "<disk><source file='/a'/><target dev='xvda'/></disk><rng", 17, "a second <disk>"),
        ("<!-- the web server -->", "<!DOCTYPE a [<!ENTITY b 'c'>]>", 1, "a document type is refused"),
    ],
)
def test_bad_input_is_named_with_its_line(old: str, new: str, line: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        domain_xml.parse(WEB.replace(old, new, 1), file="web.xml")
    assert caught.value.line == line
