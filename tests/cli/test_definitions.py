"""Definitions, lives and jobs on the command line, against a whole simulated host and its daemon."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import purevirt
from purevirt import testing
from purevirt.cli.app import run
from tests.support.terminal import Terminal

UUID = "3f0e6c52-7d0a-4f53-9a55-2f6a8a8f3c10"
WEB = f"""# the shop
name = "web"
uuid = "{UUID}"
memory = 64
kernel = "/boot/vmlinuz"
"""

Edit = Callable[..., tuple[int, str, str]]


@pytest.fixture
def host() -> Iterator[testing.Host]:
    with testing.Host() as simulated:
        yield simulated


@pytest.fixture
def web(purevirt: Terminal, tmp_path: Path) -> str:
    """A domain that is defined, by name."""
    file = tmp_path / "web.cfg"
    file.write_text(WEB)
    assert purevirt("define", str(file)) == f"Domain 'web' defined from {file}\n"
    return "web"


@pytest.fixture
def edit(
    host: testing.Host,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Edit:
    """Edit `web`: `script` is Python, in which `text` is what the editor shows and leaves. Nobody answers questions
    other than with `answers`."""
    kept = tmp_path / "kept"
    kept.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(kept))

    def edited(script: str, *options: str, answers: str = "") -> tuple[int, str, str]:
        program = tmp_path / "editor.py"
        program.write_text(
            f"import pathlib, sys\nfile = pathlib.Path(sys.argv[1])\ntext = file.read_text()\n{script}\n"
            "file.write_text(text)\n"
        )
        monkeypatch.delenv("VISUAL", raising=False)
        monkeypatch.setenv("EDITOR", shlex.join([sys.executable, str(program)]))
        given = iter(answers.split())
        monkeypatch.setattr("click.termui.visible_prompt_func", lambda prompt: _next(given))
        status = run(["-c", host.uri, "edit", "web", *options])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return edited


def _next(answers: Iterator[str]) -> str:
    for answer in answers:
        return answer
    raise EOFError


def test_a_definition_is_listed_started_and_forgotten(purevirt: Terminal, web: str) -> None:
    assert purevirt("domstate", web) == "shut off\n"
    assert web not in purevirt("list", "--name").split()
    assert purevirt("list", "--inactive", "--name") == "web\n"
    assert web in purevirt("list", "--all", "--persistent", "--name").split()
    assert web not in purevirt("list", "--all", "--transient", "--name").split()
    assert "Persistent:" in purevirt("dominfo", web)

    assert purevirt("list", "--all", "--autostart", "--name").split() == []
    purevirt("autostart", web, "--order", "3")
    assert purevirt("list", "--all", "--autostart", "--name") == "web\n"
    purevirt("autostart", web, "--disable")
    assert purevirt("list", "--all", "--autostart", "--name").split() == []

    assert purevirt("start", web, "--paused") == "Domain 'web' started\n"
    assert purevirt("domstate", web) == "paused\n"
    assert "domain web is running already" in purevirt("start", web, status=1)
    purevirt("undefine", web)
    assert purevirt("domstate", web) == "paused\n"
    purevirt("destroy", web)
    assert "'web'" in purevirt("domstate", web, status=3)


def test_a_saved_state_is_gone_on_from_or_thrown_away(purevirt: Terminal, web: str) -> None:
    purevirt("start", web)
    assert purevirt("managedsave", web) == "Domain 'web' state saved by the Xen daemon\n"
    assert purevirt("list", "--all", "--with-managed-save", "--name") == "web\n"
    assert "saved state" in purevirt("undefine", web, status=1)
    purevirt("managedsave-remove", web)
    assert purevirt("list", "--all", "--with-managed-save", "--name").split() == []
    purevirt("start", web)
    purevirt("managedsave", web)
    purevirt("start", web)
    assert purevirt("domstate", web) == "running\n"
    assert purevirt("list", "--all", "--with-managed-save", "--name").split() == []


def test_a_file_is_saved_to_and_restored_from(purevirt: Terminal, web: str) -> None:
    file = "/web.state"  # of the host, as all that the daemon writes
    purevirt("start", web)
    assert purevirt("save", web, file) == f"Domain 'web' saved to {file}\n"
    assert purevirt("domstate", web) == "shut off\n"
    assert purevirt("restore", file) == f"Domain restored from {file}\n"
    assert purevirt("domstate", web) == "running\n"


def test_jobs_are_listed_and_tell_what_they_did(purevirt: Terminal, web: str) -> None:
    purevirt("start", web)
    job = purevirt.json("job-list")[-1]
    assert (job["kind"], job["name"], job["state"]) == ("start", "web", "done")
    assert purevirt("job-log", str(job["id"])).strip()
    assert purevirt("job-wait", str(job["id"])) == f"Job {job['id']} (start of domain 'web') is done\n"
    assert purevirt.json("job-list", "--active") == []
    assert purevirt("domjobinfo", web).split() == ["Job", "type:", "None"]
    assert "no job is at work on domain web" in purevirt("domjobabort", web, status=1)
    assert "ended" in purevirt("job-cancel", str(job["id"]), status=1)
    assert purevirt("job-log", "99", status=2) == "purevirt: there is no job 99\n"


def test_words_about_a_domain_are_kept_with_its_definition(purevirt: Terminal, web: str) -> None:
    assert purevirt("desc", web) == "No description for domain: web\n"
    purevirt("desc", web, "Sells", "things")
    assert purevirt("desc", web) == "Sells things\n"
    purevirt("desc", web, "--title", "Shop")
    assert purevirt("desc", web, "--title") == "Shop\n"
    purevirt("desc", web, "")
    assert purevirt("desc", web) == "No description for domain: web\n"


@pytest.mark.parametrize("form", ["xen-xl", "xml"])
def test_another_programs_element_is_kept_by_its_namespace(
    purevirt: Terminal, web: str, tmp_path: Path, form: str
) -> None:
    if form == "xml":
        file = tmp_path / "web.xml"
        file.write_text(purevirt("dumpxml", web, "--inactive"))
        purevirt("define", str(file))
    uri, other = "urn:shop", "urn:other"
    assert "no metadata of urn:shop" in purevirt("metadata", web, uri, status=1)
    purevirt("metadata", web, uri, "--key", "shop", "--set", "<owner a='1'>Ann &amp; Bo<owner/></owner>")
    kept = "<shop:owner xmlns:shop='urn:shop' a='1'>Ann &amp; Bo<owner/></shop:owner>"
    assert purevirt("metadata", web, uri) == kept + "\n"
    purevirt("metadata", web, other, "--set", "<note xmlns='urn:other'/>")
    purevirt("metadata", web, uri, "--set", "<owner/>")
    assert purevirt("metadata", web, uri) == "<owner xmlns='urn:shop'/>\n"
    assert "<owner xmlns='urn:shop'/>" in purevirt("dumpxml", web, "--inactive")
    purevirt("metadata", web, uri, "--remove")
    assert purevirt.json("metadata", web, uri) == {"metadata": None}
    assert purevirt("metadata", web, other) == "<note xmlns='urn:other'/>\n"


@pytest.mark.parametrize(
    ("element", "message"),
    [
        ("<owner>", "metadata:1:"),
        ("<a/><b/>", "metadata:1:"),
        ("words", "metadata:1:"),
        ("<a xmlns='urn:other'/>", "<a> is not of the namespace urn:shop"),
        ("<b:a/>", "<b:a> is not of the namespace urn:shop"),
    ],
)
def test_what_is_no_element_of_the_namespace_is_refused(
    purevirt: Terminal, web: str, element: str, message: str
) -> None:
    assert message in purevirt("metadata", web, "urn:shop", "--key", "k", "--set", element, status=2)
    assert purevirt_text(purevirt, web) == WEB


def test_config_is_the_definitions_and_persistent_both(purevirt: Terminal, web: str) -> None:
    purevirt("setmaxmem", web, "128M", "--config")
    purevirt("setmem", web, "96M", "--config")
    purevirt("setvcpus", web, "2", "--maximum", "--config")
    info = purevirt.json("dominfo", web)
    assert info["max_memory_kib"] == 131072
    purevirt("start", web)
    purevirt("setmem", web, "64M", "--persistent")
    assert "<currentMemory unit='KiB'>65536<" in purevirt("dumpxml", web, "--inactive")
    assert "# the shop" in purevirt_text(purevirt, web)


def purevirt_text(terminal: Terminal, domain: str) -> str:
    with purevirt.open(terminal.uri) as xen:
        return xen.lookup(domain).definition_text().text


def test_edit_shows_what_it_changes_and_applies_it(purevirt: Terminal, web: str, edit: Edit) -> None:
    status, out, err = edit("text = text.replace('memory = 64', 'memory = 96')")
    assert (status, err) == (0, "")
    assert "-memory = 64\n+memory = 96\n" in out
    assert out.endswith("Domain 'web' configuration edited\n")
    assert purevirt_text(purevirt, web) == WEB.replace("64", "96")


def test_edit_that_changes_nothing_defines_nothing(purevirt: Terminal, web: str, edit: Edit) -> None:
    assert edit("pass") == (0, "Domain 'web' configuration not changed\n", "")
    assert purevirt.json("dumpxml", web)["name"] == "web"


def test_what_was_written_is_in_a_file_when_one_gives_up(
    purevirt: Terminal, web: str, edit: Edit, tmp_path: Path
) -> None:
    status, _, err = edit("text += 'memory = \"much\"\\n'", answers="n")
    assert status == 1
    (kept,) = (tmp_path / "kept").iterdir()
    assert f"nothing was changed; what you wrote is in {kept}" in err
    assert kept.read_text() == WEB + 'memory = "much"\n'
    assert purevirt_text(purevirt, web) == WEB


def test_edit_goes_on_where_it_was_refused(purevirt: Terminal, web: str, edit: Edit) -> None:
    status, out, err = edit(
        "text = text.replace('64', '112') if 'much' not in text and '#2' in text else text\n"
        "text = text.replace('\"much\" #2', '80') if '#2' in text else text.replace('64', '\"much\" #2')",
        answers="e",
    )
    assert status == 0, err
    assert "memory = 80" in purevirt_text(purevirt, web)
    assert out.endswith("configuration edited\n")


OTHER = """
import purevirt
with purevirt.open({uri!r}) as xen:
    xen.lookup("web").set_title("Theirs {number}")
"""


def test_of_two_editors_the_second_is_told_and_may_insist(
    host: testing.Host, purevirt: Terminal, web: str, edit: Edit
) -> None:
    meanwhile = OTHER.format(uri=host.uri, number=1)
    change = "text = text.replace('memory = 64', 'memory = 96')"
    status, out, err = edit(f"{meanwhile}\n{change}", answers="y")
    assert status == 0, err
    assert "revision 2, not 1" in err
    assert any(line.startswith("-") and "Theirs 1" in line for line in out.splitlines()), out
    assert purevirt_text(purevirt, web) == WEB.replace("64", "96")


def test_a_conflict_that_one_gives_up_at_changes_nothing(
    host: testing.Host, purevirt: Terminal, web: str, edit: Edit, tmp_path: Path
) -> None:
    meanwhile = OTHER.format(uri=host.uri, number=1)
    status, _, err = edit(f"{meanwhile}\ntext = text.replace('64', '96')")
    assert status == 1
    assert "revision 2, not 1" in err
    (kept,) = (tmp_path / "kept").iterdir()
    assert kept.read_text() == WEB.replace("64", "96")
    assert "Theirs 1" in purevirt_text(purevirt, web)


def test_a_definition_that_is_gone_leaves_what_was_written(
    host: testing.Host, purevirt: Terminal, web: str, edit: Edit, tmp_path: Path
) -> None:
    gone = f"import purevirt\nwith purevirt.open({host.uri!r}) as xen: xen.lookup('web').undefine()"
    status, _, err = edit(f"{gone}\ntext = text.replace('64', '96')", answers="y")
    assert status != 0
    (kept,) = (tmp_path / "kept").iterdir()
    assert f"what you wrote is in {kept}" in err
    assert kept.read_text() == WEB.replace("64", "96")
