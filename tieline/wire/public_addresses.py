"""Which addresses events may be told to: those of the internet, and others where an operator says so. Pure.

Whoever may register an endpoint could else have a worker talk to what only the cluster reaches: a database,
a metadata service, the worker itself. What decides is the address to which a socket is about to connect
(`webhooks.sender`), never a name: a name may have another address a moment later. What can be seen to be
private as it is written is refused when it is registered.
"""

import re
import unicodedata
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import unquote

_NAT64: Final = IPv6Network("64:ff9b::/96")
"""Addresses that stand for those of IPv4: whoever translates them reaches what those reach."""

_INTERNET: Final = IPv6Network("2000::/3")
"""All that is given out of IPv6 so far."""

_PRIVATE_NAMES: Final = ("localhost", "local", "internal", "intranet", "lan", "home.arpa", "localdomain")
"""Ends of names that the internet has not: RFC 6761, 6762 and 8375, the one that ICANN keeps for private use,
and what local networks are called."""

_NUMBER: Final = re.compile(r"0x[0-9a-f]*|[0-9]+")
"""What stands at the end of an address of IPv4, in a form that libraries read, and of no name."""


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


def is_seen_to_be_private(host: str) -> bool:
    """Whether a host of a URL is none of the internet, as far as that can be seen without asking anybody.

    It is read as browsers and libraries do, who take `127.1`, `0x7f.1` and `2130706433` for addresses.
    """
    name = unicodedata.normalize("NFKC", unquote(host)).replace("。", ".").lower().removesuffix(".")
    if ":" in name:
        return not is_public(name)
    labels = name.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        address = _as_ipv4(labels)
        return address is None or not _is_public(address)
    return len(labels) == 1 or any(name == each or name.endswith(f".{each}") for each in _PRIVATE_NAMES)


def _as_ipv4(parts: list[str]) -> IPv4Address | None:
    """Read an address of one to four numbers, decimal, octal or hexadecimal; the last fills what is left."""
    numbers = [_number(part) for part in parts]
    *firsts, last = (-1 if number is None else number for number in numbers)
    if len(numbers) > 4 or not all(0 <= first < 256 for first in firsts):
        return None
    if not 0 <= last < 256 ** (4 - len(firsts)):
        return None
    return IPv4Address(last + sum(first << 8 * (3 - at) for at, first in enumerate(firsts)))


def _number(text: str) -> int | None:
    if not _NUMBER.fullmatch(text):
        return None
    if text.startswith("0x"):
        return int(text[2:] or "0", 16)
    is_octal = len(text) > 1 and text.startswith("0")
    try:
        return int(text, 8 if is_octal else 10)
    except ValueError:
        return None
