"""A load generator cheap enough to share two cores with the system that it measures.

Bytes (`frames`), one WebSocket (`connection`), one user on it (`client`), the messages that are sent
(`messages`), and three loads: the closed-loop relay (`relay`), whole calls (`calls`), idle sessions (`idle`).
`faults` counts what goes wrong, `figures` sums up, and `processes` reads CPU time and memory. Used by
`tieline bench` and by `bench/`; it imports neither.
"""
