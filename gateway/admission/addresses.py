"""Where a client comes from, also behind proxies. Pure.

A proxy appends the address that it was called from to `X-Forwarded-For`; what stands before that may be
invented by the client. So the list is read from its end, and only as far as the proxies are our own.
"""

import functools
import ipaddress
import re
from collections.abc import Sequence
from itertools import chain, islice
from typing import Final

from tieline.runtime.settings import SettingsError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

PRIVATE: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("::1/128", "fc00::/7", "fe80::/10"),
    )
)
"""Networks that the Internet does not carry (RFC 6890). A balancer that is not named as trusted is in one
of them, and so is whatever translates addresses for clients of the same house."""

_WITH_PORT: Final = re.compile(r"(?:([0-9.]+)|\[([^\[\]]+)\]):[0-9]+")
"""As some proxies write it."""

MOST_HOPS: Final = 32
"""Addresses of `X-Forwarded-For` that are looked at: more proxies of one's own than anybody has in a row."""

LONGEST_REMEMBERED: Final = 64
"""Characters of a text of which it is remembered what address it is: an IPv6 address with its port has 47."""

MOST_REMEMBERED: Final = 1_024
"""Such texts: one newcomer's address is read half a dozen times, and that of a proxy for each client."""

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

    `peer` is where the connection comes from, `forwarded` the values of `X-Forwarded-For`. What is no
    address, as that of a socket in the file system, is `peer`.
    """
    hops = (hop.strip() for value in reversed(forwarded) for hop in reversed(value.rsplit(",", MOST_HOPS)))
    nearest = address = _read(peer)
    for hop in chain((peer,), islice(hops, MOST_HOPS)):
        address = _read(hop)
        if address is None:
            break
        nearest = address
        if not any(address in network for network in trusted):
            break
    return peer if nearest is None else str(nearest)


def is_among(address: str, networks: Sequence[Network]) -> bool:
    """Whether an address belongs to one of these networks."""
    read = _read(address)
    return read is not None and any(read in network for network in networks)


@functools.lru_cache(MOST_REMEMBERED)
def _is_private(address: Address) -> bool:
    return any(address in network for network in PRIVATE)


def site_of(address: str) -> str:
    """Return what limits count an address as: one IPv6 site is one, for its addresses are free."""
    read = _read(address)
    return address if read is None else _site(read)


def is_private(address: str) -> bool:
    """Whether any number of clients may come from there, as it is a proxy, a bridge or a house."""
    read = _read(address)
    return not address or (read is not None and _is_private(read))


def _read(text: str) -> Address | None:
    return _parsed(text) if len(text) > LONGEST_REMEMBERED else _remembered(text)


@functools.lru_cache(MOST_REMEMBERED)
def _remembered(text: str) -> Address | None:
    return _parsed(text)


def _parsed(text: str) -> Address | None:
    with_port = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address(
            (with_port[1] or with_port[2]) if with_port else text.partition("%")[0]
        )
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


@functools.lru_cache(MOST_REMEMBERED)
def _site(address: Address) -> str:
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, SITE_BITS), strict=False))
