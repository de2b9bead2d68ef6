"""The Xen daemon: supervises the domains of a host, for clients without the rights, or the code, to do it themselves.

service      sockets, start and end                        access       whose call it is: roles by peer credentials
rpc          POST /purevirt/v1/call                        audit        who changed what, and who was refused
supervisor   every call of every face, by one table        journal      what happened, for those who ask
operations   the table; reads and changes its handlers     observer     sees domains come and go
locks        one change at a time per domain               link         the channels to the host, made again when lost
toolstack/   how a change is carried out
"""
