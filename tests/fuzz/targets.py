"""What reads the bytes of others, each with bytes to begin from, and with what must hold of any.

A target is a function of bytes that raises nothing: what its reader may raise is named in it. Bytes come in
pieces where a reader gets them in pieces; how they are cut follows from the bytes themselves.
"""

import itertools
import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_network
from typing import Final, NamedTuple

import msgspec
from websockets.http11 import Request

from gateway.admission.addresses import client_address
from gateway.admission.handshake import Admitted, Pending, judge
from gateway.admission.origins import Origins
from tests.attacks.on_frames import broken
from tests.attacks.on_messages import bombs
from tests.attacks.on_sockets import junk
from tests.support.golden import Golden
from tests.unit.gateway.client.alice import ALICE, JWT_SECRET, NOW, alice
from tests.unit.gateway.client.harness import Harness, connected
from tests.unit.presence.golden_records import GOLDEN as RECORDS
from tests.unit.wire import samples
from tests.unit.wire.golden_messages import GOLDEN as MESSAGES
from tieline.client import messages as client_messages
from tieline.load.frames import FrameError, FrameReader, client_frame
from tieline.runtime.message import Message
from tieline.runtime.nats_parser import Parser
from tieline.tokens import EVERY_ROOM, make_token
from tieline.verification.tokens import BadToken, Tokens
from tieline.wire import envelope, jetstream_answers, jetstream_headers, origin, relayed
from tieline.wire.codes import CloseCode, ErrorCode, HandshakeError
from tieline.wire.heads import is_from
from tieline.wire.ids import is_valid_id
from tieline.wire.subjects import Keys, identifier, token, users_of_pair

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""What a decoder of another process's bytes may raise; a UnicodeDecodeError is a ValueError."""

REFUSALS: Final = frozenset({ErrorCode.BAD_MESSAGE, ErrorCode.UNKNOWN_COMMAND, ErrorCode.AMBIGUOUS_NAMES})
"""With what a message that is none is refused."""

CLOSES: Final = frozenset({1006, *CloseCode})
"""With what a connection may end: what docs/protocol.md#5-errors lists, or without a word."""


class Target(NamedTuple):
    """One reader, and bytes to begin from."""

    read: Callable[[bytes], None]
    seeds: Sequence[bytes]


def pieces(data: bytes) -> Iterator[bytes]:
    """Cut bytes as a network might: most whole, some into a few pieces, some byte by byte."""
    chance = random.Random(len(data) * 31 + sum(data[:64]))
    way = chance.randrange(4)
    if way == 0 and len(data) < 2_000:
        yield from (data[at : at + 1] for at in range(len(data)))
    elif way == 1:
        places = [0, *sorted(chance.randrange(len(data) + 1) for _ in range(4)), len(data)]
        yield from (data[a:b] for a, b in itertools.pairwise(places) if a < b)
    elif data:
        yield data


def _is_text(data: bytes) -> bool:
    with suppress(UnicodeDecodeError):
        data.decode()
        return len(data) <= envelope.MAX_MESSAGE_BYTES
    return False


def read_envelope(data: bytes) -> None:
    """A message is read, or refused by name; a gateway gives no decoder what is too long or no UTF-8."""
    if not _is_text(data):
        return
    message = envelope.decode(data)
    if isinstance(message, envelope.Malformed):
        assert message.refusal in REFUSALS
    else:
        assert message.request_id
        assert len(message.request_id.encode()) <= 128
        assert origin.request_id_of(data) == message.request_id
    assert isinstance(origin.request_id_of(data), str)
    if isinstance(message, envelope.Signal):
        assert is_from(data, envelope.command_of(message), message.data.sender, message.data.to), "no router"
        named = envelope.named_call(message.data)
        assert named is None or is_valid_id(named) or not named
        told = envelope.decode(relayed.with_call(data, "0123456789abcdef"))
        assert isinstance(told, envelope.Signal)
        assert envelope.named_call(told.data) == "0123456789abcdef"
        assert told.request_id == message.request_id
        assert (told.data.sender, told.data.to) == (message.data.sender, message.data.to)
        assert bytes(told.data.data) == bytes(message.data.data)
        untold = envelope.decode(relayed.with_call(data, ""))
        assert isinstance(untold, envelope.Signal)
        assert envelope.named_call(untold.data) == ""


def read_session(data: bytes) -> None:
    """A session decides about every message, and what it says is JSON."""
    if not _is_text(data):
        return
    for calls in (False, True):
        action = alice(acks=True, calls=calls).receive(data, NOW)
        frame = getattr(action, "frame", b"")
        assert not frame or isinstance(json.loads(frame), dict)


def read_from_server(data: bytes) -> None:
    """The client library takes whatever a server says."""
    client_messages.decode(data)


def read_handshake(data: bytes) -> None:
    """What comes before the upgrade is judged, refused in HTTP, or waited for."""
    harness = Harness()
    for piece in pieces(data):
        harness.put(piece)
        if harness.requests or harness.socket.is_closing():
            break
    written = harness.socket.taken()
    if harness.requests:
        assert not written
        _judged(*harness.requests[0])
    elif written:
        head, _, body = written.partition(b"\r\n\r\n")
        status = int(head.split(b" ")[1])
        assert status in {error.status for error in HandshakeError}
        assert json.loads(body)["code"] == status
    harness.clock.advance(60)
    harness.lose()


def _judged(request: Request, response: object) -> None:
    verdict = judge(request, response, TOKENS, Origins(("https://app.example",)), time.time())  # type: ignore[arg-type]
    assert isinstance(verdict, Admitted | Pending | HandshakeError)
    forwarded = request.headers.get_all("X-Forwarded-For")
    assert client_address("10.0.0.1", forwarded, PROXIES)


def read_frames(data: bytes) -> None:
    """A connection takes any bytes, and ends with a code that is documented, if it ends."""
    harness = connected()
    for piece in pieces(data):
        if harness.socket.is_closing():
            break
        if harness.socket.is_read:
            harness.put(piece)
        while harness.host.under_way:
            harness.answer()
    harness.look()
    harness.clock.advance(60)
    harness.look()
    if harness.close_code is not None:
        assert harness.close_code in CLOSES or _is_echo(data, harness.close_code)
    harness.lose()
    while harness.host.under_way:
        harness.answer()
    assert len(harness.gone_with) == 1


def _is_echo(data: bytes, code: int) -> bool:
    """Whether the client may have closed with this code itself."""
    return code in range(1000, 5000) and bool(data)


def read_broker(data: bytes) -> None:
    """The broker's bytes are taken apart, or are not its protocol."""
    heard: list[Message] = []
    failures: list[Exception] = []
    parser = Parser({b"1": heard.append, b"2": heard.append}, failures.append)
    with suppress(ValueError, IndexError):
        for piece in pieces(data):
            parser.take(piece)
    for message in heard:
        with suppress(ValueError):
            _ = (message.status, message.header(b"Nats-Sequence"), jetstream_headers.sequence(message))
            jetstream_headers.position(message.headers)
        with suppress(ValueError):
            jetstream_headers.stored_as(message.headers)
    assert all(isinstance(failure, ValueError) for failure in failures)


def read_jetstream(data: bytes) -> None:
    """JetStream's answers are read, or are none."""
    for read in (
        jetstream_answers.read_published,
        jetstream_answers.read_message,
        jetstream_answers.read_stream,
    ):
        with suppress(*UNREADABLE):
            read(data)
    for take in (jetstream_headers.position, jetstream_headers.stored_as):
        with suppress(ValueError):
            take(data)


def read_subject(data: bytes) -> None:
    """A subject's token is an id that makes that very token, or is none."""
    text = data.decode("latin-1")
    with suppress(ValueError):
        assert token(identifier(text)) == text
    with suppress(ValueError):
        users = users_of_pair(text)
        assert set(users_of_pair(Keys.pair(*users))) == {*users}


def read_token(data: bytes) -> None:
    """A token is good or bad."""
    for text in (data.decode("latin-1"), data.decode(errors="replace")):
        with suppress(BadToken):
            assert TOKENS.verify(text, time.time()).sub


def read_load_frames(data: bytes) -> None:
    """The load generator reads a server's frames, or gives up on it."""
    reader = FrameReader()
    with suppress(FrameError):
        for piece in pieces(data):
            reader.feed(piece)


def _decoder(golden: Golden, codec: str) -> Callable[[bytes], None]:
    def read(data: bytes) -> None:
        with suppress(*UNREADABLE):
            golden.codecs[codec].encode(golden.codecs[codec].decode(data))

    return read


def _decoders(kind: str, golden: Golden) -> dict[str, Target]:
    """Every codec of a collection of golden samples, with the bytes of those samples."""
    return {
        f"{kind}-{codec.replace(' ', '-')}": Target(
            _decoder(golden, codec),
            [golden.codecs[codec].encode(sample.value) for sample in golden.samples if sample.codec == codec],
        )
        for codec in golden.codecs
    }


TOKENS: Final = Tokens(JWT_SECRET)
PROXIES: Final = (ip_network("10.0.0.0/8"),)
_GOOD_TOKEN: Final = make_token(JWT_SECRET, ALICE, [EVERY_ROOM], ttl_s=10 * 365 * 86_400)
_MESSAGES: Final = [samples.frame(message) for message in samples.every_message()]
_BOMBS: Final = [bomb[8 if len(bomb) > 130 else 6 :][:4_000] for bomb in bombs()]
_FRAMES: Final = [client_frame(1, message, b"mask") for message in _MESSAGES]
_UPGRADE: Final = (
    b"GET /ws?acks=1&resume=&last=x HTTP/1.1\r\nHost: x:80\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\nSec-WebSocket-Version: 13\r\nOrigin: http://x:80\r\n"
    b"X-Forwarded-For: 1.2.3.4, [2001:db8::1]:5\r\n"
)
_UPGRADES: Final = [
    _UPGRADE + b"Authorization: Bearer " + _GOOD_TOKEN.encode() + b"\r\n\r\n",
    _UPGRADE + b"Sec-WebSocket-Protocol: tieline.v1, bearer." + _GOOD_TOKEN.encode() + b"\r\n\r\n",
    _UPGRADE.replace(b"acks=1", b"token=" + _GOOD_TOKEN.encode()) + b"\r\n",
]

TARGETS: Final[Mapping[str, Target]] = {
    "envelope": Target(read_envelope, [*_MESSAGES, *_BOMBS]),
    "session": Target(read_session, _MESSAGES),
    "from-server": Target(read_from_server, _MESSAGES),
    "handshake": Target(read_handshake, [*_UPGRADES, *(each[:4_000] for each in junk())]),
    "frames": Target(
        read_frames,
        [
            *_FRAMES,
            b"".join(_FRAMES),
            *(each[:4_000] for each in broken()),
            client_frame(8, b"\x03\xe8", b"mask"),
        ],
    ),
    "broker": Target(
        read_broker,
        [
            b"MSG t.a 1 5\r\nhello\r\n",
            b"MSG t.a 1 t.reply.7 0\r\n\r\n",
            b"HMSG t.b 2 14 19\r\nNATS/1.0 503\r\nhello\r\n",
            b"HMSG t.b 2 68 70\r\nNATS/1.0\r\nNats-Subject: a\r\nNats-Sequence: 7\r\n"
            b"Nats-Last-Sequence: 6\r\n\r\n{}\r\n",
            b"PING\r\n-ERR 'x'\r\nINFO {}\r\n",
        ],
    ),
    "jetstream": Target(
        read_jetstream,
        [
            b'{"seq":7,"duplicate":true,"error":{"code":400,"err_code":10071,"description":"x"}}',
            b'{"message":{"seq":7,"data":"aGVsbG8="}}',
            b'{"state":{"bytes":7}}',
            b"NATS/1.0\r\nNats-Subject: a.b\r\nNats-Sequence: 7\r\nNats-Last-Sequence: 6\r\n\r\n",
        ],
    ),
    "subject": Target(read_subject, [b"alice", b"=2A", b"=E7=94=A8", b"pair.alice.=E7=94=A8"]),
    "token": Target(read_token, [_GOOD_TOKEN.encode(), b"a.b.c", b""]),
    "load-frames": Target(
        read_load_frames, [b"\x81\x05hello", b"\x81\x7e\x00\x7e" + b"x" * 126, b"\x88\x02\x03\xe8"]
    ),
    **_decoders("message", MESSAGES),
    **_decoders("record", RECORDS),
}
