"""The Xen driver: a host's own hypervisor, Xen Store, Xen daemon and files.

`open`: finds and opens the channels, or says what is missing.  `routes`: which channel serves which operation.
`driver`: the contract, put together from `host`, `domains`, `devicereads` and `changes` over `connected`.
`hypervisor`, `storeview`: a domain as each channel tells it.  `daemon`: what the Xen daemon is asked to do.  `node`:
the host.  `names`: the one cache.  `devices`: disks and interfaces.  `events`, `watching`, `comparing`:
subscriptions. `storepaths`: every path of the Xen Store we know.
"""
