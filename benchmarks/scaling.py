"""10, 100 and 1,000 simulated domains: listing should grow with them, a question about one domain should not."""

from __future__ import annotations

from benchmarks import report
from purevirt import testing
from purevirt.api._sync.connection import open as open_host


def main() -> None:
    options = report.options(__doc__, 30)
    rows: list[report.Row] = []
    for count in (10, 100, 1000):
        with testing.Host(empty=True, memory_kib=64 << 20) as simulated:
            for number in range(count):
                simulated.create_domain(f"d{number}", memory_kib=4096)
            with open_host(simulated.uri) as host:
                domain = host.lookup_by_name(f"d{count // 2}")
                for _ in range(3):
                    host.domain_infos()
                found = report.interleave(
                    {f"{count}: list": host.domain_infos, f"{count}: info of one": domain.info},
                    options.rounds,
                )
                rows += found
    report.show("Scaling", rows, "10: list", as_json=options.json)


if __name__ == "__main__":
    main()
