"""Read the header by which a proxy that knows nothing of HTTP says where a client comes from. Pure.

It is the PROXY protocol of HAProxy, versions 1 (a line of text) and 2 (binary), which TCP balancers speak.
"""

import ipaddress
from typing import Final, NamedTuple

LONGEST_LINE: Final = 107
"""Bytes of a header of version 1, by its specification."""

LONGEST_BODY: Final = 2048
"""Bytes that follow the 16 of version 2, the proxy's remarks included: ten times what big clouds send."""

_LINE: Final = b"PROXY "
_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED: Final = 16
_LOCAL, _PROXY = 0, 1
_IPV4, _IPV6, _UNIX = 1, 2, 3
_SIZES: Final = {_IPV4: 12, _IPV6: 36, _UNIX: 216}
"""Of the addresses and ports of both ends."""


class BadHeader(Exception):
    """What came is no such header."""


class Header(NamedTuple):
    """What a proxy says of one connection."""

    source: str | None
    """Where the client comes from; None: the proxy itself asks, or does not know."""
    size: int
    """Bytes that the header takes of what was read."""


def read_header(data: bytes) -> Header | None:
    """Read the header that `data` begins with; None: more of it has to come.

    Raises:
        BadHeader: it begins with something else.
    """
    if data[: len(_SIGNATURE)] == _SIGNATURE[: len(data)]:
        return _read_binary(data)
    if data[: len(_LINE)] == _LINE[: len(data)]:
        return _read_line(data)
    raise BadHeader


def _read_line(data: bytes) -> Header | None:
    end = data.find(b"\r\n", 0, LONGEST_LINE) + 2
    if end < 2:
        if len(data) >= LONGEST_LINE:
            raise BadHeader
        return None
    words = data[len(_LINE) : end - 2].split(b" ")
    if words[0] == b"UNKNOWN":
        return Header(None, end)
    if words[0] not in (b"TCP4", b"TCP6") or len(words) != 5:
        raise BadHeader
    try:
        source = ipaddress.ip_address(words[1].decode("ascii"))
    except ValueError:
        raise BadHeader from None
    if source.version != int(words[0][3:]):
        raise BadHeader
    return Header(str(source), end)


def _read_binary(data: bytes) -> Header | None:
    if len(data) < _FIXED:
        return None
    version, command = divmod(data[12], 16)
    family, size = data[13] >> 4, int.from_bytes(data[14:16], "big")
    if version != 2 or command not in (_LOCAL, _PROXY) or size > LONGEST_BODY:
        raise BadHeader
    end = _FIXED + size
    if len(data) < end:
        return None
    if command == _LOCAL or family == 0:
        return Header(None, end)
    if size < _SIZES.get(family, LONGEST_BODY + 1):
        raise BadHeader
    if family == _UNIX:
        return Header(None, end)
    width = 4 if family == _IPV4 else 16
    return Header(str(ipaddress.ip_address(data[_FIXED : _FIXED + width])), end)
