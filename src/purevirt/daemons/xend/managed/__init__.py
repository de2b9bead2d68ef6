"""Domains that are remembered, made, followed and brought back.

`manager` is what the parts share. `catalogue` has the definitions, `supervised` how far the daemon is with the domains
that it answers for, `jobs` what takes long. `building` makes domains, `leaving` takes them elsewhere, `keeper` carries
out their `policies`, `adopting` takes over those that others have made. `startup` goes on where an earlier life of the
daemon ended, `hostshutdown` is what is done before the host goes down, `eventlog` keeps the journal. `descriptions`
reads what callers bring, `operations` is what they may ask, and `definition_calls` and `domain_calls` carry it out.
"""
