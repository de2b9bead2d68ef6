"""What Domain 0's kernel shows as files: no hypercalls, no root; and, for root, what libxl keeps there.

`hostfiles`: the one class that others use.  `sysfs`, `procfs`, `libxl`: where everything is and how it reads.
`reading`: files as text and numbers.

A file that is not there is None: the feature is missing, or its device has just vanished. A file that is
there and does not hold what it should raises RemoteProtocolError with its path; nothing is ever made up,
least of all a zero that looks measured.
"""

from purevirt.channels.files.hostfiles import HostFiles

__all__ = ["HostFiles"]
