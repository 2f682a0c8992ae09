"""Bytes that nobody meant, for everything that reads bytes of others: clients, the broker, neighbours on it.

`targets.py` has what reads them and what must hold, `mutations.py` how they are made, `corpus/` those that a
longer search has found to go ways of their own, a folder a target. Beside them, what is read or answered in
two ways is compared. What must hold for bytes that are meant is in tests/unit, beside each reader's other
tests.
"""
