"""What presence decides, from a record and a request to a change and a reply. Pure.

A session's life is in `session`, a membership's in `room`, a negotiation's in `negotiation`; the rules of
the protocol over all three are in `signals`, the ends that the server makes of negotiations in `endings`.
The records are in `user` and `negotiation`, what a change means for others in `effects`. Nothing here
awaits, reads a clock, logs, or knows the store: the loop that does is `presence.change_loop`.
"""
