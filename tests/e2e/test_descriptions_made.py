"""On a real Xen: its xl accepts every file that we write and means what we mean by it; what dumpxml tells of a running
domain makes another like it; and libvirt's own driver reads our XML as we do.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lab
from purevirt import formats
from purevirt.description import differences
from purevirt.formats import libxl_json, xl_config
from tests.support.xl_effect import in_effect, left_out, spelled_out

DATA = Path(__file__).parents[1] / "data" / "descriptions"
GOLDEN = [
    path for path in sorted(DATA.iterdir()) if path.suffix in (".xml", ".cfg") and ".fresh" not in path.name
]

# One after the other, so that one machine answers for all.
DRY_RUN = """
    cd "$1"
    for file in *.cfg; do
        xl create -n "$file" > "$file.json" 2> "$file.err" || echo "$file: $(cat "$file.err")"
    done
"""


def test_xl_accepts_what_we_write_of_every_golden_file_and_means_the_same(
    dom0: lab.Host, tmp_path: Path
) -> None:
    written: dict[str, xl_config.XlDocument] = {}
    for path in GOLDEN:
        document = xl_config.format(formats.parse(path.read_bytes(), file=path.name).description)
        written[f"{path.name}.cfg"] = document
        (tmp_path / f"{path.name}.cfg").write_text(document.text())
    dom0.put(tmp_path, "/tmp/golden")
    assert dom0.shell(DRY_RUN, "/tmp/golden", timeout=120).stdout == ""
    dom0.get("/tmp/golden", tmp_path / "answers")
    for name, document in written.items():
        answer = (tmp_path / "answers" / f"{name}.json").read_text()
        xl = libxl_json.parse(answer[answer.index("{") :], file=name).description
        said = xl_config.parse(document.text())._said
        said = said._replace(
            cpus=said.cpus._replace(affinity=tuple(spelled_out(cpus) for cpus in said.cpus.affinity))
        )
        found = [one for one in differences(in_effect(said, xl), xl) if not left_out(one.path, one.old)]
        assert found == [], name


@pytest.fixture(params=["pv", "pvh"])
def model(dom0: lab.Host, request: pytest.FixtureRequest) -> Iterator[str]:
    """A guest of xl's, of one kind. The PV one is up; the PVH one paused: emulation lets some die as they boot."""
    kind = request.param
    name = f"model-{kind}"
    dom0.create_guest(name, kind=kind, disks=[16], vifs=["bridge=xenbr0"], vcpus=2, paused=kind == "pvh")
    if kind == "pv":
        dom0.wait_for_guest(name)
    yield name
    dom0.run(["xl", "destroy", name], check=False)


def record(dom0: lab.Host, name: str) -> dict[str, Any]:
    (entry,) = json.loads(dom0.run(["xl", "list", "-l", name]).stdout)
    config: dict[str, Any] = entry["config"]
    return config


def test_what_is_told_of_a_running_domain_makes_an_equal_one(dom0: lab.Host, model: str) -> None:
    before = record(dom0, model)
    xml = dom0.purevirt(["dumpxml", model]).stdout
    config = dom0.purevirt(["domxml-to-native", "xen-xl", "--domain", model]).stdout
    assert config == formats.convert(xml, "xen-xl", strict=True).text
    dom0.run(["xl", "destroy", model])
    dom0.run(["sh", "-c", "cat > /tmp/again.cfg; exec xl create -q -p /tmp/again.cfg"], input=config)
    assert record(dom0, model) == before
    again = dom0.purevirt(["dumpxml", model]).stdout
    assert formats.parse(again).description == formats.parse(xml).description
