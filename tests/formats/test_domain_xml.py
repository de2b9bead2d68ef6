"""libvirt's XML of a domain: to the model and back, changes in place, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from purevirt.errors import ConfigError
from purevirt.formats import domain_xml
from purevirt.model.description import (
    Cpus,
    Disk,
    DomainDescription,
    Graphics,
    GraphicsType,
    Interface,
    LiveDescription,
    Serial,
    TscMode,
    Unknown,
)
from purevirt.model.description.comparing import value_at
from purevirt.model.domain import DomainType
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


@pytest.mark.parametrize(
    ("old", "new", "place", "kept"),
    [
        ("machine='xenfv'", "machine='q35'", "domain/os/type", "machine='q35'"),
        ("arch='x86_64'", "arch='s390x'", "domain/os/type", "arch='s390x'"),
        ("placement='static'", "placement='auto'", "domain/vcpu", "placement='auto'"),
        ("<devices>", "<cpu mode='host-model'/><devices>", "domain/cpu", "mode='host-model'"),
        ("<devices>", "<clock offset='timezone'/><devices>", "domain/clock", "offset='timezone'"),
        ("<devices>", "<clock><timer name='rtc'/></clock><devices>", "domain/clock", "<timer name='rtc'/>"),
        (
            "<devices>",
            "<clock><timer name='tsc' present='no'/></clock><devices>",
            "domain/clock/timer[tsc]",
            "present='no'",
        ),
        ("<rng", "<disk type='network'/><rng", "devices", "<disk type='network'/>"),
        (
            "<rng",
            "<channel type='unix'><target type='virtio' name='a'/></channel><rng",
            "devices",
            "<channel type='unix'><target type='virtio' name='a'/></channel>",
        ),
        (
            "<rng",
            "<video><model type='cirrus' heads='2'/></video><rng",
            "devices/video[0]/model",
            "heads='2'",
        ),
    ],
)
def test_what_xen_passes_over_is_kept_in_its_place(old: str, new: str, place: str, kept: str) -> None:
    document = domain_xml.parse(WEB.replace(old, new, 1))
    assert (place, kept) in [(one.place, one.text) for one in document.description.unknown]
    fresh = domain_xml.format(document.description)
    assert domain_xml.parse(fresh.text()).description == document.description


def test_a_change_finds_its_element_among_those_that_are_not_understood() -> None:
    text = WEB.replace(
        "<disk type='block'", "<disk type='network'><target dev='xvdb'/></disk>\n    <disk type='block'"
    ).replace("<devices>", "<clock><timer name='rtc'/><timer name='tsc' mode='native'/></clock>\n  <devices>")
    document = domain_xml.parse(text)
    said = document.description
    wanted = said._replace(
        disks=(said.disks[0]._replace(read_only=True),), clock=said.clock._replace(tsc=TscMode.DEFAULT)
    )
    changed = document.updated(wanted)
    assert changed.text() == text.replace("bus='xen'/>\n", "bus='xen'/>\n      <readonly/>\n").replace(
        "native", "auto"
    )
    assert domain_xml.parse(changed.text()).description == wanted


@pytest.mark.parametrize(
    ("old", "new", "field", "value"),
    [
        ("<devices>", "<features><hap/></features><devices>", "features.hap", True),
        ("<devices>", "<features><pmu/></features><devices>", "features.vpmu", True),
        ("<devices>", "<features><hap state='off'/></features><devices>", "features.hap", False),
        ("<boot dev", "<loader>/opt/mine/hvmloader</loader><boot dev", "boot.loader", "/opt/mine/hvmloader"),
        ("<boot dev", "<loader>/usr/lib/xen-4.17/boot/hvmloader</loader><boot dev", "boot.loader", None),
        ("<devices>", "<clock offset='variable' adjustment='+60'/><devices>", "clock.offset_seconds", 60),
    ],
)
def test_what_is_said_by_being_there_or_in_another_way(old: str, new: str, field: str, value: object) -> None:
    said = domain_xml.parse(WEB.replace(old, new, 1)).description
    assert value_at(said, field) == value


def test_a_boot_loader_alone_is_of_a_pv_domain() -> None:
    text = "<domain type='xen'><name>a</name><bootloader>pygrub</bootloader></domain>"
    said = domain_xml.parse(text).description
    assert (said.type, said.boot.bootloader) == (DomainType.PV, "pygrub")


def test_numbers_that_the_schema_has_not_are_carried() -> None:
    said = DomainDescription("a", cpus=Cpus(0), interfaces=(Interface(mtu=70000, vlan=5000, script="a\nb"),))
    document = domain_xml.format(said)
    assert {one.path for one in document.carried} >= {
        "interfaces[0].mtu",
        "interfaces[0].vlan",
        "cpus.online",
    }
    assert domain_xml.parse(document.text()).description == said


def test_a_new_element_stands_where_the_schema_wants_it() -> None:
    document = domain_xml.format(DomainDescription("web"))
    said = document.description
    text = document.updated(said._replace(boot=said.boot._replace(bootloader="pygrub"))).text()
    assert text.index("<vcpu>") < text.index("<bootloader>") < text.index("<os>")


def test_names_that_libvirt_has_no_letters_for_are_carried() -> None:
    said = DomainDescription(
        "web", interfaces=(Interface(bridge="b r"), Interface(bridge="b", name="a b", mtu=1400))
    )
    document = domain_xml.format(said)
    assert "<source bridge='b r'" not in document.text()
    assert [one.path for one in document.carried] == ["interfaces[0].bridge", "interfaces[1].name"]
    assert domain_xml.parse(document.text()).description == said


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


def test_a_running_domain_shows_what_it_was_given_and_still_means_the_same() -> None:
    said = DomainDescription(
        "web",
        DomainType.HVM,
        interfaces=(Interface(bridge="xenbr0"), Interface(bridge="xenbr1", name="web1")),
        graphics=(Graphics(GraphicsType.VNC, password="secret"),),
    )
    live = LiveDescription(7, "/dev/pts/3", 5901, ("vif7.0", "web1"), 1)
    document = domain_xml.format(said, live=live)
    text = document.text()
    for shown in (
        "<domain type='xen' id='7'>",
        "<target dev='vif7.0'/>",
        "<graphics type='vnc' passwd='secret' port='5901'/>",
        "<console type='pty' tty='/dev/pts/3'>",
        "<target type='xen' port='0'/>",
    ):
        assert shown in text
    assert (document.carried, document.domid) == ((), 7)
    assert domain_xml.parse(text).description == said
    other = domain_xml.format(said._replace(serials=(Serial("pty"),)), live=live).text()
    assert "<target type='serial' port='0'/>" in other


@settings(deadline=None, max_examples=100)
@given(descriptions)
def test_any_running_domain_means_the_same(description: DomainDescription) -> None:
    names = tuple(f"vif3.{index}" for index in range(len(description.interfaces)))
    document = domain_xml.format(description, live=LiveDescription(3, "/dev/pts/1", 5900, names))
    assert domain_xml.parse(document.text()).description == description


def test_passwords_are_left_out_unless_wanted() -> None:
    unknown = (Unknown("xl", "vncpasswd", "vncpasswd = 'secret'"), Unknown("xl", "a", "a = 1"))
    said = DomainDescription(
        "web", graphics=(Graphics(GraphicsType.VNC, password="secret"),), unknown=unknown
    )
    assert "secret" in domain_xml.format(said).text()
    without = domain_xml.format(said, security_info=False)
    assert "secret" not in without.text()
    assert without.description.unknown == unknown[1:]


def test_what_libvirt_adds_to_every_domain_says_nothing() -> None:
    added = (
        "<disk type='file'><source file='/a'/><target dev='hda'/>"
        "<address type='drive' controller='0' bus='0' target='0' unit='0'/></disk>"
        "<controller type='xenbus' index='0'/><controller type='ide' index='0'/>"
        "<input type='mouse' bus='ps2'/><input type='keyboard' bus='xen'/><memballoon model='xen'/>"
    )
    bare = "<domain type='xen'><name>a</name><os><type>hvm</type></os><devices>{}</devices></domain>"
    said = domain_xml.parse(bare.format(added)).description
    assert said == DomainDescription("a", DomainType.HVM, disks=(Disk("hda", "/a"),))
    other = "<controller type='scsi' index='0'/>"
    assert [one.text for one in domain_xml.parse(bare.format(other)).description.unknown] == [other]


def test_a_console_is_there_without_being_told() -> None:
    bare = "<domain type='xen'><name>a</name><os><type>{}</type></os><devices>{}</devices></domain>"
    console = "<console type='pty'/>"
    assert domain_xml.parse(bare.format("xen", console)).description == DomainDescription("a")
    hvm = domain_xml.parse(bare.format("hvm", console)).description
    assert hvm == DomainDescription("a", DomainType.HVM, serials=(Serial("pty"),))
    second = "<console type='pty'><target type='virtio'/></console>"
    assert [
        one.text for one in domain_xml.parse(bare.format("xen", console + second)).description.unknown
    ] == [second]


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
