"""What xend says about its host and its domains, as S-expressions <-> the model. Pure, both ways.

`domain` has the expression of one domain (`/xend/domain/x`), `reading` its way back, `node` that of the host
(`/xend/node`), `vcpus` that of a domain's vCPUs (`op=vcpuinfo`). Descriptions, `(vm …)`, are in `vm`, which is loaded
by those who need it. The order of the keys is xend's own, recorded from xend of Xen 4.1. Writers leave out what is not
known; readers take what is there, and accept quoted numbers.
"""

from purevirt.formats.xend_sxpr.domain import (
    Image,
    XendDevice,
    XendDomain,
    disk,
    domain_name,
    domain_text,
    nic,
    status,
)
from purevirt.formats.xend_sxpr.node import XendNode, node_text, read_node
from purevirt.formats.xend_sxpr.reading import read_domain, read_domains
from purevirt.formats.xend_sxpr.vcpus import read_vcpus, vcpus_text

__all__ = [
    "Image",
    "XendDevice",
    "XendDomain",
    "XendNode",
    "disk",
    "domain_name",
    "domain_text",
    "nic",
    "node_text",
    "read_domain",
    "read_domains",
    "read_node",
    "read_vcpus",
    "status",
    "vcpus_text",
]
