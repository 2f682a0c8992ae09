"""How JetStream answers what it is asked (`jetstream`): its JSON and error codes. Pure.

An answer that cannot be understood is read as one that says nothing.
"""

from datetime import UTC, datetime
from typing import Final

import msgspec

from tieline.wire.checks import UNREADABLE

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
    delivered: Delivered | None = None
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


def read_handed_out(answer: bytes) -> int:
    """Read from the answer to `consumer_info` up to which message of its stream all were handed out.

    0: there is no such consumer, or it cannot be understood.
    """
    try:
        delivered = _consumer.decode(answer).delivered
    except UNREADABLE:
        return 0
    return 0 if delivered is None else delivered.stream_seq


def read_stream(answer: bytes) -> Stream:
    """Read the answer to `stream_info`. One that cannot be understood says that nothing is known."""
    try:
        return _stream.decode(answer)
    except UNREADABLE:
        return Stream(error=NO_ANSWER_OF_JETSTREAM)
