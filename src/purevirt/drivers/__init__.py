"""What the API asks (`base`), and who answers it: `xen`, through the channels of this host."""
