"""The command line as a person meets it: on the simulated host, wrong inputs included."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from purevirt import formats, testing
from purevirt.cli.app import COMMANDS, run
from tests.support.terminal import Terminal


@pytest.fixture(scope="module")
def host() -> Iterator[testing.Host]:
    with testing.Host(xend=False) as simulated:
        yield simulated


def test_list_has_virshs_columns_first(purevirt: Terminal) -> None:
    lines = purevirt("list").splitlines()
    assert lines[0].split()[:3] == ["Id", "Name", "State"]
    assert set(lines[1]) == {"-"}
    assert [line.split()[:2] for line in lines[2:]] == [["0", "Domain-0"], ["1", "test"]]


@pytest.mark.parametrize(("option", "expected"), [("--name", ["Domain-0", "test"]), ("--id", ["0", "1"])])
def test_list_can_print_one_column(purevirt: Terminal, option: str, expected: list[str]) -> None:
    assert purevirt("list", option).splitlines() == expected


def test_list_all_says_on_standard_error_that_definitions_are_unknown(purevirt: Terminal) -> None:
    assert "test" in purevirt("list", "--all")
    assert "inactive domains are not known" in purevirt.err


def test_list_read_only_prints_no_number_for_what_it_cannot_know(purevirt: Terminal) -> None:
    (line,) = [line for line in purevirt("-r", "list").splitlines() if " test " in line]
    assert line.split() == ["1", "test", "no", "state", "PV", "-", "-", "-"]


@pytest.mark.parametrize("name", ["test", "1", "6695eb01-f6a4-8304-79aa-97f2502e193f"])
def test_dominfo_takes_name_id_and_uuid(purevirt: Terminal, name: str) -> None:
    shown = dict(line.split(":", 1) for line in purevirt("dominfo", name).splitlines())
    assert shown["Name"].strip() == "test"
    assert shown["Used memory"].strip().endswith(" KiB")
    assert purevirt.json("dominfo", name)["name"] == "test"


def test_one_word_commands(purevirt: Terminal) -> None:
    assert purevirt("domid", "test") == "1\n"
    assert purevirt("domname", "1") == "test\n"
    assert purevirt("domuuid", "test") == "6695eb01-f6a4-8304-79aa-97f2502e193f\n"
    assert purevirt("domstate", "test").strip() in ("running", "idle")
    assert purevirt("domstate", "--reason", "test").strip().endswith("(unknown)")
    assert purevirt("uri").strip() == purevirt.uri
    assert purevirt("hostname").strip()


def test_vcpus(purevirt: Terminal) -> None:
    assert len(purevirt("vcpuinfo", "test").splitlines()) == 4
    assert purevirt.json("vcpucount", "test") == {"maximum": 2, "active": 2}
    assert purevirt("vcpucount", "--active", "test") == "2\n"


def test_devices(purevirt: Terminal) -> None:
    assert "xvda" in purevirt("domblklist", "test")
    assert "phy" in purevirt("domblklist", "--details", "test")
    assert "xvda rd_bytes " in purevirt("domblkstat", "test", "xvda")
    assert purevirt("domblkstat", "test") == purevirt("domblkstat", "test", "xvda")
    assert "vif1.0" in purevirt("domiflist", "test")
    assert purevirt.json("domifstat", "test")["vif1.0"]["rx_bytes"] >= 0


def test_dumpxml_prints_the_model_as_json(purevirt: Terminal) -> None:
    said = purevirt.json("dumpxml", "test", "--inactive")
    assert (said["name"], said["type"], said["memory"]["kib"]) == ("test", "pv", 262144)
    assert [disk["target"] for disk in said["disks"]] == ["xvda"]
    assert purevirt.json("-r", "dumpxml", "test")["uuid"] == said["uuid"]
    assert purevirt.json("dumpxml", "test", "--security-info")["graphics"] == []


def test_dumpxml_prints_what_can_be_read_again(purevirt: Terminal) -> None:
    text = purevirt("dumpxml", "test")
    assert text.startswith("<domain type='xen' id='1'>")
    assert "<target dev='vif1.0'/>" in text
    inactive = purevirt("dumpxml", "test", "--inactive")
    assert "vif1.0" not in inactive
    assert formats.parse(text).description == formats.parse(inactive).description
    config = purevirt("domxml-to-native", "xen-xl", "--domain", "test")
    assert formats.parse(config).description == formats.parse(text).description


def test_domstats_has_libvirts_names(purevirt: Terminal) -> None:
    shown = purevirt("domstats", "test")
    for name in (
        "state.state=",
        "cpu.time=",
        "balloon.current=",
        "vcpu.1.time=",
        "net.0.rx.bytes=",
        "block.count=1",
    ):
        assert f"  {name}" in shown
    assert "Domain: Domain-0" not in shown
    assert "net.count" not in purevirt("domstats", "--block", "test")
    assert [stats["info"]["name"] for stats in purevirt.json("domstats")] == ["Domain-0", "test"]


def test_node(purevirt: Terminal) -> None:
    assert "CPU(s):" in purevirt("nodeinfo")
    total = purevirt.json("freecell")["free_kib"]
    assert sum(cell["free_kib"] for cell in purevirt.json("freecell", "--all")) == total
    assert purevirt("freecell", "0").startswith("0:")
    assert "Interface:" in purevirt("version")


def test_capabilities_are_libvirts_xml_or_json(purevirt: Terminal) -> None:
    text = purevirt("capabilities")
    assert text.startswith("<capabilities>\n\n  <host>\n")
    assert text.endswith("\n</capabilities>\n")
    told = purevirt.json("capabilities")
    assert told["host"]["cpu"]["arch"] == "x86_64"
    assert [guest["type"] for guest in told["guests"]] == ["pv", "hvm", "pvh", "hvm", "pvh"]
    assert purevirt.json("-r", "capabilities")["host"]["cells"] == []


def test_domcapabilities_has_virshs_options(purevirt: Terminal) -> None:
    assert "<machine>xenpv</machine>" in purevirt("domcapabilities")
    line = ("--virttype", "xen", "--machine", "xenfv", "--arch", "i686", "--emulatorbin", "/usr/bin/qemu")
    text = purevirt("domcapabilities", *line)
    for words in ("<path>/usr/bin/qemu<", "<machine>xenfv<", "<arch>i686<", "<vcpu max='128'/>"):
        assert words in text
    told = purevirt.json("domcapabilities", *line)
    assert (told["type"], told["arch"], told["emulator"]) == ("hvm", "i686", "/usr/bin/qemu")


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        (("domcapabilities", "--machine", "pc"), 2, "'pc' is not one of 'xenpv', 'xenpvh', 'xenfv'"),
        (("domcapabilities", "--virttype", "kvm"), 2, "'kvm' is not 'xen'"),
        (("domcapabilities", "--emulatorbin", "qemu"), 2, "expected an absolute path, not 'qemu'"),
        (("domcapabilities", "--arch", "vax"), 6, "this host runs no vax guests; it runs pv x86_64"),
        (("-r", "domcapabilities"), 6, "domain_capabilities is not served on this ro connection"),
    ],
)
def test_domcapabilities_says_what_is_wrong(
    purevirt: Terminal, line: tuple[str, ...], status: int, words: str
) -> None:
    assert words in purevirt(*line, status=status)


def test_explain(purevirt: Terminal) -> None:
    assert "list_domains" in purevirt("explain")
    (route,) = purevirt.json("explain", "virNodeGetInfo")["routes"]
    assert route["operation"] == "node_info"
    assert purevirt.json("-r", "explain")["read_only"] is True


def test_store(purevirt: Terminal) -> None:
    base = "/tool/cli-test"
    purevirt("store", "write", f"{base}/a", 'with "quotes"')
    purevirt("store", "write", f"{base}/b/c", "2")
    assert purevirt("store", "ls", base) == "a\nb\n"
    assert purevirt("store", "ls", "-f", base) == f"{base}/a\n{base}/b\n"
    assert purevirt("store", "read", f"{base}/a") == 'with "quotes"\n'
    assert purevirt("store", "read", "--raw", f"{base}/a") == 'with "quotes"'
    assert purevirt("store", "tree", base) == 'a = "with \\"quotes\\""\nb = ""\n c = "2"\n'
    assert purevirt.json("store", "tree", base) == {
        base: "",
        f"{base}/a": 'with "quotes"',
        f"{base}/b": "",
    } | {f"{base}/b/c": "2"}
    purevirt("store", "chmod", f"{base}/a", "r0", "w1")
    assert purevirt("store", "chmod", f"{base}/a") == "r0 w1\n"
    assert (
        purevirt("store", "watch", "-n", "1", "--values", f"{base}/a") == f'{base}/a = "with \\"quotes\\""\n'
    )
    purevirt("store", "rm", base)
    purevirt("store", "ls", base, status=3)


def test_store_refuses_changes_read_only(purevirt: Terminal) -> None:
    purevirt("-r", "store", "write", "/tool/x", "1", status=4)
    assert "read-only" in purevirt.err
    purevirt("-r", "store", "rm", "/local/domain/1/name", status=4)


def test_a_watch_that_waits_too_long_says_so(purevirt: Terminal) -> None:
    run(["-c", purevirt.uri, "store", "watch", "-n", "2", "--timeout", "0", "/tool"])
    assert "of 2 events came within 0 s" in purevirt.capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["dominfo", "nobody"], 3, "nobody"),
        (["dominfo"], 2, "Missing argument 'DOMAIN'"),
        (["domblkstat", "test", "xvdz"], 3, "no disk 'xvdz'"),
        (["domifstat", "test", "vif9.9"], 3, "no interface 'vif9.9'"),
        (["domstats", "nobody"], 3, "nobody"),
        (["freecell", "99"], 2, "no NUMA cell 99"),
        (["freecell", "-1"], 2, "-1"),
        (["explain", "nonsense"], 2, "no operation 'nonsense'"),
        (["store", "read", "/no/such"], 3, "/no/such"),
        (["store", "read", "not valid"], 2, "no XenStore path"),
        (["store", "chmod", "/tool", "x9"], 2, "no permission"),
        (["store", "nonsense"], 2, "nonsense"),
        (["lst"], 2, "Did you mean 'list'?"),
        (["--no-such-option"], 2, "--no-such-option"),
        (["-r", "freecell"], 6, "needs hypercalls"),
        (["-r", "vcpuinfo", "test"], 6, "needs hypercalls"),
    ],
)
def test_wrong_input_is_one_clear_line(
    purevirt: Terminal, arguments: list[str], status: int, words: str
) -> None:
    purevirt(*arguments, status=status)
    assert words in purevirt.err
    assert purevirt.err.startswith("purevirt: ")


def test_errors_are_json_where_json_was_asked_for(purevirt: Terminal) -> None:
    purevirt("dominfo", "nobody", "--json", status=3)
    error = json.loads(purevirt.err)["error"]
    assert set(error) == {"kind", "message", "operation", "domain", "channel", "detail"}
    assert (error["kind"], error["domain"]) == ("NoSuchDomain", "nobody")
    purevirt("dominfo", "--json", status=2)
    assert json.loads(purevirt.err)["error"]["kind"] == "UsageError"


@pytest.mark.parametrize("uri", ["qemu:///system", "xen:///?root=/no/such/directory"])
def test_a_host_that_is_none_is_status_5(capsys: pytest.CaptureFixture[str], uri: str) -> None:
    assert run(["-c", uri, "list"]) == 5
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 1


def test_without_a_host_the_simulated_one_is_named_and_not_opened(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if Path("/proc/xen/capabilities").exists():
        pytest.skip("this machine is a Xen host")
    monkeypatch.delenv("PUREVIRT_URI", raising=False)
    monkeypatch.delenv("LIBVIRT_DEFAULT_URI", raising=False)
    assert run(["list"]) == 5
    assert "test:///default" in capsys.readouterr().err


def test_every_command_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for section in COMMANDS.values():
        for name in section:
            assert run([name, "--help"]) == 0
            assert capsys.readouterr().out.startswith(f"Usage: purevirt {name}")
    assert run(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for section in COMMANDS.values() for name in section)


@pytest.mark.parametrize("arguments", [[], ["store"]])
def test_without_a_command_the_help_is_shown_as_an_error(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert run(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(" ".join(["Usage: purevirt", *arguments]))


def test_interrupting_a_watch_is_quiet_and_says_130(host: testing.Host) -> None:
    command = [sys.executable, "-m", "purevirt", "-c", host.uri, "store", "watch", "/tool"]
    environment = {"PYTHONPATH": str(Path(testing.__file__).resolve().parents[1]), "PATH": "/usr/bin:/bin"}
    before = signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell's background job would ignore it
    try:
        watching = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
    finally:
        signal.signal(signal.SIGINT, before)
    with watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert watching.stdout.readline() == "/tool\n"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(20) == 130
        assert watching.stderr.read().strip() == ""


def test_a_reader_that_goes_away_is_no_error(host: testing.Host) -> None:
    environment = {"PYTHONPATH": str(Path(testing.__file__).resolve().parents[1]), "PATH": "/usr/bin:/bin"}
    line = f'"{sys.executable}" -m purevirt -c "{host.uri}" store tree / | true; echo "${{PIPESTATUS[0]}}"'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=True, env=environment)
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("command", ["list", "domstats", "store tree /", "list --json", "explain"])
@pytest.mark.parametrize(
    ("where", "status", "said"),
    [
        (">&-", 0, ""),
        (">/dev/full", 1, "cannot write the output: No space left on device"),
        (">&- 2>&-", 0, ""),
    ],
)
def test_output_that_nobody_takes(
    host: testing.Host, command: str, where: str, status: int, said: str
) -> None:
    environment = {"PYTHONPATH": str(Path(testing.__file__).resolve().parents[1]), "PATH": "/usr/bin:/bin"}
    line = f'"{sys.executable}" -m purevirt -c "{host.uri}" {command} {where}'
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, env=environment)
    assert (done.returncode, done.stdout) == (status, "")
    assert len(done.stderr.splitlines()) == (1 if said else 0), done.stderr
    assert said in done.stderr


def test_a_message_ends_before_the_hint(purevirt: Terminal) -> None:
    purevirt("dominfo", "test", "extra", status=2)
    assert "extra argument (extra). See 'purevirt dominfo --help'." in purevirt.err
    purevirt("dominfo", status=2)
    assert purevirt.err == "purevirt: Missing argument 'DOMAIN'. See 'purevirt dominfo --help'.\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(capsys: pytest.CaptureFixture[str], shell: str) -> None:
    assert run(["completion", shell]) == 0
    assert "_PUREVIRT_COMPLETE" in capsys.readouterr().out
