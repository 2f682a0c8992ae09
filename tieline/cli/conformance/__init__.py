"""`tieline conformance`: scripted servers that test a client in any language (docs/conformance.md).

`promises` is what a client is held to; `scenarios` and `talking` are what the servers do. A `Stage` (`stage`)
is one scenario: a server with its connections (`line`), and the client's driver, a process (`driver`). None
of Tieline's services runs here: the servers say what the structs of `tieline.wire` make.
"""
