"""Write the pages that are filled in from the code: `make generate`; `--check` in CI.

docs/cli.md holds every command's own help, docs/routes.md the routing table, docs/settings.md the settings of the Xen
daemon, docs/rest-routes.md and docs/openapi.json the REST interface, docs/xen-versions.md which hypercall layouts were
verified how.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))


def cli_page() -> str:
    """docs/cli.md."""
    from purevirt.cli.app import COMMANDS, cli

    root = click.Context(cli, info_name="purevirt")
    lines = [
        "# The command line",
        "",
        "<!-- Filled in from the code by tools/generate_docs.py: `make generate`. -->",
        "",
        "```",
        cli.get_help(root),
        "```",
        "",
        "Exit statuses: 0 done, 1 the operation failed, 2 usage, 3 not found, 4 denied or read-only, 5 no host or",
        "channel, 6 unsupported, 7 timed out, 130 interrupted. Errors are one line on standard error; with `--json`",
        'that line is `{"error": {"kind", "message", "operation", "domain", "channel", "detail"}}`.',
    ]
    for section, commands in COMMANDS.items():
        lines += ["", f"## {section}"]
        for name in commands:
            command = cli.get_command(root, name)
            assert command is not None
            lines += _command(command, click.Context(command, info_name=name, parent=root))
    return "\n".join(lines) + "\n"


def _command(command: click.Command, context: click.Context) -> list[str]:
    lines = [
        "",
        f"### {context.command_path.removeprefix('purevirt ')}",
        "",
        "```",
        command.get_help(context),
        "```",
    ]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            lines += _command(inner, click.Context(inner, info_name=name, parent=context))
    return lines


def routes_page() -> str:
    """docs/routes.md."""
    from purevirt.drivers.xen.routes import table
    from purevirt.model import Access

    lines = [
        "# Which channel serves what",
        "",
        "<!-- Filled in from drivers/xen/routes.py by tools/generate_docs.py: `make generate`. -->",
        "",
        "The first channel's answer counts; the others add what the note says. Channels are never tried in turn: one",
        "that fails is an error that names it. `purevirt explain` prints the column of the connection at hand.",
        "",
        "Whether the Xen daemon answers is looked at when a connection is opened. A channel that is lost later is an",
        "error, never a reason to try another; the next call may reach a daemon that was restarted.",
        "",
        "| operation | libvirt | `open()` | with the daemon | `open_read_only()` | with the daemon |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in table().items():
        cells = []
        for access in Access:
            served = row.on(access)
            named = " + ".join(channel.value for channel in served.channels) or "none"
            cells.append(f"{named}: {served.note}" if served.note else named)
        if cells[1] == cells[0]:
            cells[1] = "the same"
        libvirt = f"`{row.libvirt}`" if row.libvirt else ""
        lines.append(f"| `{name}` | {libvirt} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def versions_page() -> str:
    """docs/xen-versions.md."""
    from purevirt.wire.hypercall.structs import GETDOMAININFO
    from purevirt.wire.hypercall.versions import RELEASES

    lines = [
        "# Xen versions",
        "",
        "<!-- Filled in from wire/hypercall/versions.py by tools/generate_docs.py: `make generate`. -->",
        "",
        "sysctl and domctl carry a version number in every call, and Xen refuses any but its own; the pair decides",
        "the layout of the structs. When a connection is opened, the versions are probed and compared with the",
        "release.",
        "",
        "| Xen | sysctl | domctl | getdomaininfo, bytes (x86_64, arm64) | layouts known by |",
        "|---|---|---|---|---|",
    ]
    for row in RELEASES:
        sizes = [GETDOMAININFO.at(row._replace(arch=arch)).size for arch in ("x86_64", "arm64")]
        lines.append(
            f"| {row.release[0]}.{row.release[1]} | {row.sysctl:#x} | {row.domctl:#x} | {sizes[0]}, {sizes[1]} "
            f"| {row.verified} |"
        )
    lines += [
        "",
        "*compiler*: offsets, sizes and numbers were printed by a C compiler from that release's public headers",
        "(Debian's `libxen-dev`), are kept in `tests/data/layouts/`, and a test compares every table with them.",
        "*documents*: from the release's headers as read; the structs lie between two compiled releases, or their",
        "change is quoted in `wire/hypercall/structs.py`. `tools/layouts/measure.py --check` measures again.",
        "",
        "A release that is not in the table, but answers to a pair that is, is read with that pair's layouts, and",
        "`purevirt version` says *probed*.",
        "",
        "Reading works on all of these. What changes a domain is sent only to a Xen whose layouts a *compiler*",
        "confirmed: any other would not refuse a struct laid out wrongly, but obey it.",
    ]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """docs/settings.md."""
    from purevirt.daemons.xend.settings import PENDING, SECTIONS, TABLE
    from purevirt.daemons.xend.settings_file import FILE, toml

    lines = [
        "# The Xen daemon's settings",
        "",
        "<!-- Filled in from daemons/xend/settings.py by tools/generate_docs.py: `make generate`. -->",
        "",
        f"`{FILE}`, or the file of `--config`, is TOML; none of it need be there.",
        "`purevirt xend --print-config` prints all of it with its defaults and what is otherwise on this host,",
        "`--check-config` says whether it is good. What is unknown, of the wrong type or out of range is an error with",
        "file, line and column, and the daemon does not start. Options of the command line count more. On a simulated",
        "host all paths are below its directory.",
        "",
        "*At once*: SIGHUP (`systemctl reload purevirt-xend`) is enough. Who is connected keeps the role that he had.",
    ]
    for section, about in SECTIONS.items():
        rows = [row for row in TABLE if row.section == section]
        lines += ["", f"## [{section}]", "", about, ""]
        lines += ["| key | value | default | changes | what |", "|---|---|---|---|---|"]
        for row in rows:
            help_text = row.help + (" *Nothing uses it yet.*" if row.field in PENDING else "")
            when = "at once" if row.live else "at the next start"
            expected = row.kind.expected.replace('""', '`""`')
            lines.append(f"| `{row.key}` | {expected} | `{toml(row.default)}` | {when} | {help_text} |")
    return "\n".join(lines) + "\n"


def rest_page() -> str:
    """docs/rest-routes.md."""
    from purevirt.daemons.xend.operations import OPERATIONS
    from purevirt.daemons.xend.rest.parameters import parameters
    from purevirt.daemons.xend.rest.routes import ELSEWHERE, PREFIX, ROUTES

    lines = [
        "# The routes of REST",
        "",
        "<!-- Filled in from daemons/xend/rest/routes.py by tools/generate_docs.py: `make generate`. -->",
        "",
        f"All paths are below `{PREFIX}`. Arguments in brackets may be left out. Those of GET and DELETE stand in the",
        "query, those of the others in the body, a JSON object. [openapi.json](openapi.json) has their types and those",
        "of the answers; [rest.md](rest.md) says how all of it is used.",
        "",
        "| route | what | arguments | answers | role | operation |",
        "|---|---|---|---|---|---|",
    ]
    for route in ROUTES:
        known = [one for one in parameters(route) if one.place != "path"]
        given = " ".join(f"`{one.name}`" if one.argument.required else f"[`{one.name}`]" for one in known)
        role = OPERATIONS[route.operation].role.name.lower() if route.operation else "none"
        status = "201, 200" if route.how == "put" else str(route.status)
        operation = f"`{route.operation}`" if route.operation else ""
        lines.append(
            f"| `{route.method} {route.path}` | {route.summary} | {given} | {status} | {role} | {operation} |"
        )
    lines += ["", "What the library's other operations tell is in other answers:", ""]
    lines += [f"- `{name}`: in that of `{other}`" for name, other in ELSEWHERE.items()]
    return "\n".join(lines) + "\n"


def openapi() -> str:
    """docs/openapi.json."""
    from purevirt.daemons.xend.rest.openapi import document

    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


PAGES = {
    "cli.md": cli_page,
    "routes.md": routes_page,
    "openapi.json": openapi,
    "rest-routes.md": rest_page,
    "settings.md": settings_page,
    "xen-versions.md": versions_page,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail if a page is not fresh")
    options = parser.parse_args()
    stale = []
    for name, make in PAGES.items():
        path = ROOT / "docs" / name
        text = make()
        if not path.exists() or path.read_text() != text:
            stale.append(f"docs/{name}")
            if not options.check:
                path.write_text(text)
    for name in stale:
        print(("stale: " if options.check else "wrote: ") + name)
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    raise SystemExit(main())
