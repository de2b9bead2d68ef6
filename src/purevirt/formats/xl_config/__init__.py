"""xl's configuration files (xl.cfg) <-> descriptions of domains.

`parse` and `format` give an `XlDocument`, which is the file's text and its description in one. Below them: `syntax` is
the grammar, `spelling` writes values, `editing` changes a file in place; `settings`, `groups` (with `processors` and
`screens`) and `devices` (with `disk`, `vif`, `sound` and the language of their strings, `specs`) are the tables that
bind names in the file to fields of the model, `binding` reads and writes by them, `document` puts it all together.

What is known of the format comes from the manual pages xl.cfg(5), xl-disk-configuration(5), xl-network-configuration(5)
and xl-pci-configuration(5) of Xen 4.17, and from asking xl 4.17 itself, with which the tests compare.
"""

from purevirt.formats.xl_config.document import XEN, XlDocument, format, parse  # noqa: A004 - the other half of parse
from purevirt.formats.xl_config.syntax import Note

__all__ = ["XEN", "Note", "XlDocument", "format", "parse"]
