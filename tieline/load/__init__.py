"""A load generator cheap enough to share two cores with the system that it measures.

Bytes (`frames`), one WebSocket (`connection`), one user on it (`client`), two users in a call (`pairs`), the
messages that are sent (`messages`), and six loads: the closed loop (`relay`), the open loop (`open_loop`, at
the moments of `schedule`, woken by `timer`), whole calls (`calls`), arrivals (`arrivals`), idle sessions
(`idle`) and sessions that lose their gateway (`storm`). A `measurement` collects what they find: `latencies`,
`faults`, and what `processes` use; `figures` is the sum of it. Used by `tieline bench` and by `bench/`; it
imports neither.
"""
