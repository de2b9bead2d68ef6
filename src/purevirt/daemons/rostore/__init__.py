"""The read-only Xen Store: what anybody on the host may see of the store, and nothing that could be a secret.

Xen dropped its own read-only socket in 4.15. This one speaks the same protocol, on /run/purevirt/socket_ro and,
through a link, on the path of old. It is a process of its own, or a part of xend; it asks the real xenstored, and
says only what `allowed` lets through.

    allowed    which nodes may be seen, and which values        client     one client: its requests, watches, limits
    listings   long lists of children, in parts                 server     the sockets
    upstream   the connections to xenstored
"""
