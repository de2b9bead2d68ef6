"""Capabilities as libvirt's XML: everything comes back as it was, libvirt's own answer is read, and nothing else is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt.errors import ConfigError
from purevirt.formats import capabilities_xml as xml
from purevirt.model import Capabilities, DomainCapabilities, DomainType, GuestCapabilities, HostCapabilities
from purevirt.model.capabilities import Choice, CpuPlace, HostCell, HostCpu, Support, Toggle
from tests.support import capabilities as some

HOST = Capabilities(
    HostCapabilities(
        HostCpu("x86_64", "Intel", None, 1, 2, 1, ("pae", "sse4.1")),
        iommu=False,
        live_migration=True,
        cells=(
            HostCell(0, 1024, ((0, 10),), (CpuPlace(0, 0, 0, (0, 1, 2, 5)), CpuPlace(1, None, None, ()))),
        ),
    ),
    (
        GuestCapabilities(DomainType.PV, "x86_64"),
        GuestCapabilities(
            DomainType.HVM, "i686", "/qemu", "/hvmloader", True, True, Toggle(True, True), Toggle(True, False)
        ),
    ),
)
HOST_TEXT = """\
<capabilities>

  <host>
    <cpu>
      <arch>x86_64</arch>
      <features>
        <pae/>
      </features>
      <vendor>Intel</vendor>
      <topology sockets='1' dies='1' cores='2' threads='1'/>
      <feature name='pae'/>
      <feature name='sse4.1'/>
    </cpu>
    <iommu support='no'/>
    <migration_features>
      <live/>
    </migration_features>
    <topology>
      <cells num='1'>
        <cell id='0'>
          <memory unit='KiB'>1024</memory>
          <distances>
            <sibling id='0' value='10'/>
          </distances>
          <cpus num='2'>
            <cpu id='0' socket_id='0' die_id='0' core_id='0' siblings='0-2,5'/>
            <cpu id='1'/>
          </cpus>
        </cell>
      </cells>
    </topology>
  </host>

  <guest>
    <os_type>xen</os_type>
    <arch name='x86_64'>
      <wordsize>64</wordsize>
      <machine>xenpv</machine>
      <domain type='xen'/>
    </arch>
  </guest>

  <guest>
    <os_type>hvm</os_type>
    <arch name='i686'>
      <wordsize>32</wordsize>
      <emulator>/qemu</emulator>
      <loader>/hvmloader</loader>
      <machine>xenfv</machine>
      <domain type='xen'/>
    </arch>
    <features>
      <pae/>
      <nonpae/>
      <acpi default='on' toggle='yes'/>
      <apic default='on' toggle='no'/>
    </features>
  </guest>

</capabilities>
"""
DOMAIN = DomainCapabilities(
    "/qemu",
    DomainType.HVM,
    "x86_64",
    128,
    ("/ovmf.bin", "/hvmloader"),
    (Support("disk", True, (Choice("bus", ("ide", "xen")), Choice("model", ()))), Support("hostdev", False)),
    (Support("genid", True),),
)
DOMAIN_TEXT = """\
<domainCapabilities>
  <path>/qemu</path>
  <domain>xen</domain>
  <machine>xenfv</machine>
  <arch>x86_64</arch>
  <vcpu max='128'/>
  <iothreads supported='no'/>
  <os supported='yes'>
    <loader supported='yes'>
      <value>/ovmf.bin</value>
      <value>/hvmloader</value>
      <enum name='type'>
        <value>rom</value>
        <value>pflash</value>
      </enum>
      <enum name='readonly'>
        <value>yes</value>
      </enum>
    </loader>
  </os>
  <devices>
    <disk supported='yes'>
      <enum name='bus'>
        <value>ide</value>
        <value>xen</value>
      </enum>
      <enum name='model'/>
    </disk>
    <hostdev supported='no'/>
  </devices>
  <features>
    <genid supported='yes'/>
  </features>
</domainCapabilities>
"""


def test_a_host_is_written_as_virsh_prints_it() -> None:
    assert xml.format(HOST) == HOST_TEXT


def test_a_guests_possibilities_are_written_as_virsh_prints_them() -> None:
    assert xml.format_domain(DOMAIN) == DOMAIN_TEXT


@given(some.capabilities)
def test_any_host_comes_back(capabilities: Capabilities) -> None:
    assert xml.parse(xml.format(capabilities)) == capabilities


@given(some.domain_capabilities)
def test_any_guests_possibilities_come_back(capabilities: DomainCapabilities) -> None:
    assert xml.parse_domain(xml.format_domain(capabilities)) == capabilities


@given(st.text(), st.text())
def test_whatever_a_text_holds_the_document_can_be_read(name: str, path: str) -> None:
    guest = GuestCapabilities(DomainType.PV, "x86_64", f"/{name}x", f"/{path}x")
    read = xml.parse(xml.format(HOST._replace(guests=(guest,)))).guests[0]
    assert (read.type, read.arch) == (DomainType.PV, "x86_64")
    if all(" " < letter < "\ud800" for letter in name):
        assert read.emulator == f"/{name}x"


def test_an_answer_of_libvirts_form_is_read() -> None:
    """With what the model has no place for, and a CPU model that implies features."""
    text = """<?xml version='1.0' encoding='UTF-8'?>
<!-- from a host of ours -->
<capabilities>
  <host>
    <cpu><arch>x86_64</arch><features><pae/><nonpae/></features><model>qemu64-v1</model>
      <topology sockets='1' dies='1' clusters='1' cores='2' threads='1'/><feature name='acpi'/></cpu>
    <power_management><suspend_mem/></power_management>
    <iommu support='yes'/>
    <netprefix>vif</netprefix>
    <topology><cells num='1'><cell id='0'><memory unit='KiB'>7340032</memory>
      <cpus num='1'><cpu id='0' socket_id='0' die_id='0' cluster_id='0' core_id='0' siblings='0'/></cpus>
    </cell></cells></topology>
    <secmodel><model>none</model><doi>0</doi></secmodel>
  </host>
  <guest><os_type>xenpvh</os_type>
    <arch name='i686'><wordsize>32</wordsize><machine>xenpvh</machine><domain type='xen'/></arch>
    <features><hap default='on' toggle='yes'/></features></guest>
  <guest><os_type>linux</os_type><arch name='x86_64'><wordsize>64</wordsize><domain type='xen'/></arch></guest>
</capabilities>"""
    read = xml.parse(text.encode())
    assert read.host.cpu == HostCpu("x86_64", None, "qemu64-v1", 1, 2, 1, ("pae", "acpi"))
    assert read.host.power_management == ("suspend_mem",)
    assert (read.host.iommu, read.host.live_migration) == (True, False)
    assert read.host.cells == (HostCell(0, 7340032, (), (CpuPlace(0, 0, 0, (0,)),)),)
    assert [(guest.type, guest.arch, guest.hap) for guest in read.guests] == [
        (DomainType.PVH, "i686", Toggle(True, True)),
        (DomainType.PV, "x86_64", None),
    ]


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("<arch>x86_64</arch>", "", 4, "<cpu>: expected an element <arch> in it"),
        ("<arch>x86_64</arch>", "<arch/>", 5, "<arch>: expected the name of an architecture"),
        ("<vendor>Intel</vendor>", "<vendor>A</vendor><vendor>B</vendor>", 9, "expected once, found again"),
        ("cores='2'", "cores='-2'", 10, "cores: expected a whole number, found '-2'"),
        ("cores='2'", "", 10, "cores: expected a whole number, found nothing"),
        ("name='sse4.1'", "", 12, "<feature>: name: expected a word, found nothing"),
        ("unit='KiB'", "unit='GiB'", 21, "unit: expected KiB, found 'GiB'"),
        (">1024<", ">1 &lt;&lt; 10<", 21, "expected a whole number, found '1 << 10'"),
        (">1024<", ">99999999999999999999<", 21, "expected a whole number"),
        ("siblings='0-2,5'", "siblings='0-2-5'", 26, "siblings: expected CPUs as 0-3,6, found '0-2-5'"),
        ("siblings='0-2,5'", "siblings='all'", 26, "siblings: expected CPUs"),
        ("support='no'", "support='maybe'", 14, "support: expected yes or no, found 'maybe'"),
        ("<os_type>xen<", "<os_type>exe<", 35, "expected xen or xenpvh or hvm, found 'exe'"),
        ("<domain type='xen'/>", "<domain type='kvm'/>", 39, "type: expected xen, found 'kvm'"),
        ("toggle='yes'", "", 55, "toggle: expected yes or no, found nothing"),
        ("<capabilities>", "<capabilities", 3, "no XML"),
        ("capabilities>", "domain>", 1, "<domain>: expected <capabilities>"),
        ("<capabilities>", "<!DOCTYPE a [<!ENTITY x 'y'>]><capabilities>", 1, "a document type is refused"),
        (">1024<", ">&x;<", 21, "no XML: undefined entity"),
        ("<live/>", "<live>" * 70 + "</live>" * 70, 16, "is too deep, expected at most 64"),
    ],
)
def test_what_makes_no_sense_is_told_with_its_line(old: str, new: str, line: int, words: str) -> None:
    text = HOST_TEXT.replace(old, new)
    assert text != HOST_TEXT
    with pytest.raises(ConfigError) as caught:
        xml.parse(text, file="host.xml")
    assert str(caught.value).startswith(f"host.xml:{line}:")
    assert words in str(caught.value)
    assert (caught.value.file, caught.value.line) == ("host.xml", line)
    assert caught.value.column is not None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<domain>xen<", "<domain>kvm<", "<domain>: expected xen, found 'kvm'"),
        ("xenfv", "pc", "<machine>: expected xenpv or xenpvh or xenfv, found 'pc'"),
        ("<path>/qemu</path>", "<path/>", "<path>: expected a path"),
        ("<path>/qemu</path>", "", "expected an element <path> in it"),
        ("max='128'", "max='many'", "max: expected a whole number, found 'many'"),
        ("<enum name='bus'>", "<enum>", "<enum>: name: expected a word, found nothing"),
        ("<genid supported='yes'/>", "<genid/>", "<genid>: supported: expected yes or no, found nothing"),
    ],
)
def test_so_is_what_makes_no_sense_of_a_guest(old: str, new: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        xml.parse_domain(DOMAIN_TEXT.replace(old, new))
    assert words in str(caught.value)
    assert caught.value.line


@pytest.mark.parametrize(
    "document",
    [
        b"<capabilities>\xff</capabilities>",
        b"<?xml version='1.0' encoding='no-such-thing'?><capabilities/>",
        b"<?xml version='1.0' encoding='rot13'?><capabilities/>",
        b"\0",
        "",
        "\ud800",
    ],
)
def test_what_is_no_text_is_refused(document: str | bytes) -> None:
    with pytest.raises(ConfigError):
        xml.parse(document)


def test_a_file_that_is_too_large_is_refused_before_it_is_read() -> None:
    with pytest.raises(ConfigError, match="bytes are too many"):
        xml.parse(b" " * ((16 << 20) + 1))


@pytest.mark.parametrize("parse", [xml.parse, xml.parse_domain])
@given(
    st.binary(max_size=60)
    | st.text(max_size=60)
    | st.text(st.sampled_from("<>/ a='capbilties&;!"), max_size=40)
)
def test_anything_is_read_or_refused(parse: Callable[[str | bytes], object], document: str | bytes) -> None:
    with contextlib.suppress(ConfigError):
        parse(document)
