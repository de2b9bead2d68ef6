"""The Xen driver: a host's own hypervisor, Xen Store and files.

`open`: finds and opens the channels, or says what is missing.  `routes`: which channel serves which operation.
`driver`: the contract, put together from `host`, `domains` and `devicereads` over `connected`.  `hypervisor`,
`storeview`: a domain as each channel tells it. `node`: the host.  `names`: the one cache.  `devices`: disks and
interfaces.  `storepaths`: every path of the Xen Store we know.
"""
