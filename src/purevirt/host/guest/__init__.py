"""A guest of a simulated host: what the kernel in a domain does.

`kernel` boots and listens; `storering` is its way to the Xen Store, `console` its way to the console; `frontends` its
disks and interfaces; `control` what it does when it is asked to shut down; `resources` its balloon and its vCPUs;
`behaviour` how it was told to misbehave.
"""
