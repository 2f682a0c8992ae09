"""RFC 6455 as a table: what a server must take, and must refuse, byte for byte, each with its section.

All on one gateway over raw sockets. Where the RFC leaves a choice, the table says what is chosen here. What a
refusal looks like and whom it harms is in `test_hostile` and `test_connecting`.
"""

import base64
import json
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlencode

import pytest

from tests.support.frames import command, new_id, token
from tests.support.http_get import HOST
from tests.support.people import People
from tests.support.raw_client import CUT, NO_CODE, Ended, Frame, Opcode, RawClient, frame, upgrade

pytestmark = pytest.mark.parametrize("system", ["one"], indirect=True)

TEXT, MORE, BINARY = Opcode.TEXT, Opcode.CONTINUATION, Opcode.BINARY
PING, PONG, CLOSE = Opcode.PING, Opcode.PONG, Opcode.CLOSE

ASKED: Final = "asked"
MESSAGE: Final = command("PING", {"a": "é用😀"}, ASKED)
"""It is answered at once; its text has characters of one, two, three and four bytes."""
ANSWERED: Final = "PONG"
BIG: Final = 65_536
"""Bytes that a message may have."""


class Case(NamedTuple):
    """What a client sends once it is welcomed, and what comes of it."""

    section: str
    what: str
    sent: Sequence[bytes]
    """Each in a segment of its own, as far as TCP lets them be."""
    heard: Sequence[Frame | str] = ()
    """Frames, or `ANSWERED` for the reply to `MESSAGE`."""
    closes: int | None = None
    """The code with which the connection ends; None: it goes on."""


def close(code: int, reason: bytes = b"") -> bytes:
    return frame(CLOSE, code.to_bytes(2, "big") + reason)


def sized(opcode: int, payload: bytes, form: int) -> bytes:
    """Write a frame whose length stands in 2 or 8 bytes, though it may fit into fewer."""
    mark = 126 if form == 2 else 127
    return bytes((0x80 | opcode, 0x80 | mark)) + len(payload).to_bytes(form, "big") + bytes(4) + payload


def masked_with(key: bytes, payload: bytes) -> bytes:
    """Write a short text frame with a key of one's own."""
    body = bytes(byte ^ key[place % 4] for place, byte in enumerate(payload))
    return bytes((0x81, 0x80 | len(payload))) + key + body


def padded(size: int) -> bytes:
    """Write a message of so many bytes."""
    empty = command("PING", {"x": ""}, ASKED)
    return command("PING", {"x": "x" * (size - len(empty))}, ASKED)


def segments(data: bytes, size: int) -> Sequence[bytes]:
    """Cut what is sent into segments of so many bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def in_two(message: bytes) -> Iterator[tuple[int, Sequence[bytes]]]:
    """Cut a message into two fragments at each place."""
    for place in range(len(message) + 1):
        yield place, (frame(TEXT, message[:place], fin=False), frame(MORE, message[place:]))


# Section 5.1: a client masks what it sends.
MASKING = [
    Case("5.1", f"{what} without a mask", [frame(opcode, payload, masked=False)], closes=1002)
    for what, opcode, payload in (
        ("text", TEXT, MESSAGE),
        ("a ping", PING, b""),
        ("a pong", PONG, b""),
        ("a close", CLOSE, b"\x03\xe8"),
        ("an empty text", TEXT, b""),
    )
] + [
    Case("5.3", f"the masking key {key.hex()}", [masked_with(key, MESSAGE)], [ANSWERED])
    for key in (bytes(4), b"\xff" * 4, b"\x00\x00\x00\x01", b"{}\x81\x88")
]

# Section 5.2: reserved bits and opcodes, and the three forms of a length.
BASE_FRAMING = [
    *(
        Case(
            "5.2", f"reserved bits {bits:03b} in {what}", [frame(opcode, payload, reserved=bits)], closes=1002
        )
        for bits in (4, 2, 1, 7)
        for what, opcode, payload in (("text", TEXT, MESSAGE), ("a ping", PING, b""), ("a close", CLOSE, b""))
    ),
    *(
        Case("5.2", f"reserved opcode {opcode:#x}", [frame(opcode, b"")], closes=1002)
        for opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF)
    ),
    *(
        Case("5.2", f"a text of {size} bytes", [frame(TEXT, padded(size))], [ANSWERED])
        for size in (125, 126, 127, 128, BIG - 1, BIG)
    ),
    Case("5.2", "a text of more than is taken", [frame(TEXT, padded(BIG + 1))], closes=1009),
    Case("5.2", "a length with the highest bit", [b"\x81\xff\x80" + bytes(7) + b"mask"], closes=1009),
    *(
        Case(
            "5.2", f"{len(payload)} bytes of {what}, which is said in {form}", [*before, frame_], closes=1002
        )
        for before, what, opcode, payload, form in (
            *(((), "text", TEXT, MESSAGE, form) for form in (2, 8)),
            *(((), "a ping", PING, b"x" * size, form) for size in (0, 125) for form in (2, 8)),
            *(((), "a pong", PONG, b"", form) for form in (2, 8)),
            *(((), "a close", CLOSE, b"\x03\xe8", form) for form in (2, 8)),
            ((), "text", TEXT, padded(126), 8),
            ((), "text", TEXT, padded(65_535), 8),
            ([frame(TEXT, b"{", fin=False)], "a continuation", MORE, b"}", 2),
            ([frame(TEXT, b"{", fin=False)], "a ping between fragments", PING, b"", 8),
        )
        for frame_ in [sized(opcode, payload, form)]
    ),
    Case("5.2", "a long length in two bytes", [sized(TEXT, padded(126), 2)], [ANSWERED]),
    Case("5.2", "the longest length in eight bytes", [sized(TEXT, padded(BIG), 8)], [ANSWERED]),
    *(
        Case("5.2", f"a frame in segments of {size}", segments(frame(TEXT, MESSAGE), size), [ANSWERED])
        for size in (1, 3, 7)
    ),
    Case("5.2", "many frames in one segment", [frame(TEXT, MESSAGE) * 9], [ANSWERED] * 9),
    Case("5.6", "a binary message", [frame(BINARY, MESSAGE)], closes=1003),
    Case("5.6", "a binary message in fragments", [frame(BINARY, b"", fin=False)], closes=1003),
]

# Section 5.4: fragments.
FRAGMENTS = [
    Case(
        "5.4", "a message in two", [frame(TEXT, MESSAGE[:9], fin=False), frame(MORE, MESSAGE[9:])], [ANSWERED]
    ),
    Case(
        "5.4",
        "a message in fragments of one byte",
        [
            frame(TEXT, b"", fin=False),
            *(frame(MORE, bytes((byte,)), fin=False) for byte in MESSAGE),
            frame(MORE, b""),
        ],
        [ANSWERED],
    ),
    Case(
        "5.4",
        "empty fragments in between",
        [
            frame(TEXT, MESSAGE[:5], fin=False),
            frame(MORE, b"", fin=False) * 20,
            frame(MORE, MESSAGE[5:], fin=False),
            frame(MORE, b""),
        ],
        [ANSWERED],
    ),
    Case(
        "5.4",
        "control frames in between",
        [
            frame(TEXT, MESSAGE[:5], fin=False),
            frame(PING, b"one"),
            frame(PONG, b"nobody asked"),
            frame(MORE, MESSAGE[5:9], fin=False),
            frame(PING, b"two"),
            frame(MORE, MESSAGE[9:]),
        ],
        [Frame(PONG, b"one"), Frame(PONG, b"two"), ANSWERED],
    ),
    Case(
        "5.4",
        "control frames just before the end of the longest message",
        [
            frame(TEXT, padded(BIG)[:-1], fin=False),
            frame(PING, b"one"),
            frame(PONG, b"nobody asked"),
            frame(MORE, padded(BIG)[-1:]),
        ],
        [Frame(PONG, b"one"), ANSWERED],
    ),
    Case("5.4", "a close in between", [frame(TEXT, b"{", fin=False), close(1000)], closes=1000),
    Case("5.4", "a continuation of nothing", [frame(MORE, MESSAGE)], closes=1002),
    Case("5.4", "a continuation of nothing, to go on", [frame(MORE, b"", fin=False)], closes=1002),
    Case(
        "5.4",
        "a continuation of a message that is whole",
        [frame(TEXT, MESSAGE) + frame(MORE, b"")],
        [ANSWERED],
        closes=1002,
    ),
    Case("5.4", "a text inside a text", [frame(TEXT, b"{", fin=False) + frame(TEXT, MESSAGE)], closes=1002),
    Case("5.4", "a binary inside a text", [frame(TEXT, b"{", fin=False) + frame(BINARY, b"")], closes=1002),
    Case(
        "5.4",
        "reserved bits in a continuation",
        [frame(TEXT, b"{", fin=False) + frame(MORE, b"}", reserved=4)],
        closes=1002,
    ),
    Case(
        "5.4",
        "fragments that are too much together",
        [frame(TEXT, b" " * (BIG // 2), fin=False), frame(MORE, b" " * (BIG // 2 + 1), fin=False)],
        closes=1009,
    ),
]

# Section 5.5: control frames.
CONTROL = [
    *(
        Case("5.5", f"{what} in fragments", [frame(opcode, b"", fin=False)], closes=1002)
        for what, opcode in (("a ping", PING), ("a pong", PONG), ("a close", CLOSE))
    ),
    *(
        Case("5.5", f"{what} of 126 bytes", [frame(opcode, b"\x03\xe8".ljust(126))], closes=1002)
        for what, opcode in (("a ping", PING), ("a pong", PONG), ("a close", CLOSE))
    ),
    Case(
        "5.5",
        "a long ping inside a message",
        [frame(TEXT, b"{", fin=False) + frame(PING, b"x" * 126)],
        closes=1002,
    ),
    *(
        Case("5.5.2", f"a ping of {len(payload)} bytes", [frame(PING, payload)], [Frame(PONG, payload)])
        for payload in (b"", b"x", b"\x00\xff\xfe", b"x" * 125)
    ),
    Case(
        "5.5.2",
        "pings, one after the other",
        [frame(PING, b"1") + frame(PING, b"2") + frame(PING, b"3")],
        [Frame(PONG, b"1"), Frame(PONG, b"2"), Frame(PONG, b"3")],
    ),
    Case("5.5.2", "a ping in segments", [b"\x89", b"\x81", b"\0\0\0\0", b"x"], [Frame(PONG, b"x")]),
    Case("5.5.3", "a pong that nobody asked for", [frame(PONG, b"here"), frame(TEXT, MESSAGE)], [ANSWERED]),
]

# Section 7.4: close codes.
TAKEN = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999)
NEVER_SENT = (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 9999, 65_535)
CLOSES = [
    *(Case("7.4.1", f"the close code {code}", [close(code)], closes=code) for code in TAKEN),
    *(Case("7.4.2", f"the close code {code}", [close(code)], closes=1002) for code in NEVER_SENT),
    Case("7.1.5", "a close without a code", [frame(CLOSE, b"")], closes=NO_CODE),
    Case("5.5.1", "half a close code", [frame(CLOSE, b"\x03")], closes=1002),
    Case("5.5.1", "a reason", [close(1000, "再见".encode())], closes=1000),
    Case("5.5.1", "a reason of 123 bytes", [close(1000, b"x" * 123)], closes=1000),
    Case("5.5.1", "a reason of 124 bytes", [close(1000, b"x" * 124)], closes=1002),
    *(
        Case("8.1", f"a reason with {what}", [close(1000, b"bye " + data)], closes=1007)
        for what, data in (
            ("a stray byte", b"\xff"),
            ("half a character", b"\xe7\x94"),
            ("an overlong slash", b"\xc0\xaf"),
            ("a surrogate", b"\xed\xa0\x80"),
        )
    ),
    Case("5.5.1", "a message behind a close", [close(1000) + frame(TEXT, MESSAGE)], closes=1000),
    Case("5.5.1", "a ping behind a close", [close(1000) + frame(PING, b"x")], closes=1000),
    Case("5.5.1", "a close behind a close", [close(1001) + close(1000)], closes=1001),
    Case("5.5.1", "rubbish behind a close", [close(1000) + b"\xff" * 500], closes=1000),
    Case(
        "7.1.7", "a message behind what broke the rules", [frame(3, b"") + frame(TEXT, MESSAGE)], closes=1002
    ),
    Case("1.4", "a message before a close", [frame(TEXT, MESSAGE) + close(1000)], [ANSWERED], closes=1000),
]

# Section 8.1: text is UTF-8, over fragments and segments.
TEXTS = [
    *(
        Case("8.1", f"characters cut at byte {place}", fragments, [ANSWERED])
        for place, fragments in in_two(MESSAGE)
        if place >= MESSAGE.index("é".encode()) and place <= MESSAGE.index("😀".encode()) + 4
    ),
    *(
        Case("8.1", f"text with {what}", [frame(TEXT, b'{"requestId":"' + data + b'"}')], closes=1007)
        for what, data in (
            ("a stray byte", b"\xff"),
            ("a continuation alone", b"\x80"),
            ("two bytes of three", b"\xe7\x94"),
            ("three bytes of four", b"\xf0\x9f\x98"),
            ("an overlong slash", b"\xc0\xaf"),
            ("an overlong zero", b"\xe0\x80\x80"),
            ("an overlong character of four", b"\xf0\x80\x80\x80"),
            ("a surrogate", b"\xed\xa0\x80"),
            ("a pair of surrogates", b"\xed\xa0\xbd\xed\xb8\x80"),
            ("what lies behind Unicode", b"\xf4\x90\x80\x80"),
            ("a character of five bytes", b"\xf8\x88\x80\x80\x80"),
        )
    ),
    *(
        Case(
            "8.1",
            f"text that ends within a character, {len(end)} of 4",
            [frame(TEXT, MESSAGE[:9], fin=False), frame(MORE, end)],
            closes=1007,
        )
        for end in (b"\xf0", b"\xf0\x9f", b"\xf0\x9f\x98")
    ),
    Case(
        "8.1",
        "half a character in each of two messages",
        [frame(TEXT, b"\xc3") + frame(TEXT, b"\xa9")],
        closes=1007,
    ),
]

CASES = [*MASKING, *BASE_FRAMING, *FRAGMENTS, *CONTROL, *CLOSES, *TEXTS]


async def welcomed(people: People) -> RawClient:
    client = await RawClient.open(people.ports[0], f"/ws?{urlencode({'token': token(new_id('client'))})}")
    assert json.loads(await client.receive())["cmd"] == "WELCOME"
    return client


async def hears(client: RawClient, expected: Frame | str) -> None:
    heard = await client.receive_frame()
    if isinstance(expected, Frame):
        assert heard == expected
    else:
        said = json.loads(heard.payload)
        assert (heard.opcode, said["cmd"], said["requestId"]) == (TEXT, expected, ASKED)


@pytest.mark.parametrize("case", CASES, ids=[f"{case.section} {case.what}" for case in CASES])
async def test_a_server_does_as_the_rfc_has_it(case: Case, people: People) -> None:
    client = await welcomed(people)
    try:
        for segment in case.sent:
            client.write(segment)
            await client.flush()
        for expected in case.heard:
            await hears(client, expected)
        if case.closes is None:
            client.send(MESSAGE)
            await hears(client, ANSWERED)
        else:
            with pytest.raises(Ended) as end:
                await client.receive_frame()
            assert end.value.code == case.closes
    finally:
        await client.drop()


# Section 7: the close handshake, from either end.


async def test_7_1_1_the_server_closes_tcp_first(people: People) -> None:
    client = await welcomed(people)
    client.write(close(1000))
    with pytest.raises(Ended) as end:  # after the end of the stream: we have closed nothing
        await client.receive_frame()
    assert (end.value.code, end.value.reason) == (1000, "")
    await client.drop()


async def test_7_1_2_the_server_begins_and_waits_for_the_answer(people: People) -> None:
    user = new_id("client")
    older, newer = [
        await RawClient.open(people.ports[0], f"/ws?{urlencode({'token': token(user)})}") for _ in range(2)
    ]
    await older.receive()
    with pytest.raises(Ended) as end:  # it answers, and reads to the end of the stream
        await older.receive_frame()
    assert (end.value.code, end.value.reason) == (4500, "replaced by a newer connection")
    await newer.drop()


async def test_7_1_5_a_stream_that_just_ends_is_an_end(people: People) -> None:
    client = await welcomed(people)
    client.write(frame(TEXT, MESSAGE)[:5])
    client.write_end()
    assert (await client.ended()).code == CUT
    await client.drop()


# Section 4.2: the server's part of the opening handshake.

KEY = ("Sec-WebSocket-Key", base64.b64encode(b"0123456789abcdef").decode())


class Opening(NamedTuple):
    """A request to upgrade, and its answer."""

    section: str
    what: str
    request: bytes
    status: int = 101
    reason: str = ""


def asked(
    *headers: tuple[str, str],
    without: Sequence[str] = (),
    method: str = "GET",
    version: str = "1.1",
    target: str = "/ws",
) -> bytes:
    """Write a request with a good token, but for `headers` and what is left out."""
    good = ("Authorization", f"Bearer {token(new_id('client'))}")
    written = upgrade(target, (good, *headers), without=without, method=method)
    return written.replace(b" HTTP/1.1\r\n", f" HTTP/{version}\r\n".encode(), 1)


def instead(name: str, *values: str) -> bytes:
    """Write a request with these values of a header instead of the usual one."""
    lines = b"".join(f"{name}: {value}\r\n".encode() for value in values)
    return asked(without=(name.lower(),)).removesuffix(b"\r\n") + lines + b"\r\n"


def in_small_letters(request: bytes) -> bytes:
    """Write the names of all headers so."""
    line, *headers = request.split(b"\r\n")
    names = [header.partition(b":") for header in headers]
    return b"\r\n".join([line, *(name.lower() + colon + value for name, colon, value in names)])


OPENINGS = [
    Opening("4.2.1", "as it should be", asked()),
    Opening("4.2.1", "an absolute target", asked(target=f"http://{HOST}/ws")),
    Opening("4.2.1", "another method", asked(method="POST"), 400, "MALFORMED"),
    Opening("4.2.1", "HTTP/1.0", asked(version="1.0"), 400, "MALFORMED"),
    Opening("4.2.1", "no Host", asked(without=("host",)), 400, "MALFORMED"),
    Opening("4.2.1", "two Host lines", asked(("Host", HOST)), 400, "MALFORMED"),
    Opening("4.2.1", "no Upgrade", asked(without=("upgrade",)), 426, "UPGRADE_REQUIRED"),
    Opening("4.2.1", "Upgrade to something else", instead("Upgrade", "h2c"), 426, "UPGRADE_REQUIRED"),
    Opening("4.2.1", "Upgrade in other letters", instead("Upgrade", "WebSocket")),
    Opening("4.2.1", "no Connection", asked(without=("connection",)), 426, "UPGRADE_REQUIRED"),
    Opening("4.2.1", "Connection: close", instead("Connection", "close"), 426, "UPGRADE_REQUIRED"),
    Opening("4.2.1", "a Connection that lists more", instead("Connection", "keep-alive, upgrade")),
    Opening("4.2.1", "two Connection lines", instead("Connection", "keep-alive", "Upgrade")),
    Opening("4.2.1", "no key", asked(without=("sec-websocket-key",)), 400, "MALFORMED"),
    Opening("4.2.1", "two keys", asked(KEY), 400, "MALFORMED"),
    *(
        Opening("4.2.1", f"the key {key!r}", instead("Sec-WebSocket-Key", key), 400, "MALFORMED")
        for key in (
            "",
            "AAAAAAAAAAAAAAAAAAAA",  # of 15 bytes
            "AAAAAAAAAAAAAAAAAAAAAAA=",  # of 17
            "not base64 at all, no!!!",
        )
    ),
    Opening("4.2.1", "no version", asked(without=("sec-websocket-version",)), 400, "MALFORMED"),
    Opening("11.3.5", "two versions", asked(("Sec-WebSocket-Version", "13")), 400, "MALFORMED"),
    *(
        Opening("4.2.2", f"the version {text!r}", instead("Sec-WebSocket-Version", text), 400, "MALFORMED")
        for text in ("0", "7", "8", "12", "14", "255", "thirteen", "13, 12", "-13")
    ),
    Opening("4.2.1", "headers in other letters", in_small_letters(asked())),
    Opening("4.1", "a frame with the request", asked() + frame(TEXT, MESSAGE), 400, "MALFORMED"),
    Opening("9.1", "extensions", asked(("Sec-WebSocket-Extensions", "permessage-deflate; x=1, y"))),
    Opening("9.1", "extensions that cannot be read", asked(("Sec-WebSocket-Extensions", "=;"))),
    Opening("4.2.1", "a subprotocol", asked(("Sec-WebSocket-Protocol", "chat, tieline.v1"))),
    Opening("4.2.1", "subprotocols of others", asked(("Sec-WebSocket-Protocol", "chat"))),
]


@pytest.mark.parametrize(
    "opening", OPENINGS, ids=[f"{opening.section} {opening.what}" for opening in OPENINGS]
)
async def test_a_request_is_answered_as_the_rfc_has_it(opening: Opening, people: People) -> None:
    client = await RawClient.dial(people.ports[0])
    try:
        client.write(opening.request)
        answer = await client.read_answer()
        assert answer.status == opening.status
        if opening.status == 101:
            assert answer.headers["upgrade"].lower() == "websocket"
            assert answer.headers["connection"].lower() == "upgrade"
            assert "sec-websocket-extensions" not in answer.headers
            offered = b"tieline.v1" in opening.request
            assert answer.headers.get("sec-websocket-protocol") == ("tieline.v1" if offered else None)
        else:
            assert json.loads(answer.body)["reason"] == opening.reason
            assert answer.headers["sec-websocket-version"] == "13"  # section 4.4: what is spoken here
    finally:
        await client.drop()
