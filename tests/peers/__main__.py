"""``python -m tests.peers [install]``: can the real daemons run here? Or: install what they need."""

import sys

from . import available, install

if __name__ == "__main__":
    if sys.argv[1:] == ["install"]:
        install()
    elif sys.argv[1:]:
        sys.exit("usage: python -m tests.peers [install]")
    reason = available()
    print(reason or "the peers can run here")
    sys.exit(0 if reason is None else 1)
