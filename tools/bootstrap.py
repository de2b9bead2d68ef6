"""Set up .venv with nothing but the machine's own python3: used by the Makefile, on a fresh machine too.

    python3 tools/bootstrap.py .venv                                make the environment
    .venv/bin/python tools/bootstrap.py --install .venv FILE        install pinned requirements and this checkout
    .venv/bin/python tools/bootstrap.py --upgrade .venv             raise requirements/ to the newest versions

Where the machine lacks a part, the message names the package to install. Only stable syntax here: it must run, and
say so, on a Python that is too old.
"""

import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def fail(message):
    # type: (str) -> None
    sys.stderr.write("purevirt: " + message + "\n")
    raise SystemExit(1)


def make_venv(venv):
    # type: (str) -> None
    if sys.version_info < (3, 11):
        fail(
            "python3 here is {}.{}, purevirt needs 3.11 or newer. Install one and name it: "
            "make PYTHON=python3.11 ...".format(*sys.version_info[:2])
        )
    version = "{}.{}".format(*sys.version_info[:2])
    try:
        import ensurepip  # noqa: F401
        import venv as _venv  # noqa: F401
    except ImportError:
        fail(
            "this Python cannot make virtual environments. On Debian or Ubuntu: "
            f"apt-get install python{version}-venv (or python3-venv)"
        )
    sys.stderr.write(f"purevirt: setting up {venv} (once)\n")
    done = subprocess.run([sys.executable, "-m", "venv", venv], check=False)
    if done.returncode:
        shutil.rmtree(venv, ignore_errors=True)
        fail(
            f"python3 -m venv failed. On Debian or Ubuntu: apt-get install python{version}-venv (or python3-venv)"
        )


def pip(venv, *arguments):
    # type: (str, *str) -> int
    command = [os.path.join(venv, "bin", "python"), "-m", "pip", "--disable-pip-version-check"]
    return subprocess.run(command + list(arguments), check=False, cwd=HERE).returncode


def install(venv, requirements):
    # type: (str, str) -> None
    sys.stderr.write(f"purevirt: installing {requirements}\n")
    if pip(venv, "install", "--quiet", "--only-binary=:all:", "-r", requirements):
        fail(f"pip could not install {requirements}: see above. Is a package index reachable?")
    with open(os.path.join(HERE, requirements)) as file:
        has_backend = "hatchling" in file.read()
    if has_backend and pip(
        venv, "install", "--quiet", "--no-deps", "--no-build-isolation", "--editable", "."
    ):
        fail(f"pip could not install this checkout into {venv}")


def upgrade(venv):
    # type: (str) -> None
    """Names stay, versions are raised: each file is installed without its pins, and rewritten."""
    for name in ("run.txt", "test.txt"):
        path = os.path.join(HERE, "requirements", name)
        with open(path) as file:
            lines = file.read().splitlines()
        names = [line.split("==")[0] for line in lines if line and not line.startswith("#")]
        if pip(venv, "install", "--quiet", "--upgrade", *names):
            fail("pip could not upgrade " + name)
        from importlib.metadata import version

        with open(path, "w") as file:
            for line in lines:
                key = line.split("==")[0]
                file.write((line if line.startswith("#") or not line else key + "==" + version(key)) + "\n")


def main():
    # type: () -> None
    arguments = sys.argv[1:]
    if arguments[:1] == ["--install"] and len(arguments) == 3:
        install(arguments[1], arguments[2])
    elif arguments[:1] == ["--upgrade"] and len(arguments) == 2:
        upgrade(arguments[1])
    elif len(arguments) == 1 and not arguments[0].startswith("-"):
        make_venv(arguments[0])
    else:
        fail("usage: see tools/bootstrap.py")


if __name__ == "__main__":
    main()
