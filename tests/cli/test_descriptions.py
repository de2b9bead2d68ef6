"""convert, validate and new-config: files in, files out."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from purevirt import formats
from purevirt.cli.app import run
from purevirt.description import Disk, DiskDevice, DiskFormat, DomainType

CONFIG = 'name = "web"  # the shop\nkernel = "/k"\nmemory = 512\ncolour = "blue"\n'
RECORD = json.dumps(
    {
        "c_info": {"type": "pv", "name": "web", "uuid": "6695a0c4-0000-4000-8000-000000000001"},
        "b_info": {"max_memkb": 524288, "target_memkb": 524287, "kernel": "/k", "type.pv": {}},
    }
)
UUID = "6695a0c4-0000-4000-8000-000000000001"

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run a command line in an empty directory; status, output, error output."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        status = run(arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return call


# --- convert


def test_a_record_is_converted_to_a_file(call: Call) -> None:
    Path("record").write_text(RECORD)
    assert call("convert", "record", "web.cfg", "--report") == (
        0,
        "",
        "xen-xl cannot say: memory.kib = 524287 instead of 524288\n",
    )
    assert formats.parse(Path("web.cfg").read_text()).description == formats.parse(RECORD).description
    assert call("convert", "web.cfg", "--to", "xen-xl")[1] == Path("web.cfg").read_text()


def test_a_file_is_not_replaced_unless_told_to(call: Call) -> None:
    Path("record").write_text(RECORD)
    Path("web.cfg").write_text("mine")
    status, _, err = call("convert", "record", "web.cfg")
    assert (status, err) == (1, "purevirt: web.cfg is there already; --force replaces it\n")
    assert Path("web.cfg").read_text() == "mine"
    assert call("convert", "record", "web.cfg", "--force")[0] == 0
    assert "524287" in Path("web.cfg").read_text()


def test_a_link_is_written_through_and_nothing_is_left_beside_it(call: Call) -> None:
    Path("record").write_text(RECORD)
    Path("there").mkdir()
    Path("there/web.cfg").write_text("mine")
    Path("web.cfg").symlink_to("there/web.cfg")
    assert call("convert", "record", "web.cfg", "--force")[0] == 0
    assert Path("web.cfg").is_symlink()
    assert "524287" in Path("there/web.cfg").read_text()
    assert os.listdir("there") == ["web.cfg"]


def test_a_replaced_file_keeps_its_permissions(call: Call) -> None:
    Path("record").write_text(RECORD)
    Path("web.cfg").write_text("mine")
    Path("web.cfg").chmod(0o600)
    assert call("convert", "record", "web.cfg", "--force")[0] == 0
    assert Path("web.cfg").stat().st_mode & 0o777 == 0o600


def test_a_password_is_its_owners_alone(call: Call) -> None:
    Path("in.cfg").write_text('name = "old"\ntype = "hvm"\nvnc = 1\nvncpasswd = "secret"\n')
    assert call("convert", "in.cfg", "out.cfg")[0] == 0
    assert Path("out.cfg").stat().st_mode & 0o777 == 0o600


def test_a_record_as_it_is_on_a_host(call: Call) -> None:
    record = Path(__file__).parents[1] / "data/descriptions/libvirt-pv.libxl-json"
    assert record.read_bytes().endswith(b"\0")
    status, out, _ = call("convert", str(record))
    assert status == 0
    assert "<kernel>" in out


def test_strict_refuses_what_cannot_be_said(call: Call) -> None:
    Path("record").write_text(RECORD)
    status, _, err = call("convert", "record", "web.cfg", "--strict")
    assert status == 2
    assert "xen-xl cannot say 1 thing of it: memory.kib" in err
    assert not Path("web.cfg").exists()


def test_a_conversion_as_json(call: Call) -> None:
    Path("record").write_text(RECORD)
    status, out, _ = call("convert", "record", "--to", "xen-xl", "--json")
    said = json.loads(out)
    assert status == 0
    assert said["from"] == "libxl-json"
    assert said["unsaid"] == [{"path": "memory.kib", "value": 524287, "instead": 524288}]
    assert 'name = "web"' in said["text"]


def test_standard_input_is_read(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    stdin = io.TextIOWrapper(io.BytesIO(CONFIG.encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert call("convert", "-", "--to", "xen-xl")[1] == CONFIG


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nothing.cfg"], 1, "cannot read nothing.cfg: No such file"),
        (["."], 1, "cannot read .: Is a directory"),
        (["web.cfg", "no/where.cfg"], 1, "cannot write no/where.cfg: No such file"),
        (["web.cfg", "--to", "libxl-json"], 2, "is not one of 'xml', 'xen-xl'"),
        (["empty"], 2, "empty: an empty file describes no domain"),
        (["page"], 2, "page:1:1: expected <domain>, found <html>"),
    ],
)
def test_what_cannot_be_converted(call: Call, arguments: list[str], status: int, message: str) -> None:
    Path("web.cfg").write_text(CONFIG)
    Path("empty").write_text("")
    Path("page").write_text("<html/>")
    found, _, err = call("convert", *arguments)
    assert found == status
    assert message in err
    assert err.count("\n") == 1


def test_a_configuration_file_becomes_xml_and_back(call: Call) -> None:
    Path("web.cfg").write_text(CONFIG)
    assert call("convert", "web.cfg", "web.xml") == (0, "", "")
    assert call("validate", "web.xml") == (0, "web.xml: valid xml, PV domain 'web'\n", "")
    back = call("convert", "web.xml")[1]
    assert formats.parse(back).description == formats.parse(CONFIG).description
    assert 'colour = "blue"\n' in back
    assert call("domxml-from-native", "xen-xl", "web.cfg")[1] == Path("web.xml").read_text()
    assert call("domxml-to-native", "xen-xl", "web.xml") == call("convert", "web.xml")
    assert call("domxml-to-native", "xen-xl", "--xml", "web.xml") == call("convert", "web.xml")


def test_what_xend_took_becomes_a_configuration_file_and_back(call: Call) -> None:
    Path("web.sxp").write_text(
        "# old\n(vm (name web) (memory 64) (image (linux (kernel /k))) (features x))\n"
    )
    assert call("validate", "web.sxp") == (0, "web.sxp: valid xen-sxpr, PV domain 'web'\n", "")
    status, _, err = call("convert", "web.sxp", "web.cfg", "--to", "xen-xl", "--report")
    assert (status, err) == (0, "xen-xl cannot say: (features x)\nxen-xl cannot say: 1 comment\n")
    assert call("convert", "web.cfg", "back.sxp") == (0, "", "")
    assert (
        formats.parse(Path("back.sxp").read_text()).description
        == formats.parse(Path("web.sxp").read_text()).description
    )
    xml = call("domxml-from-native", "xen-sxpr", "web.sxp")[1]
    Path("web.xml").write_text(xml)
    assert call("domxml-to-native", "xen-sxpr", "web.xml")[1] == Path("back.sxp").read_text()


@pytest.mark.parametrize(
    "arguments",
    [(), ("web.xml", "--xml", "web.xml"), ("web.xml", "--domain", "web"), ("--xml", "a", "--domain", "a")],
)
def test_one_source_is_wanted(call: Call, arguments: tuple[str, ...]) -> None:
    status, _, err = call("domxml-to-native", "xen-xl", *arguments)
    assert status == 2
    assert "name one of FILE, --xml FILE and --domain DOMAIN" in err


def test_a_mistake_in_xml_says_where(call: Call) -> None:
    Path("web.xml").write_text("<domain type='xen'>\n  <name>a</name>\n  <vcpu>-1</vcpu>\n</domain>\n")
    status, _, err = call("validate", "web.xml")
    assert (status, err) == (
        2,
        "purevirt: web.xml:3:3: <vcpu> is '-1', expected a number that is not negative\n",
    )


# --- validate


def test_a_good_description(call: Call) -> None:
    Path("web.cfg").write_text(CONFIG)
    assert call("validate", "web.cfg") == (0, "web.cfg: valid xen-xl, PV domain 'web'\n", "")
    said = json.loads(call("validate", "web.cfg", "--json")[1])
    assert said == {"valid": True, "format": "xen-xl", "name": "web", "problems": []}


def test_one_that_cannot_be_read_says_where(call: Call) -> None:
    Path("web.cfg").write_text('name = "web"\nmemory = "much"\n')
    status, _, err = call("validate", "web.cfg")
    assert status == 2
    assert err.startswith("purevirt: web.cfg:2:10: ")
    status, out, _ = call("validate", "web.cfg", "--json")
    ((problem),) = json.loads(out)["problems"]
    assert (status, problem["line"], problem["column"]) == (2, 2, 10)


def test_one_that_cannot_be_says_what(call: Call) -> None:
    Path("web.cfg").write_text('name = "web"\nmemory = 512\nmaxmem = 256\n')
    status, _, err = call("validate", "web.cfg")
    assert status == 2
    assert err.splitlines() == [
        "web.cfg: memory.max_kib: the maximum, 262144 KiB, is below the 524288 KiB it starts with",
        "web.cfg: boot: a PV domain needs a kernel, or a boot loader that finds one",
    ]
    assert [one["path"] for one in json.loads(call("validate", "web.cfg", "--json")[1])["problems"]] == [
        "memory.max_kib",
        "boot",
    ]


# --- new-config


def test_a_first_description(call: Call) -> None:
    status, out, err = call(
        *("new-config", "web", "--uuid", UUID, "--memory", "2G", "--maxmem", "4G", "--vcpus", "2"),
        *("--disk", "/dev/vg0/web", "--disk", "/iso/debian.iso", "--disk", "/img/a.qcow2,target=xvdb,ro"),
        *("--bridge", "xenbr0", "--mac", "00:16:3e:01:02:03"),
    )
    assert (status, err) == (0, "")
    said = formats.parse(out).description
    assert (said.name, said.type, str(said.uuid)) == ("web", DomainType.PVH, UUID)
    assert (said.memory.kib, said.memory.max_kib, said.cpus.online) == (2 << 20, 4 << 20, 2)
    assert said.boot.bootloader == "pygrub"
    assert said.disks == (
        Disk("xvda", "/dev/vg0/web", DiskFormat.RAW),
        Disk("xvdc", "/iso/debian.iso", DiskFormat.RAW, device=DiskDevice.CDROM, read_only=True),
        Disk("xvdb", "/img/a.qcow2", DiskFormat.QCOW2, read_only=True),
    )
    assert [(one.mac, one.bridge) for one in said.interfaces] == [("00:16:3e:01:02:03", "xenbr0")]


def test_what_is_random_is_xens_and_new_each_time(call: Call) -> None:
    made = [
        formats.parse(call("new-config", "web", "--kernel", "/k", "--bridge", "b")[1]).description
        for _ in range(2)
    ]
    assert all((one.interfaces[0].mac or "").startswith("00:16:3e:") for one in made)
    assert made[0].uuid != made[1].uuid


def test_an_hvm_domain_has_a_screen_unless_told_otherwise(call: Call) -> None:
    assert "vnc = 1" in call("new-config", "old", "--type", "hvm")[1]
    assert "vnc" not in call("new-config", "old", "--type", "hvm", "--no-vnc")[1]


def test_it_is_written_to_a_file_that_is_valid(call: Call) -> None:
    assert call("new-config", "web", "--kernel", "/k", "-o", "web.cfg") == (0, "", "")
    assert call("validate", "web.cfg")[0] == 0
    assert call("new-config", "web", "--kernel", "/k", "-o", "web.cfg")[0] == 1
    assert call("new-config", "web", "--kernel", "/k", "-o", "web.xml")[0] == 0
    assert call("validate", "web.xml")[1] == "web.xml: valid xml, PVH domain 'web'\n"
    assert call("new-config", "web", "--kernel", "/k", "--format", "xml")[1].startswith("<domain type='xen'>")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "NAME is missing, and there is nobody to ask"),
        (["web"], "a PVH domain needs --kernel FILE, or a --disk"),
        (["web", "--disk", "a"], "'a' is no absolute path"),
        (["web", "--disk", "/a,colour=1"], "'colour=1' is not one of target=NAME"),
        (["web", "--disk", "/a,format=empty"], "'format=empty' is not one of"),
        (["web", "--kernel", "/k", "--uuid", "1"], "'1' is no UUID"),
        (["web", "--kernel", "/k", "--mac", "00:16:3e:00:00:01"], "more addresses (--mac) than interfaces"),
        (["web", "--kernel", "/k", "--maxmem", "1M"], "the maximum, 1024 KiB, is below"),
        (["7", "--kernel", "/k"], "cannot be a domain's name"),
        (["web", "--kernel", "/k", "--memory", "much"], "'much' is no size"),
    ],
)
def test_a_wrong_word_is_one_clear_line(
    call: Call, arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    status, out, err = call("new-config", *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
