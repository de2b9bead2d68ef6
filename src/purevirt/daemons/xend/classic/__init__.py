"""The classic interface of xend: the HTTP tree that clients of Xen 3 and 4.0 to 4.4 know, over our supervisor.

    face         the handler: finds the resource, presents what it answers
    answers      heads and bodies, letter for letter as xend sent them
    arguments    queries and forms, and xend's words for what is wrong with them
    domains      `/xend/domain`: listings, and what is shown of one domain
    gather       what that takes of the supervisor
    halted       definitions: of domains that do not run, and of those that do
    operations   `op=…` on a domain; of these:
    making       what makes a domain, starts, saves, moves or forgets one
    devices      `device_…`
    drafts       a definition is changed
    resting      what becomes of it when sizes, vCPUs and scheduling of a halted domain are set
    node         `/xend/node`

docs/xend.md has the whole table, and what differs from the old xend.
"""

from purevirt.daemons.xend.classic.face import ClassicFace

__all__ = ["ClassicFace"]
