"""Which commands there are, and how one runs: parse, call, turn an exception into one line and an exit status.

A command's module is imported when the command is called, not before; the table below holds the one-line helps, so
that `purevirt --help` imports none of them (a house test compares them with the commands' own).

Exit statuses: 0 done, 1 the operation failed, 2 usage, 3 not found, 4 denied or read-only, 5 no host or channel,
6 unsupported, 7 timed out, 130 interrupted.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence

import click

from purevirt import errors
from purevirt._version import __version__
from purevirt.cli.session import Session, abandon_output, report, report_unwritten

__all__ = ["COMMANDS", "cli", "run"]

COMMANDS: dict[str, dict[str, tuple[str, str]]] = {
    "Domains": {
        "list": ("domains", "List the domains."),
        "dominfo": ("domains", "Show what a domain is and what it uses."),
        "domstate": ("domains", "Show a domain's state."),
        "domid": ("domains", "Show a domain's id."),
        "domname": ("domains", "Show a domain's name."),
        "domuuid": ("domains", "Show a domain's UUID."),
        "domstats": ("stats", "Show the counters of all domains, or of some, in one pass over the host."),
        "dumpxml": ("dumpxml", "Print a domain's description as XML."),
        "console": ("console", "Connect this terminal to a domain's text console."),
        "vcpuinfo": (
            "vcpus",
            "Show a domain's virtual CPUs: what they do, where they run, where they may run.",
        ),
        "vcpucount": ("vcpus", "Show how many virtual CPUs a domain has."),
        "domblklist": ("devices", "List a domain's disks."),
        "domblkstat": ("devices", "Show the counters of a disk, or of all disks."),
        "domiflist": ("devices", "List a domain's network interfaces."),
        "domifstat": (
            "devices",
            "Show the counters of a network interface, or of all, as the guest sees them.",
        ),
    },
    "Descriptions": {
        "convert": ("descriptions", "Turn a description of a domain into another format."),
        "validate": (
            "descriptions",
            "Check a description of a domain: can it be read, and could there be such a domain?",
        ),
        "new-config": (
            "newconfig",
            "Write a first description of a domain, from options; without NAME, on a terminal, it asks.",
        ),
        "domxml-from-native": (
            "descriptions",
            "Turn an xl.cfg (FORMAT xen-xl) or what xend took (xen-sxpr) into libvirt's XML.",
        ),
        "domxml-to-native": (
            "descriptions",
            "Turn libvirt's XML into an xl.cfg (FORMAT xen-xl) or what xend took (xen-sxpr).",
        ),
    },
    "Definitions": {
        "define": ("definitions", "Have a domain remembered, or remembered otherwise than before."),
        "undefine": ("definitions", "Have a domain forgotten."),
        "edit": ("definitions", "Change a domain's definition in an editor: $VISUAL, $EDITOR, or vi."),
        "autostart": ("definitions", "Have a domain started with its host, or not."),
        "desc": (
            "definitions",
            "Show a domain's description in words, or its title, or give it another; an empty one takes it away.",
        ),
        "metadata": (
            "definitions",
            "Show, set or remove the XML that another program keeps with a domain's definition.",
        ),
    },
    "Lives": {
        "create": ("life", "Make a domain of a description, that is forgotten when it ends."),
        "start": ("life", "Start a domain that is defined."),
        "save": ("life", "Save a domain's state to a file on its host, and end it."),
        "restore": ("life", "Let a domain go on from a file that save has written."),
        "managedsave": ("life", "Save a domain's state where its next start finds it, and end it."),
        "managedsave-remove": ("life", "Throw a domain's saved state away: its next start boots it."),
        "dump": ("life", "Write a domain's memory to a file on its host, for debuggers."),
        "migrate": ("life", "Let a domain go on at another host, which the Xen daemon reaches by ssh."),
        "adopt": ("life", "Have the Xen daemon answer for a domain that somebody else has made."),
    },
    "Jobs": {
        "job-list": ("jobs", "List the Xen daemon's jobs, the oldest first."),
        "job-log": ("jobs", "Print a job's log: what it did when (UTC)."),
        "job-wait": (
            "jobs",
            "Wait until a job has ended; ends with the status that the command would have ended with.",
        ),
        "job-cancel": ("jobs", "Have a job give up, and undo what it has begun."),
        "domjobinfo": ("jobs", "Show the job that is at work on a domain."),
        "domjobabort": (
            "jobs",
            "Have the job that is at work on a domain give up, and undo what it has begun.",
        ),
    },
    "Changes": {
        "suspend": ("lifecycle", "Pause a domain: it keeps its memory, and gets no CPU."),
        "resume": ("lifecycle", "Let a paused domain run again."),
        "shutdown": ("lifecycle", "Ask a domain's kernel to shut down."),
        "reboot": ("lifecycle", "Ask a domain's kernel to reboot. As shutdown --mode reboot."),
        "destroy": ("lifecycle", "End a domain at once, without asking its kernel."),
        "attach-disk": ("devicechanges", "Add a disk to a domain."),
        "attach-interface": ("devicechanges", "Add a network interface to a domain."),
        "attach-device": ("devicechanges", "Add a device, described in a file, to a domain."),
        "detach-disk": ("devicechanges", "Take a disk from a domain."),
        "detach-interface": ("devicechanges", "Take a network interface from a domain."),
        "detach-device": ("devicechanges", "Take a device, described in a file, from a domain."),
        "update-device": ("devicechanges", "Change a device of a domain to what a file describes."),
        "change-media": ("devicechanges", "Exchange the medium of a CD-ROM drive."),
        "domrename": ("lifecycle", "Give a domain another name."),
        "setmem": ("resources", "Ask a domain to balloon to a size."),
        "setmaxmem": ("resources", "Set how much memory a domain may hold at most."),
        "setvcpus": ("resources", "Ask a domain to run on COUNT virtual CPUs."),
        "vcpupin": ("resources", "Show or set where a domain's virtual CPUs may run."),
        "schedinfo": ("scheduling", "Show or set a domain's share of the CPUs."),
        "sysrq": ("keys", "Press a magic SysRq key in a domain's Linux kernel."),
        "inject-nmi": ("keys", "Send a domain's first virtual CPU a non-maskable interrupt."),
        "trigger": ("keys", "Press one of a domain's buttons, or send it an interrupt."),
    },
    "Events": {
        "event": ("events", "Wait for something to happen to the domains, and print it."),
    },
    "Host": {
        "nodeinfo": ("node", "Show the host's CPUs and memory: the machine's, not Domain 0's."),
        "freecell": ("node", "Show the host's free memory, in all, of one NUMA CELL, or of each."),
        "hostname": ("node", "Show the host's name."),
        "uri": ("node", "Show the URI of the connection."),
        "version": ("node", "Show the versions of library and hypervisor."),
        "cpupool-list": (
            "scheduling",
            "List the CPU pools: which CPUs, which scheduler, how many domains.",
        ),
        "capabilities": (
            "capabilities",
            "Show what the host can do: its processors and topology, and the guests it runs.",
        ),
        "domcapabilities": ("capabilities", "Show what a guest of one kind can have on this host."),
        "dmesg": ("node", "Show Xen's own messages since boot, as far as it keeps them."),
        "explain": ("explain", "Show which channel serves which operation on this connection."),
    },
    "Xen Store": {
        "store": ("store", "Read, write and watch the Xen Store."),
    },
    "Daemons": {
        "xend": ("xend", "Run the Xen daemon of this host."),
        "rostore": ("xend", "Run the read-only Xen Store of this host alone."),
    },
    "Tools": {
        "host": ("host", "Serve a simulated Xen host in a directory."),
        "completion": ("completion", "Print the completion script of a shell."),
    },
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, and listed by section."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in COMMANDS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for section in COMMANDS.values():
            if cmd_name in section:
                module = importlib.import_module(f"purevirt.cli.commands.{section[cmd_name][0]}")
                command = getattr(module, "list_" if cmd_name == "list" else cmd_name.replace("-", "_"))
                assert isinstance(command, click.Command)
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else " See 'purevirt --help'."
            ctx.fail(f"There is no command {name!r}.{hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self.list_commands(ctx))
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), help_) for name, (_, help_) in section.items()])


@click.group(
    cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.option(
    "-c", "--connect", "uri", metavar="URI", help="The host: xen:///, xen:///?root=DIR, test:///default."
)
@click.option("-r", "--readonly", is_flag=True, help="No hypercalls and no writes; needs no root.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.001),
    default=5.0,
    metavar="SECONDS",
    help="For opening. Default: 5.",
)
@click.version_option(__version__, prog_name="purevirt")
@click.pass_context
def cli(ctx: click.Context, uri: str | None, readonly: bool, timeout: float) -> None:
    """Manage Xen hosts.

    Without -c, the host is $PUREVIRT_URI, then $LIBVIRT_DEFAULT_URI, then this machine if it is a Xen host.
    "purevirt -c test:///default list" tries it on a simulated host.
    """
    session = ctx.ensure_object(Session)
    session.uri, session.read_only, session.timeout = uri, readonly, timeout


def run(arguments: Sequence[str]) -> int:
    """Run one command line; returns the exit status."""
    session = Session()
    try:
        status = cli.main(list(arguments), prog_name="purevirt", standalone_mode=False, obj=session)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except errors.XenError as error:
        return report(error, as_json=session.json)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return 2
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        name = context.command_path if context is not None else "purevirt"
        message = error.format_message()
        if session.json:
            print(json.dumps({"error": _usage(message)}), file=sys.stderr)
        else:
            print(f"purevirt: {message}" + _see(name, message), file=sys.stderr)
        return 2
    except (KeyboardInterrupt, click.Abort):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not spoil the closing below
        return 130
    except (BrokenPipeError, SystemExit):
        if "_PUREVIRT_COMPLETE" in os.environ:
            raise  # how click ends a completion
        abandon_output()  # click turns a broken pipe into a SystemExit
        return 0
    except OSError as error:
        return report_unwritten(error, as_json=session.json)
    finally:
        session.close()


def _see(name: str, message: str) -> str:
    if "--help" in message or "Did you mean" in message:
        return ""
    stop = "" if message.endswith((".", "?", "!")) else "."
    return f"{stop} See '{name} --help'."


def _usage(message: str) -> dict[str, object]:
    empty = dict.fromkeys(("operation", "domain", "channel", "detail"))
    return {"kind": "UsageError", "message": message, **empty}
