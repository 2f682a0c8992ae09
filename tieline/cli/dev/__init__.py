"""`tieline dev`: the whole system on one machine, its processes, ports and broker.

`command` runs it. `local_system` plans the processes and their `ports`, `supervisor` keeps them running (each
is a `child`, and is asked for its `readiness`), `log_file` gets their output, `screen` prints for the user.
"""
