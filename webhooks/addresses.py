"""Which addresses events may be told to: those of the internet, and others where an operator says so. Pure.

Whoever may register an endpoint could else have a worker talk to what only the cluster reaches: a database,
a metadata service, the worker itself. What is judged is the address to which a socket is about to connect
(`webhooks.sender`), never a name: a name may have another address a moment later.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Addresses that stand for those of IPv4: whoever translates them reaches what those reach."""

_INTERNET: Final = IPv6Network("2000::/3")
"""All that is given out of IPv6 so far."""


def is_public(text: str) -> bool:
    """Whether an address, with the zone that it may have, is one of the internet."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return _is_public(address)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast
    if address in _NAT64:
        return _is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    if address.ipv4_mapped is not None:
        return _is_public(address.ipv4_mapped)
    if address.sixtofour is not None:
        return _is_public(address.sixtofour)
    return address in _INTERNET and address.is_global and address.teredo is None
