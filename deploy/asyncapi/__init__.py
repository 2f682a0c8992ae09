"""The AsyncAPI 3 document of the client protocol, docs/asyncapi.json, from the structs of `tieline.wire`.

`schemas` reads what a struct is, `document` puts the document together. It is written by
`python -m deploy.asyncapi`; the words of the protocol are docs/protocol.md.
"""
