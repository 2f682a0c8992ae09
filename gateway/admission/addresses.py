"""Where a client comes from, also behind proxies. Pure.

A proxy appends the address that it was called from to `X-Forwarded-For`; what stands before that may be
invented by the client. So the list is read from its end, and only as far as the proxies are our own.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from tieline.runtime.settings import SettingsError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_WITH_PORT: Final = re.compile(r"(?:([0-9.]+)|\[([^\[\]]+)\]):[0-9]+")
"""As some proxies write it."""

SITE_BITS: Final = 64
"""Of an IPv6 address: the rest belongs to one customer, and any of it may be used."""


def read_networks(variable: str, value: str) -> tuple[Network, ...]:
    """Read the addresses and networks that a setting lists with commas between them.

    Raises:
        SettingsError: one of them is none; the text names `variable`.
    """
    networks = []
    for part in value.split(","):
        if text := part.strip():
            try:
                networks.append(ipaddress.ip_network(text))
            except ValueError as problem:
                raise SettingsError(f"{variable}: {text!r} is no address or network: {problem}") from None
    return tuple(networks)


def client_address(peer: str, forwarded: Sequence[str], trusted: Sequence[Network]) -> str:
    """Find out where a client comes from.

    `peer` is where the connection comes from, `forwarded` the values of `X-Forwarded-For`. Clients of one
    IPv6 site have one address here. What is no address, as that of a socket in the file system, is `peer`.
    """
    hops = [peer, *(hop.strip() for value in reversed(forwarded) for hop in reversed(value.split(",")))]
    nearest = address = _read(peer)
    for hop in hops:
        address = _read(hop)
        if address is None:
            break
        nearest = address
        if not any(address in network for network in trusted):
            break
    return peer if nearest is None else _site(nearest)


def _read(text: str) -> Address | None:
    with_port = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address(
            (with_port[1] or with_port[2]) if with_port else text.partition("%")[0]
        )
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _site(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, SITE_BITS), strict=False))
