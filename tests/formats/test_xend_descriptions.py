"""Descriptions as xend took them: what they say, what is written, what changes, what xend would show of them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purevirt import formats
from purevirt.errors import ConfigError, InvalidConfig
from purevirt.formats import carried, xend_sxpr
from purevirt.formats.xend_sxpr import vm
from purevirt.formats.xend_sxpr.vm.binding import canonical
from purevirt.formats.xend_sxpr.vm.document import _ORDER
from purevirt.formats.xend_sxpr.vm.table import IMAGE, TOP
from purevirt.model.description import (
    Action,
    Boot,
    Cpus,
    Disk,
    DiskDevice,
    DiskFormat,
    DomainDescription,
    Graphics,
    GraphicsType,
    Interface,
    Keyboard,
    Memory,
    PciDevice,
    PortRange,
    Scheduling,
    Unknown,
    UsbController,
    Vtpm,
)
from purevirt.model.domain import DomainType
from purevirt.wire import sxp
from tests.support.descriptions import descriptions
from tests.support.golden import golden

DATA = Path(__file__).parents[1] / "data" / "descriptions"
RECORDED = Path(__file__).parents[1] / "data" / "xend"
FILES = sorted(path for path in DATA.glob("*.sxp") if not path.name.endswith(".fresh.sxp"))
WEB = "(vm (name web) (memory 64) (image (linux (kernel /k))){})"


def said(text: str) -> DomainDescription:
    """What a domain is with that in it."""
    return vm.parse(WEB.format(text)).description


def image(text: str, kind: str = "hvm") -> DomainDescription:
    return vm.parse(f"(vm (name web) (image ({kind} {text})))").description


def config(name: str) -> str:
    """What a client of a real xend sent."""
    body = (RECORDED / f"{name}.req").read_bytes().partition(b"\r\n\r\n")[2]
    return parse_qs(body.decode())["config"][0]


# --- whole texts


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_files_say_and_are_written_as_recorded(path: Path) -> None:
    text = path.read_text()
    assert formats.recognise(text) == "xen-sxpr"
    document = vm.parse(text, file=path.name)
    assert document.text() == text
    empty = DomainDescription(document.description.name)
    lines = [f"{carried.line(item)}\n" for item in carried.missing(empty, document.description)]
    assert "".join(lines) == golden(path.with_suffix(".sxp.said"), "".join(lines))
    fresh = vm.format(document.description)
    assert fresh.text() == golden(path.with_suffix(".fresh.sxp"), fresh.text())
    assert vm.parse(fresh.text()).description == document.description
    assert not fresh.carried


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_change_leaves_every_other_letter_alone(path: Path) -> None:
    document = vm.parse(path.read_text())
    description = document.description
    changed = document.updated(description._replace(memory=description.memory._replace(kib=3 << 20)))
    before = sxp.child(sxp.parse_one(document.text().encode()), "memory")
    assert before is not None
    assert changed.text() == document.text().replace(f"(memory {before[1]})", "(memory 3072)")
    assert changed.description == vm.parse(changed.text()).description


@given(descriptions)
def test_what_is_written_is_read_again(description: DomainDescription) -> None:
    document = vm.format(description)
    again = vm.parse(document.text())
    assert again.description == document.description == description
    assert again.carried == document.carried
    assert document.text().isascii()


@given(descriptions, descriptions)
def test_one_description_can_be_made_another_in_place(old: DomainDescription, new: DomainDescription) -> None:
    document = vm.format(old).updated(new)
    assert vm.parse(document.text()).description == document.description == new
    assert document.carried == vm.format(new).carried


@given(st.sampled_from(FILES), descriptions)
def test_a_file_can_be_made_any_description(path: Path, new: DomainDescription) -> None:
    document = vm.parse(path.read_text()).updated(new)
    assert vm.parse(document.text()).description == new


@given(descriptions)
def test_every_pair_has_its_place_in_a_fresh_text(description: DomainDescription) -> None:
    assert set(canonical(description).pairs) <= set(_ORDER)


def test_keys_are_bound_once() -> None:
    keys = [row.key for row in (*TOP, *IMAGE)]
    assert len(keys) == len(set(keys))


WORDS = st.sampled_from(
    ["0", "1", "-1", "3.0", "x", "", "vnc", "sdl", "hda:cdrom", "phy:a", "tap:aio:/x", "drbd:z", "w!", "r", "0x10",
     "100", "ioemu", "10MB/s", "00:16:3e:1:2:3", "0-3,^1", "\udcff", "ü", "memory.kib = 5 instead of 7", 'name = "x"']
)  # fmt: skip
KEYS = st.sampled_from(
    ["name", "uuid", "memory", "maxmem", "vcpus", "vcpu_avail", "cpus", "cpu", "restart", "bootloader",
     "bootloader_args", "vbd", "vif", "vfb", "vkbd", "pci", "dev", "opts", "domain", "bus", "slot", "func",
     "vdevfn", "vusb", "vtpm", "ioports", "irq", "from", "to", "uname", "mode", "type", "rate", "mac", "purevirt",
     "security", "fda", "kernel", "access_control", "label", "args", "root", "ip", "boot", "vnc", "sdl", "keymap",
     "console", "vscsi", "serial", "viridian", "features", "foo", "usb-ver"]
)  # fmt: skip
PAIR = st.builds(lambda key, values: [key, *values], KEYS, st.lists(WORDS, min_size=1, max_size=2))
DEVICE = st.builds(lambda key, pairs: ["device", [key, *pairs]], KEYS, st.lists(PAIR, max_size=4))
IMAGES = st.builds(
    lambda key, pairs: ["image", [key, *pairs]], st.sampled_from(["linux", "hvm"]), st.lists(PAIR, max_size=5)
)


@given(st.lists(PAIR | DEVICE | IMAGES, max_size=6))
def test_whatever_is_in_it_is_read_whole_or_refused_with_its_place(children: list[sxp.Value]) -> None:
    text = sxp.text(["vm", ["name", "w"], *children])
    document, place = None, (1, 1)
    try:
        document = vm.parse(text)
    except ConfigError as error:
        place = (error.line or 0, error.column or 0)
    assert place[0] == 1
    assert 1 <= place[1] <= len(text)
    if document is not None:
        assert vm.parse(vm.format(document.description).text()).description == document.description


# --- what is said


def test_what_recorded_clients_sent() -> None:
    assert vm.parse(config("define-pv2")).description == DomainDescription(
        "pv2",
        uuid=UUID("0f0e0d0c-0b0a-0908-0706-050403020100"),
        memory=Memory(128 << 10, 256 << 10),
        cpus=Cpus(2),
        boot=Boot(kernel="/boot/vmlinuz-guest"),
        lifecycle=vm.parse(config("create-pv1")).description.lifecycle,
        disks=(Disk("xvda", "/dev/loop0", DiskFormat.RAW),),
        interfaces=(Interface("00:16:3e:5d:c7:9e", "xenbr0", script="vif-bridge"),),
    )
    assert vm.parse(config("create-pv1")).description.boot.command_line == " ro root=/dev/xvda"


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("", "memory", Memory(64 << 10)),
        ("(maxmem 128)", "memory", Memory(64 << 10, 128 << 10)),
        ("(maxmem 0)", "memory", Memory(64 << 10)),
        ("(vcpus '2')", "cpus", Cpus(2)),
        ("(vcpus 4) (vcpu_avail 3)", "cpus", Cpus(2, 4)),
        ("(vcpus 2) (vcpu_avail 15)", "cpus", Cpus(2, 2)),
        ("(vcpus 4) (cpus 0-3,^1)", "cpus", Cpus(4, affinity=("0-3,^1",))),
        ("(vcpus 2) (cpus ((0 1 2) ()))", "cpus", Cpus(2, affinity=("0-2", "all"))),
        ("(vcpus 2) (cpus (() ()))", "cpus", Cpus(2)),
        ("(vcpus 2) (cpus ((3)))", "cpus", Cpus(2, affinity=("3", "all"))),
        ("(vcpus 2) (cpus (1 '2,3'))", "cpus", Cpus(2, affinity=("1", "2,3"))),
        ("(cpu 2)", "cpus", Cpus(affinity=("2",))),
        ("(cpu -1)", "cpus", Cpus()),
        ("(cpu_weight 512.0) (cpu_cap 50) (pool_name p)", "scheduling", Scheduling(512, 50, "p")),
        ("(uuid 0F0e0d0c0b0a09080706050403020100)", "uuid", UUID("0f0e0d0c-0b0a-0908-0706-050403020100")),
        ("(on_xend_start ignore) (features '') (domid 3) (state r-----)", "unknown", ()),
        ("(memory 128)", "unknown", (Unknown("xen-sxpr", "memory", "(memory 128)"),)),
        ("(features 'a|b')", "unknown", (Unknown("xen-sxpr", "features", "(features 'a|b')"),)),
    ],
)
def test_what_pairs_say(text: str, path: str, value: object) -> None:
    assert getattr(said(text), path) == value


@pytest.mark.parametrize(
    ("word", "actions"),
    [
        ("onreboot", (Action.DESTROY, Action.RESTART, Action.DESTROY)),
        ("always", (Action.RESTART, Action.RESTART, Action.RESTART)),
        ("never", (Action.DESTROY, Action.DESTROY, Action.DESTROY)),
    ],
)
def test_restart_is_what_came_before_the_actions(word: str, actions: tuple[Action, ...]) -> None:
    assert said(f"(restart {word})").lifecycle[:3] == actions
    preserved = said(f"(on_crash preserve) (restart {word})").lifecycle
    assert preserved[:3] == (*actions[:2], Action.PRESERVE)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("(args ro) (root /dev/a) (ip 1.2.3.4)", "ro ip=1.2.3.4 root=/dev/a"),
        ("(args 'root=/dev/b ip=off') (root /dev/a) (ip 1.2.3.4)", "root=/dev/b ip=off"),
        ("(args 'nfsroot=/x') (root /dev/nfs)", "nfsroot=/x root=/dev/nfs"),
        ("(root /dev/a)", "root=/dev/a"),
        ("(args '')", None),
    ],
)
def test_a_root_and_an_address_are_added_to_the_arguments(text: str, line: str | None) -> None:
    assert image(text, "linux").boot.command_line == line


def test_the_loader_and_device_model_of_old_releases_say_nothing() -> None:
    old = image("(kernel /usr/lib/xen/boot/hvmloader) (device_model /usr/lib64/xen/bin/qemu-dm)")
    assert old == DomainDescription("web", DomainType.HVM)
    own = image("(kernel /k) (loader /opt/hvmloader) (device_model /usr/bin/qemu-system-i386)")
    assert own.boot == Boot(kernel="/k", loader="/opt/hvmloader")
    assert own.device_model.path == "/usr/bin/qemu-system-i386"


def test_platform_keys_count_in_the_image_first() -> None:
    text = "(vm (name w) (localtime 1) (acpi 0) (image (hvm (acpi 1))))"
    description = vm.parse(text).description
    assert (description.clock.local, description.features.acpi) == (True, True)
    assert [item.text for item in description.unknown] == ["(acpi 0)"]


@pytest.mark.parametrize(
    ("text", "disk"),
    [
        ("(uname phy:vg/a) (dev xvda) (mode w)", Disk("xvda", "/dev/vg/a", DiskFormat.RAW)),
        ("(uname phy:/vol/a) (dev xvda) (mode w)", Disk("xvda", "/vol/a", DiskFormat.RAW, from_device=True)),
        (
            "(uname file:/dev/a) (dev xvda) (mode w)",
            Disk("xvda", "/dev/a", DiskFormat.RAW, from_device=False),
        ),
        ("(uname file:/a) (dev sda1)", Disk("sda1", "/a", DiskFormat.RAW, read_only=True)),
        ("(uname tap:vhd:/a) (dev hda) (mode w!)", Disk("hda", "/a", DiskFormat.VHD, shareable=True)),
        ("(uname tap:tapdisk:qcow:/a) (dev hda) (mode w)", Disk("hda", "/a", DiskFormat.QCOW)),
        ("(uname nbd:h:1) (dev hda) (mode w)", Disk("hda", "h:1", DiskFormat.RAW, script="block-nbd")),
        ("(dev hdc:cdrom) (mode r)", Disk("hdc", device=DiskDevice.CDROM, read_only=True)),
        ("(dev ioemu:hdc:cdrom) (uname file:)", Disk("hdc", device=DiskDevice.CDROM, read_only=True)),
        ("(uname phy:a)(dev xvda)(mode w)(backend 0)", Disk("xvda", "/dev/a", DiskFormat.RAW)),
        (
            "(uname phy:a)(dev xvda)(mode w)(backend store)",
            Disk("xvda", "/dev/a", DiskFormat.RAW, backend_domain="store"),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["vbd", "tap", "tap2"])
def test_disks(kind: str, text: str, disk: Disk) -> None:
    assert said(f"(device ({kind} {text}))").disks == (disk,)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("(vfb (type vnc) (vncdisplay 2))", [(GraphicsType.VNC, 5902)]),
        ("(vfb (vnc 1) (sdl 1))", [(GraphicsType.VNC, None), (GraphicsType.SDL, None)]),
        ("(vfb (type sdl))", [(GraphicsType.SDL, None)]),
        ("(vfb)", [(GraphicsType.VNC, None)]),
    ],
)
def test_frame_buffers_come_with_a_keyboard(text: str, shown: list[tuple[GraphicsType, int | None]]) -> None:
    found = said(f"(device {text}) (device (vkbd)) (device (vkbd (backend b)))")
    assert [(one.type, one.port) for one in found.graphics] == shown
    assert found.keyboards == (Keyboard(backend_domain="b"),)


def test_screens_of_an_hvm_domain_are_its_image_s_unless_it_has_none() -> None:
    buffer = "(device (vfb (type vnc) (vncdisplay 5)))"
    assert vm.parse(f"(vm (name w) (image (hvm (vnc 1))) {buffer})").description.graphics == (
        Graphics(GraphicsType.VNC),
    )
    assert vm.parse(f"(vm (name w) (image (hvm)) {buffer})").description.graphics == (
        Graphics(GraphicsType.VNC, port=5905),
    )
    off = image("(vnc 0) (vnclisten ::1)")
    assert (off.graphics, [item.text for item in off.unknown]) == ((), ["(vnc 0)", "(vnclisten ::1)"])


def test_labels_of_other_policies_are_kept() -> None:
    label = "(security ((access_control (policy {}) (label blue))))"
    assert said(label.format("''")).security.label == "blue"
    old = said(label.format("xm-test"))
    assert (old.security.label, old.unknown[0].place) == (None, "security")


def test_whether_it_starts_with_the_daemon_is_told_and_kept() -> None:
    document = vm.parse(WEB.format(" (on_xend_start start)"))
    assert document.autostart
    assert document.description.unknown == (Unknown("xen-sxpr", "on_xend_start", "(on_xend_start start)"),)
    assert not vm.parse(WEB.format("")).autostart


# --- changes, and what is carried


def test_what_stays_keeps_its_place_and_its_spelling() -> None:
    text = (
        "(vm (name web)\n  (device (tap (uname tap:aio:/a)(dev xvda)(mode w))) # root\n  (image (linux (kernel /k)))\n"
        "  (device (vif))\n  (device (vbd (uname phy:b)(dev xvdb)(mode w))) (slice  5))\n"
    )
    document = vm.parse(text)
    root, data = document.description.disks
    assert document.comments == 1
    one = document.updated(document.description._replace(disks=(root,)))
    assert one.text() == text.replace("\n  (device (vbd (uname phy:b)(dev xvdb)(mode w)))", "")
    two = document.updated(document.description._replace(disks=(root, data._replace(read_only=True))))
    assert two.text() == text.replace(
        "(vbd (uname phy:b)(dev xvdb)(mode w))", "(vbd (dev xvdb:disk) (uname phy:/dev/b) (mode r))"
    )
    more = document.updated(document.description._replace(tpms=(Vtpm("tpm"),)))
    assert more.text() == text.replace("(slice  5))", "(slice  5)\n    (device (vtpm (backend tpm))))")
    none = document.updated(document.description._replace(unknown=()))
    assert none.text() == text.replace(" (slice  5)", "")


def test_an_old_spelling_in_the_way_has_the_text_written_afresh() -> None:
    document = vm.parse("(vm (name w) (restart always))")
    wanted = document.description._replace(lifecycle=DomainDescription("w").lifecycle)
    assert document.updated(wanted).text() == vm.format(wanted).text()


def test_what_xend_had_no_words_for_is_carried_and_an_edit_by_hand_wins() -> None:
    wanted = DomainDescription("web", DomainType.PVH, memory=Memory(65 * 1024 + 1), title='it\'s "w"\n')
    document = vm.format(wanted)
    assert [item.path for item in document.carried] == ["type", "title", "memory.kib"]
    assert vm.parse(document.text()).description == wanted
    by_hand = vm.parse(document.text().replace("(memory 66)", "(memory 99)"))
    assert by_hand.description == wanted._replace(memory=Memory(99 * 1024))
    line = document.text()[: document.text().index("(purevirt")].count("\n") + 1
    assert [(note.line, note.column) for note in by_hand.notes] == [(line, 5)]
    assert "no longer holds: memory.kib" in by_hand.notes[0].text


def test_there_and_back_nothing_is_lost() -> None:
    text = (DATA / "pv.sxp").read_text()
    done = formats.convert(text, "xml")
    assert formats.convert(done.text, "xen-sxpr").description == vm.parse(text).description
    assert any("vscsi" in line for line in done.report)


@pytest.mark.parametrize("text", ["(vm (name w))", "# x\n(vm (name w))", "\n#\n # (\n (vm (name w))"])
def test_an_expression_is_recognised_behind_comments(text: str) -> None:
    assert formats.recognise(text) == formats.recognise(text.encode()) == "xen-sxpr"
    assert formats.parse(text).description == DomainDescription("w")
    assert formats.recognise("# (vm\nname = 'w'") == "xen-xl"


# --- what is refused


@pytest.mark.parametrize(
    ("text", "place", "expected"),
    [
        ("", (1, 1), r"expected \(vm …\) or \(domain …\), found nothing"),
        ("vm", (1, 1), r"expected \(vm …\) or \(domain …\), found 'vm'"),
        ("(vm (name w))\n(x)", (2, 1), "expected one expression only"),
        ("(host)", (1, 1), r"expected \(vm …\) or \(domain …\), found \(host …\)"),
        ("(vm\n (memory 64)", (2, 13), "the input ends within a list"),
        ("(vm (memory 64))", (1, 1), r"expected \(name …\) in \(vm …\): a domain needs a name"),
        ("(vm web)", (1, 5), r"expected \(KEY VALUE\) in \(vm …\), found 'web'"),
        ("(vm (name ü) (memory ü))", (1, 22), "memory: expected a number that is not negative, found 'ü'"),
        ("(vm (name w)\n (memory -1))", (2, 10), "memory: expected a number that is not negative"),
        ("(vm (name w) (memory (1)))", (1, 22), "memory: expected a number that is not negative, found"),
        ("(vm (name a b))", (1, 5), "name: expected one value, found 2"),
        ("(vm (name (a)))", (1, 11), r"name: expected text, found \(a …\)"),
        ("(vm (name '\\xff'))", (1, 11), "name: expected text in UTF-8"),
        ("(vm (name w) (uuid 12))", (1, 14), "uuid: expected one like 01234567-89ab"),
        ("(vm (name w) (on_crash panic))", (1, 24), "on_crash: expected one of destroy, restart"),
        ("(vm (name w) (restart maybe))", (1, 14), "restart: expected one of onreboot, always, never"),
        ("(vm (name w) (cpus 0-x))", (1, 20), "cpus: expected a list of CPUs like 0-3,"),
        ("(vm (name w) (cpus ((a))))", (1, 22), "cpus: expected a number that is not negative, found 'a'"),
        ("(vm (name w) (vcpu_avail -1))", (1, 26), "vcpu_avail: expected a number that is not negative"),
        ('(vm (name w) (bootloader_args "\'a"))', (1, 14), "expected words whose quotes are closed"),
        ("(vm (name w) (image linux))", (1, 21), r"image: expected one of \(linux …\), .* found 'linux'"),
        ("(vm (name w) (image (bsd (kernel k))))", (1, 21), r"image: expected one of \(linux …\)"),
        ("(vm (name w) (image (hvm (boot z))))", (1, 26), "boot: expected letters of a"),
        ("(vm (name w) (image (hvm (acpi maybe))))", (1, 32), "acpi: expected 0 or 1, found 'maybe'"),
        ("(vm (name w) (image (hvm (tsc_mode 4))))", (1, 36), "tsc_mode: expected a number from 0 to 3"),
        ("(vm (name w) (device vbd))", (1, 14), r"device: expected one like \(device \(vbd"),
        ("(vm (name w) (device (vbd (mode w))))", (1, 22), r"\(vbd …\) lacks \(dev …\)"),
        ("(vm (name w) (device (vbd (dev a)(mode x))))", (1, 34), "mode: expected r, w or w!"),
        (
            "(vm (name w) (device (vbd (dev a:tape))))",
            (1, 27),
            "dev: expected disk, cdrom, floppy, lun behind",
        ),
        ("(vm (name w) (device (vbd (dev a)(uname /x))))", (1, 34), "uname: expected one like phy:/dev/vg/a"),
        (
            "(vm (name w) (device (vbd (dev a)(uname tap:ram:/x))))",
            (1, 34),
            "uname: expected one of tap:aio:",
        ),
        ("(vm (name w) (device (vif (mac 1:2))))", (1, 27), "mac: expected six groups of hexadecimal digits"),
        ("(vm (name w) (device (vif (rate fast))))", (1, 27), "rate: expected a rate like 10Mb/s"),
        ("(vm (name w) (device (vif (type e1000))))", (1, 27), "type: expected one of ioemu, netfront"),
        ("(vm (name w) (device (vfb (type tv))))", (1, 22), "type: expected one of vnc, sdl, found 'tv'"),
        (
            "(vm (name w) (device (pci (dev (bus 3)))))",
            (1, 27),
            r"pci: expected \(slot 0x3\), .* found nothing",
        ),
        ("(vm (name w) (device (pci (dev (bus x)))))", (1, 32), r"pci: expected \(bus 0x3\), .* found 'x'"),
        ("(vm (name w) (device (ioports (from 3f8))))", (1, 22), r"ioports: expected \(to 0x3f8\)"),
        ("(vm (name w) (device (ioports (from 9)(to 8))))", (1, 22), "ioports: expected a range of ports"),
        ("(vm (name w) (device (irq)))", (1, 22), r"expected \(irq \(irq NUMBER\)\)"),
        ("(vm (name w)\n (purevirt 'memory'))", (2, 12), "purevirt: 'memory' is not PATH = VALUE"),
        ("(vm (name w) (purevirt (a)))", (1, 24), "purevirt: expected lines of text, found a list"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, place: tuple[int, int], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as failure:
        vm.parse(text, file="f")
    assert (failure.value.line, failure.value.column) == place
    assert str(failure.value).startswith(f"f:{place[0]}:{place[1]}: ")


def test_numbers_without_bounds_cost_nothing() -> None:
    huge = said("(vcpus 99999999999999999999)")
    assert huge.cpus.online == 99999999999999999999
    assert vm.parse(vm.format(huge._replace(cpus=Cpus(10**12, 10**15))).text()).description.cpus == Cpus(
        10**12, 10**15
    )
    with pytest.raises(ConfigError, match="maxmem: expected a number"):
        said(f"(maxmem {'9' * 5000})")


# --- devices alone


@pytest.mark.parametrize(
    ("text", "field", "record"),
    [
        ("(vbd (uname file:/a)(dev xvdb)(mode w))", "disks", Disk("xvdb", "/a", DiskFormat.RAW)),
        ("(device (vif (bridge br0)))", "interfaces", Interface(bridge="br0")),
        ("(vkbd)", "keyboards", Keyboard()),
        ("(vusb (usb-ver 2)(num-ports 4))", "usb_controllers", UsbController("pv", 2, 4)),
        ("(vtpm (backend tpm))", "tpms", Vtpm("tpm")),
        ("(ioports (from 3f8)(to 3ff))", "io_ports", PortRange(0x3F8, 0x3FF)),
        ("(irq (irq 7))", "interrupts", 7),
        ("(pci (dev (bus 3)(slot 0)(func 1)))", "pci_devices", PciDevice("0000:03:00.1")),
    ],
)
def test_one_device_alone(text: str, field: str, record: object) -> None:
    found = vm.parse_device(text)
    assert (found.field, found.records, found.unknown) == (field, (record,), ())
    assert vm.device_field(found.kind) == field
    assert vm.parse_device(vm.format_device(field, record)).records == (record,)


def test_pci_devices_come_together_with_what_is_to_become_of_them() -> None:
    found = vm.parse_device(
        "(pci (dev (domain 0)(bus a)(slot 1f)(func 7)(vslt 0x5)) (dev (bus 0x4)(slot 0)(func 0)(x 1)) (state Closing))"
    )
    assert found.records == (PciDevice("0000:0a:1f.7", slot=5), PciDevice("0000:04:00.0"))
    assert (found.state, found.unknown) == ("Closing", ("(x 1)",))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(vscsi (dev a))", r"f:1:1: expected a device of one of the kinds vbd, .* found \(vscsi …\)"),
        ("", r"f:1:1: expected a device like \(vbd"),
        ("(pci)", r"pci: expected at least one \(dev …\)"),
        ("(vm (name w))", "expected a device of one of the kinds"),
    ],
)
def test_what_is_no_device(text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        vm.parse_device(text, file="f")
    assert vm.device_field("vscsi") is None


def test_a_device_that_xend_had_no_words_for() -> None:
    with pytest.raises(InvalidConfig, match="xend had no words for discard of this one of disks"):
        vm.format_device("disks", Disk("xvda", "/a", DiskFormat.RAW, discard=True))
    with pytest.raises(InvalidConfig, match="xend had no words for this one of interfaces"):
        vm.format_device("interfaces", Interface(network="default"))


# --- what xend shows of a definition


def test_a_definition_is_shown_as_a_real_xend_showed_it() -> None:
    """But for what xend made up: UUIDs of devices, and what it thought of disks."""
    description = vm.parse(config("define-pv2")).description
    recorded = xend_sxpr.read_domain(
        sxp.parse_one(
            (RECORDED / "pv2-detail.resp").read_bytes().partition(b"\r\n\r\n")[2].removesuffix(b"''")
        )
    )
    made = xend_sxpr.read_domain(sxp.parse_one(xend_sxpr.domain_text(vm.halted(description)).encode()))
    assert made._replace(devices=()) == recorded._replace(devices=())
    assert [one.kind for one in made.devices] == [one.kind for one in recorded.devices] == ["vif", "vbd"]
    for ours, theirs in zip(made.devices, recorded.devices, strict=True):
        missing = set(theirs.settings) - set(ours.settings)
        assert {key for key, _ in missing} <= {"uuid", "bootable", "driver", "dev"}


def test_what_is_shown_of_a_definition() -> None:
    uuid = UUID(int=7)
    bare = xend_sxpr.domain_text(vm.halted(DomainDescription("w", uuid=uuid, boot=Boot(bootloader="pygrub"))))
    assert bare == (
        f"(domain (cpu_weight 256) (cpu_cap 0) (pool_name Pool-0) (bootloader pygrub) (vcpus 1) (cpus (()))"
        f" (on_poweroff destroy) (description '') (on_crash destroy) (uuid {uuid}) (bootloader_args '') (name w)"
        f" (on_reboot restart) (maxmem 128) (memory 128) (shadow_memory 0) (vcpu_avail 1) (features '')"
        f" (on_xend_start ignore) (on_xend_stop ignore) (image (linux (superpages 0) (nomigrate 0) (tsc_mode 0)))"
        f" (status 0))"
    )
    full = vm.halted(vm.parse((DATA / "pv.sxp").read_text()).description._replace(uuid=uuid), autostart=True)
    assert full.cpus == ((0, 2, 3), (2, 3), (), (5,))
    assert (full.vcpu_avail, full.info.max_vcpus, full.on_xend_start) == (3, 4, "start")
    assert full.security_label == "system_u:system_r:domU_t"
    assert xend_sxpr.read_domain(sxp.parse_one(xend_sxpr.domain_text(full).encode())).info == full.info


@given(descriptions)
def test_any_definition_can_be_shown(description: DomainDescription) -> None:
    shown = xend_sxpr.domain_text(vm.halted(description._replace(uuid=UUID(int=7))))
    again = xend_sxpr.read_domain(sxp.parse_one(shown.encode()))
    assert again.info.name == description.name
    assert len(again.cpus or ()) == again.info.max_vcpus
