"""A model of gateway, router, presence and mailbox that crash and retry, explored to its last state.

`scenario` says who wants to say what to whom, and judges with presence's own code; `design` says what may be
built in one way or another, wrongly too; `client` and `side` are the two halves of a state; `system` puts
them together; `explore` visits everything. `python -m model` runs it; the README says what it proves.
"""
