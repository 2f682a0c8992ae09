"""An upgrade request is read past the library as the library reads it: let in, or refused, for the same.

Requests are made of what clients write and of what nobody should, changed in a few places, and cut as a
network might. Each comes twice: to a gateway as it is, and to one that leaves all of them to the library.
"""

import itertools
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

import gateway.client.websocket
from gateway.admission.handshake import Admitted, Pending, judge
from gateway.admission.origins import Origins
from gateway.client.plain_request import MOST_LINES
from gateway.client.trickle import RESTS_S
from tests.fuzz.mutations import changed
from tests.support.examples import scaled, seeded
from tests.unit.gateway.client.alice import ALICE, JWT_SECRET
from tests.unit.gateway.client.harness import Harness, session
from tieline.runtime.request_head import HEAD_BYTES
from tieline.tokens import EVERY_ROOM, make_token
from tieline.verification.tokens import Tokens
from tieline.wire.codes import HandshakeError

EXAMPLES: Final = 1_500
"""In a whole run: some ten seconds. A soak has twenty times as many."""

TOKEN: Final = make_token(JWT_SECRET, ALICE, [EVERY_ROOM], ttl_s=365 * 86_400)
TOKENS: Final = Tokens(JWT_SECRET)
KEY: Final = "dGhlIHNhbXBsZSBub25jZQ=="

LINES: Final = (
    *["GET /ws?acks=1 HTTP/1.1"] * 60,
    f"GET /ws?token={TOKEN}&calls=1 HTTP/1.1",
    "GET /elsewhere HTTP/1.1",
    "GET http://gateway.example/ws HTTP/1.1",
    "GET //ws HTTP/1.1",
    "GET /ws?a=[ HTTP/1.1",
    "GET //[ HTTP/1.1",
    "GET /ws#there HTTP/1.1",
    "GET /%77s HTTP/1.1",
    "GET  /ws HTTP/1.1",
    "GET /ws\t HTTP/1.1",
    "GET /ws HTTP/1.0",
    "GET /ws HTTP/1.1 ",
    "GET /ws http/1.1",
    "get /ws HTTP/1.1",
    "POST /ws HTTP/1.1",
    "GET /ws\x7f HTTP/1.1",
    "GET /w\xe9 HTTP/1.1",
    "GET /ws",
    "",
)
USUAL: Final = (
    "Host: gateway.example",
    "Upgrade: websocket",
    "Connection: Upgrade",
    f"Sec-WebSocket-Key: {KEY}",
    "Sec-WebSocket-Version: 13",
    f"Authorization: Bearer {TOKEN}",
)
OTHERS: Final = (
    "host: gateway.example",
    "HOST : gateway.example",
    "Host: gateway.example:443, other",
    "Host:",
    "Upgrade: WebSocket",
    "upgrade:websocket",
    "Upgrade: websocket/13",
    "Upgrade: h2c, websocket",
    "Upgrade: websocket,",
    "Connection: keep-alive, Upgrade",
    "Connection: keep-alive,Upgrade",
    "Connection:  upgrade\t",
    "Connection: Upgrade, Upgrade",
    "Connection: close",
    "Connection: ,",
    f"Sec-WebSocket-Key: {KEY[:-2]}",
    f"Sec-WebSocket-Key: {KEY[:-3]}R==",
    f"Sec-WebSocket-Key: {KEY[:-4]}====",
    f"Sec-WebSocket-Key: {KEY}{KEY}",
    f"Sec-WebSocket-Key: {KEY[:10]} {KEY[10:]}",
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAA__==",
    "Sec-WebSocket-Version: 13, 8",
    "Sec-WebSocket-Version: 013",
    "Sec-WebSocket-Version: 8",
    "Sec-WebSocket-Protocol: tieline.v1",
    f"Sec-WebSocket-Protocol: tieline.v1, bearer.{TOKEN}",
    f"Sec-WebSocket-Protocol: tieline.v1,bearer.{TOKEN}",
    "Sec-WebSocket-Protocol: chat,, tieline.v1",
    "Sec-WebSocket-Protocol: tieline.v1 ; q=1",
    "Sec-WebSocket-Protocol: chat\u00e9",
    "Sec-WebSocket-Protocol:",
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
    "Sec-WebSocket-Extensions: ;;;=,",
    "Origin: https://gateway.example",
    "Origin: https://evil.example",
    "Origin: null",
    "Origin:",
    "Content-Length: 0",
    "content-length: 5",
    "Content-Length: +0",
    "Transfer-Encoding: chunked",
    "transfer-encoding : chunked",
    "Authorization: Basic abc",
    "Authorization: bearer bad",
    "X-Forwarded-For: 10.0.0.1, \xe9",
    "X: folded\r\n over lines",
    "X: a\rb",
    "X: a\nY: b",
    "X: \x00",
    "X\xe9: x",
    "no colon",
    ": no name",
    " Host: gateway.example",
    "X-Long: " + "x" * 9_000,
    "X-Longer: " + "x" * (HEAD_BYTES - 600),
    "\r\n".join(["X: x"] * (MOST_LINES - 6)),
    "\r\n".join(["X: x"] * 125),
    "Sec-WebSocket-Protocol: " + ", ".join(["a"] * 70),
)
BEHIND: Final = (
    *[b""] * 30,
    b"\r\n",
    b"\x81",
    b"\x81\x80",
    b"\x81\x85mask",
    Frame(Opcode.PING, b"early").serialize(mask=True),
    Frame(Opcode.TEXT, b"early").serialize(mask=True)[:-1],
    b"GET /ws HTTP/1.1\r\n",
    b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n",
)


class Outcome(NamedTuple):
    """What has come of a request."""

    said: bytes
    """What the client was answered before it was let in."""
    is_closing: bool
    requests: Sequence[object]
    verdict: object
    heard: bytes
    """What it was answered when it was let in, and sent a frame."""


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Write a request: mostly good but for a line or two."""
    lines = list(USUAL)
    for _ in range(draw(st.sampled_from((0, 0, 1, 1, 1, 2, 3, 4)))):
        at, line = draw(st.integers(0, len(lines))), draw(st.sampled_from(OTHERS))
        if draw(st.booleans()):
            lines.insert(at, line)
        elif lines:
            name = line.partition(":")[0].lower()
            same = [place for place, each in enumerate(lines) if each.lower().startswith(f"{name}:")]
            lines[same[0] if same else at % len(lines)] = line
    if draw(st.integers(0, 9)) == 0:
        del lines[draw(st.integers(0, len(lines) - 1))]
    ends = "\n" if draw(st.integers(0, 19)) == 0 else "\r\n"
    head = ends.join([draw(st.sampled_from(LINES)), *lines, "", ""])
    return head.encode("latin-1") + draw(st.sampled_from(BEHIND))


@st.composite
def cut(draw: st.DrawFn) -> list[bytes]:
    """Cut a request, which is changed now and then, into pieces."""
    data = draw(requests())
    if draw(st.integers(0, 4)) == 0:
        data = draw(changed([data]))
    places = sorted(draw(st.lists(st.integers(0, len(data)), max_size=3))) if draw(st.booleans()) else []
    ends = [0, *places, len(data)]
    return [data[start:end] for start, end in itertools.pairwise(ends) if start < end]


def come_of(pieces: Sequence[bytes]) -> Outcome:
    """Find what comes of a request that arrives in pieces, and of a ping behind it."""
    harness = Harness()
    for piece in pieces:
        harness.put(piece)
        harness.clock.advance(max(RESTS_S))  # for a socket that rests
        harness.arrive()
    requests: list[object] = []
    verdict: object = None
    for request, response in harness.requests:
        headers = [(name, value) for name, value in response.headers.raw_items() if name != "Date"]
        read = (request.method, request.path, request.protocol, list(request.headers.raw_items()))
        requests.append((read, response.status_code, headers if response.status_code == 101 else None))
        verdict = judge(request, response, TOKENS, Origins(), time.time())
        assert isinstance(verdict, Admitted | HandshakeError | Pending)
    said, heard, is_closing = harness.socket.taken(), b"", harness.socket.is_closing()
    if isinstance(verdict, Admitted) and not is_closing:
        ((_, response),) = harness.requests
        is_early = bool(harness.socket.arriving)  # what came meanwhile is read for frames now
        harness.connection.welcome(response, session(), b"WELCOME")
        harness.socket.taken()
        harness.put(Frame(Opcode.PING, b"there?").serialize(mask=True))
        heard = harness.socket.taken()
        assert is_early or heard == Frame(Opcode.PONG, b"there?").serialize(mask=False)
    return Outcome(said, is_closing, requests, verdict, heard)


@pytest.mark.timeout(1_800)
def test_what_is_read_past_the_library_is_read_as_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = 0

    @seeded(EXAMPLES)
    @given(cut())
    def is_the_same(pieces: list[bytes]) -> None:
        nonlocal plain
        ours = come_of(pieces)
        plain += isinstance(ours.verdict, Admitted)
        with monkeypatch.context() as patched:
            patched.setattr(gateway.client.websocket, "read_plain", lambda _data: None)
            patched.setattr(gateway.client.websocket, "answer_plain", lambda _request: None)
            assert come_of(pieces) == ours

    is_the_same()
    assert plain > scaled(EXAMPLES) / 30, "too few were let in to say anything"
