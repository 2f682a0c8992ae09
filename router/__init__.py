"""The router: one signal at a time, ask presence, relay, answer. Never reads SDP or ICE.

`leases` is what it remembers of established pairs, `service` what it does. Any number in one queue group.
"""
