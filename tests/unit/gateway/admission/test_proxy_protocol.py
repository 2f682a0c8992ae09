"""The header of a proxy, whole, in pieces, and broken."""

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admission.proxy_protocol import LONGEST_BODY, LONGEST_LINE, BadHeader, Header, read_header

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
REQUEST = b"GET /ws HTTP/1.1\r\n"


def binary(command: int = 0x21, family: int = 0x11, body: bytes = b"", size: int | None = None) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(body) if size is None else size) + body


def addresses(source: str, destination: str) -> bytes:
    ends = (ipaddress.ip_address(text).packed for text in (source, destination))
    return b"".join(ends) + struct.pack("!HH", 50_000, 8080)


IPV4 = addresses("203.0.113.7", "10.0.0.1")
IPV6 = addresses("2001:db8::7", "2001:db8::1")
REMARK = b"\x04\x00\x03abc"


@pytest.mark.parametrize(
    ("header", "source"),
    [
        (b"PROXY TCP4 203.0.113.7 10.0.0.1 50000 8080\r\n", "203.0.113.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 50000 8080\r\n", "2001:db8::7"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 ffff::1 65535 65535\r\n", None),
        (binary(body=IPV4), "203.0.113.7"),
        (binary(body=IPV4 + REMARK), "203.0.113.7"),
        (binary(family=0x12, body=IPV4), "203.0.113.7"),
        (binary(family=0x21, body=IPV6), "2001:db8::7"),
        (binary(family=0x21, body=IPV6 + REMARK), "2001:db8::7"),
        (binary(family=0x31, body=b"/" * 216), None),
        (binary(family=0x00), None),
        (binary(family=0x00, body=REMARK), None),
        (binary(command=0x20, family=0x00), None),
        (binary(command=0x20, body=IPV4), None),
        (binary(body=IPV4 + b"x" * (LONGEST_BODY - len(IPV4))), "203.0.113.7"),
    ],
)
def test_a_header_says_where_the_client_comes_from_and_ends(header: bytes, source: str | None) -> None:
    assert read_header(header + REQUEST) == Header(source, len(header))
    assert read_header(header) == Header(source, len(header))
    for end in range(len(header)):
        assert read_header(header[:end]) is None


@pytest.mark.parametrize(
    "data",
    [
        REQUEST,
        b"\x16\x03\x01",
        b"PROXIES",
        b"PROXY TCP4 203.0.113.7 10.0.0.1 50000\r\n",
        b"PROXY TCP4 nonsense 10.0.0.1 50000 8080\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 50000 8080\r\n",
        b"PROXY TCP6 203.0.113.7 10.0.0.1 50000 8080\r\n",
        b"PROXY TCP4 \xff 10.0.0.1 50000 8080\r\n",
        b"PROXY UDP4 203.0.113.7 10.0.0.1 50000 8080\r\n",
        b"PROXY " + b"x" * LONGEST_LINE,
        b"\r\n\r\n\x00\r\nQUIT!",
        binary(command=0x11, body=IPV4),
        binary(command=0x22, body=IPV4),
        binary(family=0x41, body=IPV6),
        binary(body=IPV4[:-1]),
        binary(family=0x21, body=IPV4),
        binary(family=0x31, body=IPV6),
        binary(size=LONGEST_BODY + 1),
    ],
)
def test_anything_else_is_no_header(data: bytes) -> None:
    with pytest.raises(BadHeader):
        read_header(data)


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=60).map(SIGNATURE.__add__)))
def test_whatever_comes_is_read_awaited_or_refused(data: bytes) -> None:
    try:
        header = read_header(data)
    except BadHeader:
        return
    assert header is None or header.size <= len(data)
