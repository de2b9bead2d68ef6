"""The classic interface of xend: the HTTP tree that clients of Xen 3 and 4.0 to 4.4 know, over our supervisor.

    face         the handler: finds the resource, presents what it answers
    answers      heads and bodies, letter for letter as xend sent them
    arguments    queries and forms, and xend's words for what is wrong with them
    domains      `/xend/domain`: listings, and what is shown of one domain
    gather       what that takes of the supervisor
    operations   `op=…` on a domain
    node         `/xend/node`

docs/xend.md has the whole table, and what differs from the old xend.
"""

from purevirt.daemons.xend.classic.face import ClassicFace

__all__ = ["ClassicFace"]
