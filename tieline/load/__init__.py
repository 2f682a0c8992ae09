"""A load generator cheap enough to share two cores with what it measures.

Bytes (`frames`), one WebSocket (`connection`), what may arrive on it (`client`), the messages (`letters`),
and three loads: the closed-loop relay (`relay`), whole calls (`calls`), idle sessions (`idle`). What was
measured is summed up by `figures`, and `processes` reads what it cost. `tieline bench` and `bench/` use it.
"""
