"""The simulated Xen host: what stands behind the wire formats when there is no Xen.

`hypervisor` (with `domains`, `boot`, `xenver`, `sysctl`, `domctl`, `schedctl`, `guestops`, `console`, `memory`) answers
hypercalls, `hypercall_server` over a socket; `accounts` and `cpushares` keep its CPU time; `dom0files` writes what a
Domain 0 kernel shows; `clock` is its time.
"""
