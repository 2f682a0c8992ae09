"""`python -m bench`: Tieline beside other relays, measured in one run on one machine.

Only ratios within one interleaved round are compared, because the speed of a machine changes with time. The
loads themselves are `tieline.load`, those of `tieline bench`. Here are the references (`echo`, `handrolled`,
`socketio/`), the start and end of each system (`systems`), what all commands have in common (`command`), the
order of the measurements (`rounds`), the death of a gateway (`losses`) and the printed tables (`table`).

`storm` is a benchmark of its own: that death while others talk. `guard` measures this tree beside the last
release (`release_tree`), and says what became slower (`comparison`). `curves` measures systems that grow,
with `bucket`, `cluster` and `crowd`.
"""
