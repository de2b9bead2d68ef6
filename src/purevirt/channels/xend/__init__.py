"""The Xen daemon: HTTP over a Unix socket, or TCP.

`client` has a method for the JSON calls, and one for the classic tree of S-expressions (`classic`); it works over the
blocking and the asyncio transport alike (`dial` chooses). `http` is the framing (h11). Nothing here is imported
before the daemon is first called.
"""
