"""The headers of what is published to JetStream, and those and the statuses of what it sends. Pure.

What it is asked is in `jetstream`.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

# Headers of a publish.

_CALL: Final = "Tieline-Call"
"""Ours: it stays with what is stored, is read with it, and pushed with it."""

_NONCE: Final = b"Tieline-Nonce"
"""Ours, as that is: what nobody could know before the message was stored."""

_MESSAGE_ID: Final = "Nats-Msg-Id"
"""A message of this name that the stream had within its duplicate window is not stored again."""

_EXPECTED_LAST_ID: Final = "Nats-Expected-Last-Msg-Id"
_EXPECTED_REVISION: Final = "Nats-Expected-Last-Subject-Sequence"
_BATCH_ID: Final = "Nats-Batch-Id"
_BATCH_SEQUENCE: Final = "Nats-Batch-Sequence"
_BATCH_COMMIT: Final = "Nats-Batch-Commit"
_NO_SEQUENCE: Final = str((1 << 53) - 1)
_TTL: Final = "Nats-TTL"
_OPERATION: Final = "KV-Operation"


def named(message_id: str, call: str = "") -> bytes:
    """Encode the headers of a message that is to be stored once, however often it is published.

    `call` is the id of the call that it belongs to; "": it belongs to none. `call_of` reads it.
    """
    if not call:
        return f"NATS/1.0\r\nNats-Msg-Id: {message_id}\r\n\r\n".encode()
    return f"NATS/1.0\r\nNats-Msg-Id: {message_id}\r\n{_CALL}: {call}\r\n\r\n".encode()


def following(message_id: str, call: str, before: str) -> bytes:
    """Encode the headers of a message that is refused unless the stream's last one is of the name `before`.

    See `named`. That is looked at when the message is stored, after whether it is a duplicate. A refusal
    (`Error.is_overtaken`) leaves nothing behind where one node has the stream. Of several nodes the leader
    goes on taking the name for one that is being stored: there this must not be used.
    """
    return _block(_MESSAGE_ID, message_id, _EXPECTED_LAST_ID, before, *_naming(call))


def in_batch(batch: str, place: int, *, is_last: bool, message_id: str = "", call: str = "") -> bytes:
    """Encode the headers of one message of several that are stored together, in their order, or not at all.

    See `named`. `batch` names them together, `place` counts from 1; only the last one is answered
    (`Published.batch`). A stream takes them if it allows it (`allow_atomic`), and none is a duplicate. One
    that has never heard of them takes each by itself.
    """
    last = (_BATCH_COMMIT, "1") if is_last else ()
    name = (_MESSAGE_ID, message_id) if message_id else ()
    return _block(*name, _BATCH_ID, batch, _BATCH_SEQUENCE, str(place), *last, *_naming(call))


def _naming(call: str) -> tuple[str, ...]:
    return (_CALL, call) if call else ()


def _block(*words: str) -> bytes:
    """Encode headers, each a name and a value."""
    lines = (f"{name}: {value}\r\n" for name, value in zip(words[::2], words[1::2], strict=True))
    return f"NATS/1.0\r\n{''.join(lines)}\r\n".encode()


def named_anew(message_id: str, nonce: str) -> bytes:
    """Encode the headers of a message that is to be stored once, with a nonce of each attempt.

    The first attempt that is stored decides: its nonce is what `nonce_of` reads, wherever the message comes.
    """
    return b"NATS/1.0\r\nNats-Msg-Id: %b\r\n%b: %b\r\n\r\n" % (message_id.encode(), _NONCE, nonce.encode())


def only_asking(message_id: str, *, is_alone: bool) -> dict[str, str]:
    """Return headers that make a publish ask whether a message of this name was stored, and store nothing.

    It expects what cannot be; JetStream looks for duplicates before it looks at that. `is_alone`: the stream
    is one node's, which does so with an expected predecessor. The leader of several would take the name for
    one that is being stored from then on, and store nothing of that name; it does so with an expected
    sequence.
    """
    cannot_be = {_EXPECTED_LAST_ID: "never"} if is_alone else {_EXPECTED_REVISION: _NO_SEQUENCE}
    return {_MESSAGE_ID: message_id, **cannot_be}


def replacing(revision: int, ttl_s: int | None = None) -> dict[str, str]:
    """Return the headers of a write that is refused (`Error.is_conflict`) unless it replaces `revision`.

    0 stands for no message yet. It lives for `ttl_s` seconds, and then leaves nothing behind, or for good.
    """
    return {_EXPECTED_REVISION: str(revision)} | ({} if ttl_s is None else passing(ttl_s))


def expiring(ttl_s: int) -> dict[str, str]:
    """Return the headers of a message that lives for so many seconds, and then leaves a marker behind.

    JetStream takes whole seconds.
    """
    return {_TTL: f"{ttl_s}s"}


def deleting(revision: int, ttl_s: int) -> dict[str, str]:
    """Return the headers of what marks a bucket's key as deleted for `ttl_s` seconds; see `replacing`."""
    return replacing(revision, ttl_s)


def passing(ttl_s: int) -> dict[str, str]:
    """Return the headers of a message that lives for a while, and whose end nobody waits for.

    JetStream leaves no marker of what is purged already, and takes a message for that by this header,
    whatever it holds. (Of one that says `DEL` it leaves a marker.)
    """
    return {_OPERATION: "PURGE", **expiring(ttl_s)}


# Headers of a message that JetStream sends.

_SEQUENCE: Final = b"Nats-Sequence"
_PENDING: Final = b"Nats-Num-Pending"
_MARKER_REASON: Final = "Nats-Marker-Reason"
_AT_SUBJECT: Final = b"\r\nNats-Subject: "
_AT_SEQUENCE: Final = b"\r\n%b: " % _SEQUENCE
_AT_TIME: Final = b"\r\nNats-Time-Stamp: "
_SEQUENCE_LINE: Final = b"%b: " % _SEQUENCE
_SEQUENCE_AT: Final = len(_SEQUENCE_LINE)
_PREVIOUS_LINE: Final = b"Nats-Last-Sequence: "
_PREVIOUS_AT: Final = len(_PREVIOUS_LINE)


class Headers(Protocol):
    """A message, as far as it is read here; `tieline.runtime.message.Message` is one."""

    def header(self, name: bytes) -> str:
        """Read one header; "" if it is not there."""
        ...


def sequence(message: Headers) -> int:
    """Read a stored message's place in its stream."""
    return int(message.header(_SEQUENCE))


def pending(message: Headers) -> int:
    """Read how many messages there are beyond one that a direct get has brought, or beyond all it has."""
    return int(message.header(_PENDING) or 0)


def stored_as(headers: bytes) -> tuple[str, int]:
    """Read the subject under which a message is stored, and its sequence; every record read passes here.

    They stand in this order, behind whatever headers the message was published with: so what a publisher has
    written is never taken for what the stream says. That is tested with a real broker.

    Raises:
        ValueError: it comes from no stream.
    """
    start = headers.rindex(_AT_SUBJECT) + len(_AT_SUBJECT)
    end = headers.index(b"\r", start)
    sequence_at = headers.index(_AT_SEQUENCE, end) + len(_AT_SEQUENCE)
    return headers[start:end].decode(), int(headers[sequence_at : headers.index(b"\r", sequence_at)])


def position(headers: bytes) -> tuple[int, int]:
    """Read the place of a message that a stream republishes; every frame for a client passes here.

    Returns the sequence of the message before it on the same subject (0: none is kept), and its own. They are
    the stream's own words, which stand last, with the time between them: what a publisher has written stands
    before, and is not looked at. The answer to a direct get, which a neighbour may have had sent here, has
    other words there. That is tested with a real broker.

    Raises:
        ValueError: no stream has republished it.
    """
    _, stored, _, before, _, _ = headers.rsplit(b"\r\n", 5)
    if stored[:_SEQUENCE_AT] == _SEQUENCE_LINE and before[:_PREVIOUS_AT] == _PREVIOUS_LINE:
        return int(before[_PREVIOUS_AT:]), int(stored[_SEQUENCE_AT:])
    raise ValueError("no stream has republished it")


def stored_at(headers: bytes) -> int:
    """Read when a message was stored, in Unix milliseconds of the broker; 0: it comes from no stream.

    The time stands behind whatever headers the message was published with.
    """
    start = headers.rfind(_AT_TIME) + len(_AT_TIME)
    if start < len(_AT_TIME):
        return 0
    try:
        at = datetime.fromisoformat(headers[start : headers.find(b"\r", start)].decode("ascii"))
        return int(at.timestamp() * 1000)
    except ValueError:
        return 0


_AT_CALL: Final = re.compile(rb"\r\n%b: ([0-9A-Za-z_-]{1,64})\r\n" % _CALL.encode())


def call_of(headers: bytes) -> str:
    """Read which call a stored message belongs to; "": none, or an older process stored it."""
    found = _AT_CALL.search(headers)
    return "" if found is None else found[1].decode()


_AT_NONCE: Final = re.compile(rb"\r\n%b: ([0-9a-f]{16})\r\n" % _NONCE)


def nonce_of(headers: bytes) -> str:
    """Read the nonce of a stored message; "": it has none."""
    found = _AT_NONCE.search(headers)
    return "" if found is None else found[1].decode()


_ACK_TOKENS: Final = 9
"""Of a subject on which a pushed message is acknowledged, without domain and account."""

HEARTBEAT: Final = "100"
"""The status of what a consumer says while it has nothing to push."""


def last_delivered(message: Headers) -> int:
    """Read from a heartbeat the number of the last message that was pushed; 0: none was."""
    return int(message.header(b"Nats-Last-Consumer") or 0)


def delivered_as(reply: str) -> tuple[int, int]:
    """Read from where a pushed message would be acknowledged its sequence in the stream, and its number.

    The broker writes two more tokens in front where its domain and account have names there.

    Raises:
        ValueError: no consumer has pushed it.
    """
    tokens = reply.split(".")
    if len(tokens) < _ACK_TOKENS or tokens[:2] != ["$JS", "ACK"]:
        raise ValueError("no consumer has pushed it")
    at = 5 if len(tokens) == _ACK_TOKENS else 7
    return int(tokens[at]), int(tokens[at + 1])


def up_to(message: Headers) -> int:
    """Read from the end of a direct get's answer how far the replica had got; 0: it does not say.

    It says so of an answer to `last_messages_of`, or to `count_of`, unless that found nothing.
    """
    return int(message.header(b"Nats-UpTo-Sequence") or 0)


def has_expired(headers: Mapping[str, str] | None) -> bool:
    """Whether a message marks the end of a TTL: the message before it on its subject has expired."""
    return (headers or {}).get(_MARKER_REASON) == "MaxAge"


# Statuses that end the answers to a direct get.

END_OF_MESSAGES: Final = ("204", "404")
"""All messages asked for have come; or there is none at all."""

TOO_MANY_MESSAGES: Final = "413"
"""More subjects match than may be answered at once."""
