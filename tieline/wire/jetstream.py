"""What is asked of JetStream and how it answers: its subjects, headers, statuses, error codes and JSON.

They are spelled here and nowhere else. Pure: a subject, headers or a payload go out, an answer is read.
Asking, and what the answer means, is the caller's: presence (`presence.bucket`, `presence.mailbox`,
`presence.stream_size`), the router (`router.relay`) and the gateway (`gateway.delivery`). What a service may
ask is in `permissions`; our own subjects are in `subjects`.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

import msgspec

from tieline.wire.checks import UNREADABLE

# The subjects of its API.

ACCOUNT_INFO: Final = "$JS.API.INFO"

_NANOSECONDS: Final = 1_000_000_000

_ACK_TOKENS: Final = 9
"""Of a subject on which a pushed message is acknowledged, without domain and account."""


def create_stream(stream: str) -> str:
    """Where a stream is made."""
    return f"$JS.API.STREAM.CREATE.{stream}"


def stream_info(stream: str) -> str:
    """Where a stream's configuration and state are asked for; `read_stream` reads the answer."""
    return f"$JS.API.STREAM.INFO.{stream}"


def update_stream(stream: str) -> str:
    """Where a stream's configuration is changed."""
    return f"$JS.API.STREAM.UPDATE.{stream}"


def delete_stream(stream: str) -> str:
    """Where a stream is removed."""
    return f"$JS.API.STREAM.DELETE.{stream}"


def get_from_leader(stream: str) -> str:
    """Where the leader is asked for one message (`last_message_of`); `read_message` reads the answer."""
    return f"$JS.API.STREAM.MSG.GET.{stream}"


def direct_get(stream: str) -> str:
    """Where any replica is asked for messages (`last_messages_of`, `messages_of`).

    Each message comes as a reply of its own, and then one with a status. A replica may lag a moment behind
    its leader.
    """
    return f"$JS.API.DIRECT.GET.{stream}"


def delete_message(stream: str) -> str:
    """Where one message of a stream is deleted (`deletion_of`)."""
    return f"$JS.API.STREAM.MSG.DELETE.{stream}"


def create_consumer(stream: str, consumer: str, filter_subject: str) -> str:
    """Where a durable consumer of the messages on some subjects is made."""
    return f"$JS.API.CONSUMER.CREATE.{stream}.{consumer}.{filter_subject}"


def watch_of(
    stream: str, name: str, deliver: str, pattern: str, heartbeat_s: float, gone_after_s: float
) -> bytes:
    """Ask (`create_consumer`) that what is stored on some subjects from now on is pushed to `deliver`.

    It comes once and in order, numbered (`delivered_as`), and a heartbeat where nothing comes
    (`last_delivered`). `read_watch` reads the answer. Without a listener it ends by itself.
    """
    config = {
        "name": name,
        "deliver_subject": deliver,
        "deliver_policy": "new",
        "ack_policy": "none",
        "max_deliver": 1,
        "filter_subject": pattern,
        "idle_heartbeat": int(heartbeat_s * _NANOSECONDS),
        "inactive_threshold": int(gone_after_s * _NANOSECONDS),
        "mem_storage": True,
        "num_replicas": 1,
    }
    return _encoder.encode({"stream_name": stream, "config": config})


def create_named_consumer(stream: str, consumer: str) -> str:
    """Where a durable consumer of messages on several patterns is made."""
    return f"$JS.API.CONSUMER.CREATE.{stream}.{consumer}"


def consumer_info(stream: str, consumer: str) -> str:
    """Where a consumer's configuration and state are asked for."""
    return f"$JS.API.CONSUMER.INFO.{stream}.{consumer}"


def next_message(stream: str, consumer: str) -> str:
    """Where a consumer is asked for more messages."""
    return f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"


def consumer_acks(stream: str, consumer: str) -> str:
    """The pattern of the subjects where a consumer's messages are acknowledged: five numbers follow."""
    return f"$JS.ACK.{stream}.{consumer}.*.*.*.*.*"


def leader_elected(stream: str) -> str:
    """Where the broker tells that a stream has a new leader."""
    return f"$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.{stream}"


def bucket_stream(bucket: str) -> str:
    """Name the stream of a key-value bucket."""
    return f"KV_{bucket}"


def bucket_prefix(bucket: str) -> str:
    """Name what the subject of each key of a bucket begins with."""
    return f"$KV.{bucket}."


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


# Questions, and the statuses that end the answers to a direct get.

END_OF_MESSAGES: Final = ("204", "404")
"""All messages asked for have come; or there is none at all."""

TOO_MANY_MESSAGES: Final = "413"
"""More subjects match than may be answered at once."""


def last_message_of(subject: str) -> bytes:
    """Ask (`get_from_leader`) for the last message of one subject."""
    return _encoder.encode({"last_by_subj": subject})


def newer_message_of(subject: str, revision: int) -> bytes:
    """Ask (`get_from_leader`) for the message of one subject that has replaced this one, if one has."""
    return _encoder.encode({"seq": revision + 1, "next_by_subj": subject})


def last_messages_of(subjects: Sequence[str]) -> bytes:
    """Ask (`direct_get`) for the last message of each subject; they may be patterns."""
    return _encoder.encode({"multi_last": subjects})


def few_last_messages_of(subjects: Sequence[str], most: int) -> bytes:
    """Ask as `last_messages_of` does, for so many at most; `pending` reads whether there are more."""
    return _encoder.encode({"multi_last": subjects, "batch": most})


def last_messages_since(subjects: Sequence[str], start: int) -> bytes:
    """Ask (`direct_get`) for the last message of each subject that is stored at `start` or later."""
    return _encoder.encode({"multi_last": subjects, "seq": start})


def count_of(subject: str) -> bytes:
    """Ask (`direct_get`) how many subjects a pattern matches; `pending` and `up_to` read the answer."""
    return _encoder.encode({"multi_last": [subject], "batch": 1})


def message_at(sequence: int) -> bytes:
    """Ask (`direct_get`) for the message of one sequence."""
    return _encoder.encode({"seq": sequence})


def kept_of(subject: str) -> bytes:
    """Ask (`stream_info`) also how many messages of a subject are kept."""
    return _encoder.encode({"subjects_filter": subject})


def deletion_of(sequence: int) -> bytes:
    """Ask (`delete_message`) for a message to be deleted; its place in a file is not written over."""
    return _encoder.encode({"seq": sequence, "no_erase": True})


def messages_of(subject: str, start: int, at_most: int, max_bytes: int) -> bytes:
    """Ask (`direct_get`) for the messages of one subject, which may be a pattern, from a sequence on.

    No more come once `max_bytes` have: how many there are beyond those, `pending` reads from the last reply.
    """
    return _encoder.encode({"seq": start, "batch": at_most, "max_bytes": max_bytes, "next_by_subj": subject})


_encoder = msgspec.json.Encoder()


# Answers.

NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)
"""What JetStream calls the time of a message that there is not."""

NAME_IN_USE: Final = 10058
"""`err_code`: a stream of this name is there, with another configuration."""

SUBJECTS_TAKEN: Final = 10065
"""`err_code`: another stream stores some of the same subjects."""

NO_ROOM_FOR_STREAM: Final = (10005, 10028, 10047)
"""`err_code`: so many bytes cannot be reserved, on any node of a cluster, in memory, or in files."""

_NO_ROOM: Final = (10002, 10023, 10077)
"""What the account, or the server, may store is stored; or the stream cannot store."""

_WRONG_LAST_SEQUENCE: Final = (10071, 10164)
_WRONG_LAST_ID: Final = 10070
_NOT_FOUND: Final = 404
_NO_MESSAGE: Final = 10037


class Error(msgspec.Struct, frozen=True):
    """Why JetStream refuses."""

    code: int = 0
    err_code: int = 0
    description: str = ""

    @property
    def is_conflict(self) -> bool:
        """Whether the message to be replaced has another revision."""
        return self.err_code in _WRONG_LAST_SEQUENCE

    @property
    def is_overtaken(self) -> bool:
        """Whether the stream's last message is another one than was expected."""
        return self.err_code == _WRONG_LAST_ID

    @property
    def is_no_room(self) -> bool:
        """Whether the message could be stored if there were room."""
        return self.err_code in _NO_ROOM

    @property
    def is_not_found(self) -> bool:
        """Whether there is no such message."""
        return self.code == _NOT_FOUND

    @property
    def is_no_message(self) -> bool:
        """Whether the stream is there, and has no such message."""
        return self.err_code == _NO_MESSAGE


class Published(msgspec.Struct, frozen=True):
    """The answer to a publish; without an error the message is stored."""

    seq: int = 0
    duplicate: bool = False
    error: Error | None = None
    batch: str = ""
    """The messages that are stored all together; empty: it is one by itself."""
    stream: str = ""
    """Which stream has stored it."""


class StoredMessage(msgspec.Struct, frozen=True):
    """One message, as the leader returns it."""

    seq: int
    data: bytes = b""


class LeaderAnswer(msgspec.Struct, frozen=True):
    """The answer to `get_from_leader`."""

    message: StoredMessage | None = None
    error: Error | None = None


class Delivered(msgspec.Struct, frozen=True):
    """How far a consumer has got."""

    stream_seq: int
    """The sequence of the last message of the stream that it has pushed, or that it begins behind."""


class Watching(msgspec.Struct, frozen=True):
    """The answer to `watch_of`; without `delivered` there is no watch."""

    delivered: Delivered | None = None
    error: Error | None = None


class StreamState(msgspec.Struct, frozen=True):
    """What a stream keeps."""

    bytes: int
    last_seq: int = 0
    """The sequence of the newest message that it has had."""
    first_seq: int = 0
    """That of the oldest message that it keeps; of the next one, where it keeps none."""
    first_ts: datetime = NEVER
    """When the oldest message was stored, by the server's clock; long ago when there is none."""
    subjects: dict[str, int] | None = None
    """How many messages are kept of each subject that was asked for (`kept_of`); None: of no such subject."""


class StreamLimits(msgspec.Struct, frozen=True):
    """What a stream may keep."""

    max_bytes: int = -1


class Stream(msgspec.Struct, frozen=True):
    """The answer to `stream_info`; without a state there is no such stream."""

    state: StreamState | None = None
    error: Error | None = None
    config: StreamLimits = StreamLimits()
    ts: datetime = NEVER
    """When it was asked, by the server's clock."""

    @property
    def max_bytes(self) -> int:
        """The most it may keep; 0: it has no limit of its own."""
        return max(0, self.config.max_bytes)


NO_ANSWER_OF_JETSTREAM: Final = Error(description="this is no answer of JetStream")
"""What is read instead of an answer that cannot be understood: nothing is known then."""


class ConsumerAnswer(msgspec.Struct, frozen=True):
    """The answer to `consumer_info`; without a floor there is no such consumer."""

    ack_floor: Delivered | None = None
    error: Error | None = None


_published = msgspec.json.Decoder(Published)
_consumer = msgspec.json.Decoder(ConsumerAnswer)
_message = msgspec.json.Decoder(LeaderAnswer)
_stream = msgspec.json.Decoder(Stream)
_watching = msgspec.json.Decoder(Watching)


def read_published(answer: bytes) -> Published:
    """Read the answer to a publish. One that cannot be understood says that nothing is known."""
    try:
        return _published.decode(answer)
    except UNREADABLE:
        return Published(error=NO_ANSWER_OF_JETSTREAM)


def read_message(answer: bytes) -> LeaderAnswer:
    """Read the answer to `get_from_leader`. One that cannot be understood says that nothing is known."""
    try:
        return _message.decode(answer)
    except UNREADABLE:
        return LeaderAnswer(error=NO_ANSWER_OF_JETSTREAM)


def read_watch(answer: bytes) -> Watching:
    """Read the answer to `watch_of`. One that cannot be understood says that nothing is known."""
    try:
        return _watching.decode(answer)
    except UNREADABLE:
        return Watching()


def read_floor(answer: bytes) -> int | None:
    """Read from the answer to `consumer_info` up to which message of its stream all are acknowledged.

    None: there is no such consumer, or it cannot be understood.
    """
    try:
        floor = _consumer.decode(answer).ack_floor
    except UNREADABLE:
        return None
    return None if floor is None else floor.stream_seq


def read_stream(answer: bytes) -> Stream:
    """Read the answer to `stream_info`. One that cannot be understood says that nothing is known."""
    try:
        return _stream.decode(answer)
    except UNREADABLE:
        return Stream(error=NO_ANSWER_OF_JETSTREAM)
