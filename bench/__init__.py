"""`python -m bench`: Tieline beside two references, measured in one run on one machine.

Only ratios within one interleaved round count, because machines drift. The load itself is
`tieline.load`; here are the references (`echo`, `handrolled`), how each system is started and ended
(`systems`), the order of the measurements (`rounds`) and what is printed (`table`).
"""
