"""What JetStream is asked: the subjects of its API, and the JSON of questions. Pure.

The headers of messages are in `jetstream_headers`, its answers in `jetstream_answers`: what JetStream calls
something is spelled in these three modules and nowhere else. Asking, and what the answer means, is the
caller's: presence (`presence.bucket`, `presence.mailbox`, `presence.stream_size`), the router
(`router.relay`) and the gateway (`gateway.delivery`). What a service may ask is in `permissions`; our own
subjects are in `subjects`.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

_encoder = msgspec.json.Encoder()

# The subjects of its API.

ACCOUNT_INFO: Final = "$JS.API.INFO"

_NANOSECONDS: Final = 1_000_000_000


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


# What a message that a consumer has handed out is answered.

ACKNOWLEDGED: Final = b"+ACK"


def again_after(seconds: float) -> bytes:
    """Ask that a message be handed out again, to whoever asks for one then."""
    return b"-NAK " + _encoder.encode({"delay": int(seconds * _NANOSECONDS)})


# Questions.


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


def waiting_messages(at_most: int) -> bytes:
    """Ask (`next_message`) for so many of the messages that wait; a status follows them if they are fewer."""
    return _encoder.encode({"batch": at_most, "no_wait": True})


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
