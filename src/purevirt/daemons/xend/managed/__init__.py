"""Domains that are remembered, made, followed and brought back.

`manager` is what the parts share. `catalogue` has the definitions, `supervised` how far the daemon is with the domains
that it answers for, `jobs` what takes long. `building` makes domains, `leaving` takes them elsewhere, `keeper` carries
out their `policies`, `adopting` takes over those that others have made, and `startup` goes on where an earlier life of
the daemon ended. `descriptions` reads what callers bring, `operations` is what they may ask.
"""
