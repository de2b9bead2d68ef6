"""The lab's pure parts: mirrors, module order, guests' configurations, paths."""

from __future__ import annotations

from pathlib import Path

import pytest

from lab import apt, files, guests, kernel, recipe
from lab.errors import LabError


def test_the_machines_own_mirror_serves_another_suite() -> None:
    targets = ["Debian|m:/d/|bookworm", "Debian|m:/d/|bookworm-updates", "Debian|m:/s/|bookworm-security"]
    others = ["Docker|m:/x/|bookworm", "Debian|m:/d/|bookworm-backports"]
    assert apt.source_lines([*targets, *others], "trixie") == [
        "deb m:/d/ trixie main",
        "deb m:/d/ trixie-updates main",
        "deb m:/s/ trixie-security main",
    ]


def test_modules_come_after_what_they_need(tmp_path: Path) -> None:
    lines = ["a/one-x.ko: b/two.ko c/three.ko.xz", "b/two.ko: c/three.ko.xz", "c/three.ko.xz:"]
    (tmp_path / "modules.dep").write_text("\n".join(lines))
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4.ko\n")
    found = kernel.module_closure(tmp_path, ["one_x", "ext4", "two"])
    assert [path.name for path in found] == ["three.ko.xz", "two.ko", "one-x.ko"]
    with pytest.raises(LabError, match="no module nonesuch"):
        kernel.module_closure(tmp_path, ["nonesuch"])


def test_a_guests_configuration_is_what_xl_reads() -> None:
    text = guests.Guest("one", "pvh", disks=(16, "/tmp/two.img", "phy:/dev/x,xvdz,w"), memory=64).xl_config()
    assert 'type = "pvh"\n' in text
    assert "memory = 64\n" in text
    assert "target=/tmp/one-0.img" in text
    assert "vdev=xvdb,access=rw,target=/tmp/two.img" in text
    assert '"phy:/dev/x,xvdz,w"' in text


def test_a_changed_recipe_has_another_key() -> None:
    known = recipe.find("4.17")
    changed = recipe.Recipe(known.xen, known.suite, (*known.packages, "strace"))
    assert known.key != changed.key
    assert known.key.startswith("xen-4.17-")


@pytest.mark.parametrize("path", ["relative", "/", "/a/.."])
def test_a_path_in_domain_0_is_absolute_and_has_a_name(path: str) -> None:
    with pytest.raises(ValueError, match="must be absolute"):
        files.split(path)


def test_what_is_packed_comes_back(tmp_path: Path) -> None:
    (tmp_path / "tree" / "__pycache__").mkdir(parents=True)
    (tmp_path / "tree" / "file").write_text("text")
    (tmp_path / "tree" / "file").chmod(0o600)
    files.unpack(files.pack(tmp_path / "tree", "name"), "name", tmp_path / "back")
    assert (tmp_path / "back" / "file").read_text() == "text"
    assert not (tmp_path / "back" / "__pycache__").exists()
