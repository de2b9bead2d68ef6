"""The lab as a command: python -m lab build | boot | run | shell | versions | clean."""

from __future__ import annotations

import argparse
import contextlib
import shutil
import signal
import sys
import threading
from collections.abc import Iterator

import lab
from lab import image, recipe, terminal
from lab.errors import LabError, say


def main(argv: list[str] | None = None) -> int:
    """The exit status: the command's own for `run` and `shell`, 1 when the lab failed, 2 for usage."""
    options = _parser().parse_args(argv)
    try:
        return int(options.action(options))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lab",
        description="A real Xen with a Domain 0 in QEMU (software emulation).",
        epilog=f"Images and console logs are kept in {recipe.cache_dir()} ($PUREVIRT_LAB_CACHE).",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, action: object, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(action=action)
        if name != "clean":
            sub.add_argument(
                "--xen", default="4.17", choices=list(recipe.RECIPES), help="default: %(default)s"
            )
        return sub

    def booting(name: str, action: object, text: str) -> argparse.ArgumentParser:
        sub = command(name, action, text)
        sub.add_argument("--memory", type=int, default=6144, metavar="MB", help="of the machine; %(default)s")
        sub.add_argument("--store", default="oxenstored", choices=["oxenstored", "xenstored"])
        sub.add_argument("--share", metavar="DIR", help="a directory that appears as /share, read-only")
        return sub

    command("build", _build, "Build the Domain 0 image, unless it is there.")
    command("versions", _versions, "Print the packages in the image and their versions.")
    booting("boot", _boot, "Boot and wait; ^C ends the machine.")
    run = booting("run", _run, "Boot, run one command in Domain 0, stop; exits with its status.")
    run.add_argument(
        "--put", nargs=2, action="append", default=[], metavar=("LOCAL", "REMOTE"), help="copy in first"
    )
    run.add_argument(
        "--checkout", action="store_true", help="install this checkout first, see `install_checkout`"
    )
    run.add_argument("--timeout", type=float, metavar="SECONDS", help="for the command; default: none")
    run.add_argument("argv", nargs="+", metavar="ARG", help="the command; put -- before it")
    shell = booting("shell", _shell, "Boot and give a shell in Domain 0.")
    shell.add_argument(
        "--put", nargs=2, action="append", default=[], metavar=("LOCAL", "REMOTE"), help="copy in first"
    )
    command("clean", _clean, "Remove all images and console logs.")
    return parser


@contextlib.contextmanager
def _booted(options: argparse.Namespace) -> Iterator[lab.Host]:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with lab.boot(options.xen, memory_mb=options.memory, store=options.store, share=options.share) as host:
        for local, remote in getattr(options, "put", []):
            host.put(local, remote)
        yield host


def _build(options: argparse.Namespace) -> int:
    print(image.ensure(recipe.find(options.xen)).directory)
    return 0


def _versions(options: argparse.Namespace) -> int:
    for package, version in image.ensure(recipe.find(options.xen)).versions.items():
        print(package, version)
    return 0


def _boot(options: argparse.Namespace) -> int:
    with _booted(options) as host:
        say(f"console: {host.console_log}")
        say("^C ends it")
        threading.Event().wait()
    return 0


def _run(options: argparse.Namespace) -> int:
    def show(kind: bytes, data: bytes) -> None:
        stream = sys.stdout if kind == b"O" else sys.stderr
        stream.buffer.write(data)
        stream.buffer.flush()

    with _booted(options) as host:
        return host.run(options.argv, check=False, timeout=options.timeout, on_output=show).status


def _shell(options: argparse.Namespace) -> int:
    with _booted(options) as host:
        return terminal.attach(host.client, ["bash", "-i"])


def _clean(options: argparse.Namespace) -> int:
    if recipe.cache_dir().exists():
        shutil.rmtree(recipe.cache_dir())
    return 0


if __name__ == "__main__":
    sys.exit(main())
