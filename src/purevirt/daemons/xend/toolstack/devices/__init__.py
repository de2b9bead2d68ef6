"""Devices of a domain that exists, added, removed and changed: disks (vbd) and network interfaces (vif).

    description -> `planning` (what is asked for, and whether this host can) -> `nodes` (what is written)
    `joining`: nodes, record, script, handshake     `leaving`: the same backwards     `updating`: what may change

`waiting` follows states, `libxl_record` keeps libxl's file in step, `existing` finds
what is there. Scripts are run by `..hotplug`.
"""
