"""libvirt's XML: parse, write, and change in place, for a typical HVM domain (80 elements, 12 devices).

A second table loads 1,000 definitions from files; a third shows that time is linear in the size: domains with so many
disks that their XML has up to 10 MB.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import report
from purevirt import formats
from purevirt.formats import domain_xml
from purevirt.formats.domain_xml import XmlDocument

SAMPLE = Path(__file__).resolve().parents[1] / "tests" / "data" / "descriptions" / "desk-hvm.xml"
ROUNDS_EACH = 100
DEFINITIONS = 1000


def with_disks(text: str, megabytes: float) -> str:
    disk = "    <disk type='file'>\n      <source file='/{0}'/>\n      <target dev='xvd{0}'/>\n    </disk>\n"
    count = int(megabytes * 1_000_000) // len(disk.format(10_000))
    return text.replace("    <controller", "".join(map(disk.format, range(count))) + "    <controller", 1)


def changed(document: XmlDocument) -> Callable[[], object]:
    *disks, last = document.description.disks
    wanted = document.description._replace(disks=(*disks, last._replace(read_only=True)))
    return lambda: document.updated(wanted)


def main() -> None:
    options = report.options(__doc__, 7)
    text = SAMPLE.read_text()
    document = domain_xml.parse(text)
    description = document.description
    larger = description._replace(memory=description.memory._replace(kib=8 << 20))
    candidates = {
        f"parse x{ROUNDS_EACH}": report.repeated(lambda: domain_xml.parse(text), ROUNDS_EACH),
        f"format x{ROUNDS_EACH}": report.repeated(lambda: domain_xml.format(description), ROUNDS_EACH),
        f"updated x{ROUNDS_EACH}": report.repeated(lambda: document.updated(larger), ROUNDS_EACH),
    }
    first = next(iter(candidates))
    report.show("libvirt's XML", report.interleave(candidates, options.rounds), first, as_json=options.json)
    with tempfile.TemporaryDirectory() as directory:
        for number in range(DEFINITIONS):
            (Path(directory) / f"{number}.xml").write_text(text.replace("desk", f"desk-{number}"))

        def load() -> None:
            for path in Path(directory).iterdir():
                formats.parse(path.read_bytes(), file=path.name)

        name = f"load {DEFINITIONS} definitions"
        report.show(
            "Definitions", report.interleave({name: load}, options.rounds), name, as_json=options.json
        )
    sizes: dict[str, Callable[[], object]] = {}
    for megabytes in (1, 2.5, 5, 10):
        large = with_disks(text, megabytes)
        sizes[f"parse {megabytes} MB"] = lambda large=large: domain_xml.parse(large)  # type: ignore[misc]
        sizes[f"change one of the disks of {megabytes} MB"] = changed(domain_xml.parse(large))
    report.show("Sizes", report.interleave(sizes, 2), "parse 1 MB", as_json=options.json)


if __name__ == "__main__":
    main()
