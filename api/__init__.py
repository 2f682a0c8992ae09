"""The backend's API: a process that answers an application's backend over HTTP, and keeps nothing.

It is an edge, as a gateway is: it asks presence, which decides and owns all state, and any number of these
processes may run. What goes over the line is in `tieline.api`; what may be asked is in `resources`, a module
for each kind of thing.
"""
