"""Presence: who is where, and who negotiates with whom. Any number of processes, no memory that matters.

The pure core is `member` (one user's session and rooms), `negotiation` (what two users negotiate) and
`decide` (the protocol's rules over both). `store` keeps their records in a JetStream KV bucket; `sessions`,
`rooms`, `pairs` and `service` load, decide, commit and publish; `timers` consumes what expires.
"""
