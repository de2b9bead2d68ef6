"""libvirt's XML of a domain <-> descriptions of domains, as libvirt's driver for Xen (libxl) means it.

`parse` and `format` give an `XmlDocument`, which is the text and its description in one. Below them: `shapes` is the
engine, `machine`, `devices` and `screens` are the tables that bind places in the XML to fields of the model, `binding`
reads and writes a whole domain by them, `merging` changes a text to what is wanted, `document` puts it all together.
The text itself is `formats.xml`'s business.
"""

from purevirt.formats.domain_xml.document import XmlDocument, format, parse  # noqa: A004 - the other half of parse

__all__ = ["XmlDocument", "format", "parse"]
