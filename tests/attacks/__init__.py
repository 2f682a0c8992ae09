"""Attacks on the running system, each while others talk: `make attack`, `make bench-attacks`, the tests here.

An attack is one row of `rows.py`: a function of one of the modules `on_*.py`, with a name and a sentence. The
system is a `tieline dev` with its default settings (`arena.py`), the honest are a process of their own
(`honest.py`), the attackers another one, which yields to both (`attacking.py`). What must hold whatever is
done is in `verdict.py`. The page for people is docs/attacks.md.
"""
