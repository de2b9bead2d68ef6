"""The Xen Store, from the client's side.

`client`: every operation, as methods.  `watches`: watches, on a connection of their own.  `blocking`, `aio`:
the two transports.  `locate`: which socket or device to open.  `pipeline`: requests and replies by id,
without I/O. `links`: the socket or the device under a transport.
"""
