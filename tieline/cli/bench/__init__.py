"""`tieline bench`: measure a Tieline that already runs, wherever that is. The loads are `tieline.load`.

`options` says what can be asked for, `runs` makes measurements of it, `command` does one after the other,
`progress` shows how far they are, and `report` and `picture` what was found. To compare systems or versions,
`python -m bench` measures them alternately with the same loads.
"""
