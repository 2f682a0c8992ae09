"""Presence: who is where, and who negotiates with whom. Any number of processes, no memory that matters.

What is decided stands in `rules`, pure functions over records; `changes` is the loop that reads a record,
asks a rule, commits by compare-and-set and has `effects` tell the others; `targets` are the records that it
changes. `operations` says which rule decides which request. `store` is the port behind which the records are,
`bucket` the JetStream KV bucket that has them; `timers` consumes what expires, `gateways` looks after the
sessions of a gateway that died.
"""
