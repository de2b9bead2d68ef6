"""The daemons purevirt brings: xenstored for simulated hosts."""
