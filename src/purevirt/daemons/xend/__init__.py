"""The Xen daemon: supervises the domains of a host, for clients without the rights, or the code, to do it themselves.

process      settings, signals, log, the manager       service      sockets, start and end
settings     the table of them                         settings_file  … as TOML, with the places of mistakes
notify       sd_notify                                 watchdog     tells the manager that all answers
logs         three formats; what a line is about       named_calls  … for what is logged during a call
unit         for systemd                               access       whose call it is: roles by peer credentials
sockets      where to listen, and whom to trust        audit        who changed what, and who was refused
http         the server of both faces                  journal      what happened, for those who ask
rpc          POST /purevirt/v1/call                    observer     sees domains come and go
classic/     the HTTP tree of old                      link         the channels to the host, made again when lost
supervisor   every call of every face, by one table    locks        one change at a time per domain
operations   the table; reads, changes its handlers    toolstack/   how a change is carried out
deadlines    waits that end, without system calls       crowd        which of many connections gives way
"""
