"""The router: for each signal it asks presence, relays, and answers. It never reads SDP or ICE.

`service` is what it does with a signal, `relay` how a frame is published, `grants` the permissions it has
cached. Any number of routers are in one queue group.
"""
