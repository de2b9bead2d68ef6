"""xl's configuration files: parse, write, and change in place, for a typical HVM domain (42 settings, 5 devices).

A second table shows that time is linear in the size: files of up to 10 MB with ever more unknown settings.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from benchmarks import report
from purevirt.formats import xl_config

SAMPLE = Path(__file__).resolve().parents[1] / "tests" / "data" / "descriptions" / "hvm.cfg"
ROUNDS_EACH = 100


def main() -> None:
    options = report.options(__doc__, 7)
    text = SAMPLE.read_text()
    document = xl_config.parse(text)
    description = document.description
    larger = description._replace(memory=description.memory._replace(kib=8 << 20))
    candidates = {
        f"parse x{ROUNDS_EACH}": report.repeated(lambda: xl_config.parse(text), ROUNDS_EACH),
        f"format x{ROUNDS_EACH}": report.repeated(lambda: xl_config.format(description), ROUNDS_EACH),
        f"updated x{ROUNDS_EACH}": report.repeated(lambda: document.updated(larger), ROUNDS_EACH),
    }
    report.show(
        "xl.cfg", report.interleave(candidates, options.rounds), f"parse x{ROUNDS_EACH}", as_json=options.json
    )
    line = "unknown_{} = [ 'one', \"two\", 3 ]  # with a comment\n"
    sizes: dict[str, Callable[[], object]] = {}
    for megabytes in (1, 5, 10):
        count = megabytes * 1_000_000 // len(line)
        large = text + "".join(line.format(index) for index in range(count))
        sizes[f"parse {megabytes} MB"] = lambda large=large: xl_config.parse(large)  # type: ignore[misc]
    report.show("Sizes", report.interleave(sizes, 2), "parse 1 MB", as_json=options.json)


if __name__ == "__main__":
    main()
