"""The gateway: the edge that clients connect to. No state that must survive it.

`connection` owns a socket and *has* a `session` (pure: what a frame means) and an `outbox` (bounded
writes). `admission` and `tokens` decide who may connect, `registry` begins and ends sessions with presence,
`lease` says that this gateway lives.
"""
