"""Hypercalls: from Domain 0 to the hypervisor below it, or over a socket to a simulated one.

`dial`: finds the way for a host's root.  `client`: a method for each hypercall, over any transport.
`transport`: what one is.  `privcmd` and `arena`: the kernel's device, and memory that Xen may write.
`blocking` and `aio`: the same calls over a Unix socket.
"""
