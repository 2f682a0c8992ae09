"""The router: for each signal ask presence, relay, answer. Never reads SDP or ICE.

`leases` is what it remembers of established pairs, `service` what it does. Any number in one queue group.
"""
