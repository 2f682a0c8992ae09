"""What tokens admit whom to, and whose word that is: for gateways, and for presence where it looks itself.

Only `key_server`, which fetches keys, does any I/O. How tokens are made is in `tieline.tokens`.
"""
