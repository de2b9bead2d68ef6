"""Whatever is wrong in an XML is said with its file, line and column, the element, and what was expected; what is
hostile is refused before it costs anything, and nothing outside the text is read.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt import formats
from purevirt.errors import ConfigError
from purevirt.formats import device_xml, domain_xml
from purevirt.model.description import DomainDescription, Graphics, GraphicsType

WEB = """<domain type='xen'>
  <name>web</name>
  <uuid>6a6f3a39-29a8-4b1f-9d04-2f1b6a7d1e11</uuid>
  <memory unit='MiB'>64</memory>
  <vcpu current='1'>2</vcpu>
  <os><type>xen</type><kernel>/k</kernel></os>
  <devices>
    <disk type='file'><source file='/a'/><target dev='xvda'/></disk>
    <interface type='bridge'><mac address='00:16:3e:00:00:01'/><source bridge='xenbr0'/></interface>
    <graphics type='vnc' port='5901'/>
    <channel type='pty'><target type='xen' name='agent'/></channel>
  </devices>
</domain>
"""


def refused(text: str | bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        domain_xml.parse(text, file="web.xml")
    error = caught.value
    assert error.file == "web.xml"
    assert error.message.startswith(f"web.xml:{error.line}:{error.column}: ") or "bytes are too many" in str(
        error
    )
    assert "\n" not in error.message
    return error


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("<domain type='xen'>", "<domain>", 1, "<domain>: type is None, expected 'xen'"),
        ("<domain type='xen'>", "<domain type='kvm'>", 1, "<domain>: type is 'kvm', expected 'xen'"),
        ("<os><type>xen</type>", "<os>", 1, "<domain> does not say what it runs, expected <os><type>hvm"),
        ("<type>xen<", "<type>exe<", 6, "<type> is 'exe', expected one of hvm, linux, xen, xenpvh"),
        ("<name>web</name>", "<name/>", 1, "<domain> has no name, expected <name>"),
        ("6a6f3a39-", "", 3, "<uuid> is '29a8-4b1f-9d04-2f1b6a7d1e11', expected a UUID like 01234567-"),
        ("6a6f3a39", "6a6f3a3g", 3, "<uuid> is '6a6f3a3g-29a8-4b1f-9d04-2f1b6a7d1e11', expected a UUID"),
        ("'MiB'", "'furlong'", 4, "<memory>: unit is 'furlong', expected one of b, bytes, KB, k, KiB"),
        (">64<", ">-64<", 4, "<memory> is '-64', expected a number that is not negative"),
        (">64<", ">much<", 4, "<memory> is 'much', expected a number that is not negative"),
        (">64<", f">{10**30}<", 4, "expected a number that is not negative"),
        (">2<", ">-2<", 5, "<vcpu> is '-2', expected a number that is not negative"),
        (">2<", ">0<", 5, "<vcpu> is '0', expected a number above 0"),
        ("current='1'", "current='-1'", 5, "<vcpu>: current is '-1', expected a number that is not negative"),
        ("current='1'", "current='3'", 5, "<vcpu>: current is 3, expected at most the 2 there are"),
        ("current='1'", "cpuset='all'", 5, "<vcpu>: cpuset is 'all', expected a list of CPUs like 0-3,^2"),
        (
            "<os>", "<cputune>\n<vcpupin vcpu='0' cpuset='0'/><vcpupin vcpu='0' cpuset='1'/></cputune><os>", 7,
            "<vcpupin>: a second one for vCPU 0",
        ),
        (
            "<os>", "<cpu><numa>\n<cell id='1' cpus='0' memory='1'/></numa></cpu><os>", 7,
            "<cell>: ids are [1], expected 0 to 0",
        ),
        ("</memory>", "</memory><memory>1</memory>", 4, "a second <memory> in <domain>, expected one"),
        ("<name>web</name>", "<name>web</name><name>b</name>", 2, "a second <name> in <domain>, expected"),
        ("</os>", "</os><os/>", 6, "a second <os> in <domain>, expected one"),
        ("<kernel>", "<kernel>/j</kernel><kernel>", 6, "a second <kernel> in <os>, expected one"),
        ("</devices>", "</devices><devices/>", 12, "a second <devices> in <domain>, expected one"),
        ("<os>", "<metadata/><metadata/><os>", 6, "a second <metadata> in <domain>, expected one"),
        ("<source file='/a'/>", "<source file='/a'/><source/>", 8, "a second <source> in <disk>"),
        ("    <graphics", "    <disk><target dev='xvda'/></disk>\n<graphics", 10, "a second <disk> with the target"),
        ("</channel>", "</channel><channel type='pty'><target name='agent'/></channel>", 11, "a second <channel>"),
        ("<target dev='xvda'/>", "", 8, "<disk> names no target, expected one like <target dev='xvda'/>"),
        ("<disk type='file'>", "<disk type='file' device='tape'>", 8, "<disk>: device is 'tape', expected one of"),
        ("<source file", "<driver type='zip'/><source file", 8, "<driver>: type is 'zip', expected one of raw"),
        ("00:16:3e:00:00:01", "00:16", 9, "<mac>: address is '00:16', expected six groups of hexadecimal"),
        ("<source bridge='xenbr0'/>", "", 9, "<interface type='bridge'> names none, expected <source bridge="),
        ("'5901'", "'70000'", 10, "<graphics>: port is '70000', expected a port up to 65535"),
        ("'5901'", "'-2'", 10, "<graphics>: port is '-2', expected a number that is not negative"),
        (" name='agent'", "", 11, "<channel> has no name, expected <target type='xen' name="),
        ("</devices>", "</device>", 12, "this is no XML: mismatched tag"),
        ("</domain>\n", "", 13, "this is no XML: no element found"),
        ("</domain>\n", "</domain><domain/>\n", 13, "this is no XML: junk after document element"),
        ("'xenbr0'", "xenbr0", 9, "this is no XML: not well-formed"),
        ("<name>web", "<name>&nbsp;web", 2, "this is no XML: undefined entity"),
    ],
)  # fmt: skip
def test_each_fault_is_named(old: str, new: str, line: int, message: str) -> None:
    assert old in WEB
    error = refused(WEB.replace(old, new, 1))
    assert message in error.message
    assert error.line == line


LAUGHS = "<!DOCTYPE domain [<!ENTITY a 'ha'>{}]>\n<domain type='xen'><name>&l29;</name></domain>".format(
    "".join(f"<!ENTITY l{n} '&l{n - 1};&l{n - 1};'>" for n in range(1, 30)).replace("&l0;", "&a;")
)


@pytest.mark.parametrize(
    "prologue",
    [
        "<!DOCTYPE domain>",
        "<!DOCTYPE domain SYSTEM 'file:///etc/hostname'>",
        "<!DOCTYPE domain PUBLIC '-//X//Y' 'http://dtd.example/domain.dtd'>",
        "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/hostname'>]>",
        "<!DOCTYPE domain [<!ENTITY % p SYSTEM 'file:///etc/hostname'> %p;]>",
        "<!DOCTYPE domain [<!ENTITY x 'y'>]>",
        "<!DOCTYPE domain [<!ATTLIST domain type CDATA 'xen'>]>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_whatever_is_in_it(prologue: str, encoding: str) -> None:
    for text in (WEB, WEB.replace("web", "&x;")):
        error = refused(f"\n{prologue}\n{text}".encode(encoding))
        assert "a document type is refused, expected none" in error.message
        assert (error.line, error.column) == (2, 1)


def test_entities_are_not_expanded() -> None:
    assert "a document type is refused" in refused(LAUGHS).message
    five = WEB.replace("<name>web", "<title>&lt;&gt;&amp;&quot;&apos;&#65;</title><name>web")
    assert domain_xml.parse(five).description.title == "<>&\"'A"


def test_nothing_beside_the_text_is_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("<name>secret</name>")
    within = "<xi:include xmlns:xi='http://www.w3.org/2001/XInclude' href='secret' parse='text'/>"
    document = domain_xml.parse(WEB.replace("<os>", within + "<os>"), file=str(tmp_path / "web.xml"))
    assert [one.text for one in document.description.unknown] == [within]


def test_depth_and_size_are_bounded() -> None:
    def nested(depth: int) -> str:  # <domain> and <metadata> are two
        deep = "<a>" * (depth - 2) + "</a>" * (depth - 2)
        return WEB.replace("  <os>", f"  <metadata>\n{deep}</metadata><os>")

    assert domain_xml.parse(nested(64)).text() == nested(64)
    error = refused(nested(65))
    assert "<a> is too deep, expected at most 64 elements in each other" in error.message
    assert error.line == 7
    large = WEB + "<!--" + "x" * (17 << 20) + "-->"
    for text in (large, large.encode(), large.encode("utf-16")):
        assert f"bytes are too many, expected at most {16 << 20}" in refused(text).message
    assert refused("<a>" * 1_000_000).line == 1


@pytest.mark.parametrize(
    ("said", "encoding"),
    [
        ("UTF-8", "utf-8"), ("utf-8", "utf-8-sig"), ("UTF-16", "utf-16"), ("ISO-8859-1", "iso-8859-1"),
        ("iso-8859-1", "iso-8859-1"),
    ],
)  # fmt: skip
def test_encodings_that_are_read(said: str, encoding: str) -> None:
    text = f'<?xml version="1.0" encoding="{said}"?>\n' + WEB.replace("<os>", "<title>Brücke</title><os>")
    description = domain_xml.parse(text.encode(encoding)).description
    assert description.title == "Brücke"
    assert formats.parse(text.encode(encoding)).description == description
    fault = refused(text.replace("'MiB'", "'ell'").encode(encoding))
    assert fault.line == 5
    assert "<memory>: unit is 'ell'" in fault.message


@pytest.mark.parametrize(
    ("data", "line", "message"),
    [
        (b"<?xml version='1.0' encoding='utf-7'?><a/>", 1, "the encoding 'utf-7' is refused, expected UTF-8"),
        (b"<?xml version='1.0' encoding='koi8-r'?><a/>", 1, "the encoding 'koi8-r' is refused, expected"),
        (b"<?xml version='1.0' encoding='us-ascii'?>\n<a>\xe9</a>", 1, "this is not in ascii, as it says"),
        (b"<a>\n<b>\xe9</b></a>", 2, "this is no UTF-8"),
        (b"\xff\xfe<\x00a", 1, "this is no"),
        (b"\xff\xfe<\x00a\x00>", 1, "this is not in utf-16"),
        (b"\xed\xa0\x80", 1, "this is no UTF-8"),
        (b"<a>\x00</a>", 1, "this is no XML"),
        (b"", 1, "this is no XML: no element found"),
    ],
)
def test_encodings_that_are_wrong(data: bytes, line: int, message: str) -> None:
    error = refused(data)
    assert message in error.message
    assert error.line == line


@given(st.binary(max_size=40), st.integers(0, len(WEB)), st.integers(0, 30))
def test_whatever_arrives_is_read_or_refused(rubbish: bytes, at: int, gone: int) -> None:
    data = WEB.encode()
    for text in (rubbish, data[:at] + rubbish + data[at + gone :], data[:at]):
        refusals = []
        try:
            document = domain_xml.parse(text, file="web.xml")
        except ConfigError as error:
            refusals.append(error.message)
        else:
            assert domain_xml.parse(document.text()).description == document.description
        try:
            device_xml.parse(text, file="web.xml")
        except ConfigError as error:
            refusals.append(error.message)
        assert all(re.match(r"web\.xml:\d+:\d+: \S", message) for message in refusals)


def test_the_distance_of_a_numa_node_is_to_the_sibling_that_is_named() -> None:
    cell = (
        "<cpu><numa><cell id='0' cpus='0' memory='1'><distances>{}</distances></cell>"
        "<cell id='1' cpus='1' memory='1'/></numa></cpu><os>"
    )
    both = WEB.replace("<os>", cell.format("<sibling id='1' value='21'/><sibling id='0' value='10'/>"))
    (first, _) = domain_xml.parse(both).description.cpus.numa
    assert first.distances == (10, 21)


def test_numa_nodes_are_in_the_order_of_their_numbers() -> None:
    cells = "<cpu><numa><cell id='1' cpus='1' memory='2'/><cell id='0' cpus='0' memory='1'/></numa></cpu>"
    nodes = domain_xml.parse(WEB.replace("<os>", f"{cells}<os>")).description.cpus.numa
    assert [node.vcpus for node in nodes] == ["0", "1"]


@pytest.mark.parametrize(
    "timer", ["<timer name='pit' present='no'/>", "<timer name='pit' tickpolicy='delay'/>"]
)
def test_a_timer_that_is_unknown_is_written_again(timer: str) -> None:
    clock = f"<clock offset='utc'><timer name='tsc' mode='native'/>{timer}</clock><os>"
    description = domain_xml.parse(WEB.replace("<os>", clock)).description
    assert "name='pit'" in domain_xml.format(description).text()


@pytest.mark.parametrize("kind", list(GraphicsType))
def test_without_security_info_no_password_is_written(kind: GraphicsType) -> None:
    said = DomainDescription(
        "web", graphics=(Graphics(kind, password="hush"), Graphics(kind, password="hush"))
    )
    document = domain_xml.format(said, security_info=False)
    assert "hush" not in document.text()
    assert [one.password for one in document.description.graphics] == [None, None]
    assert "hush" in domain_xml.format(said).text()
