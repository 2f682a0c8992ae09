"""Headers of what is published to JetStream, byte for byte, and of what a real one has sent."""

import pytest

from tieline.runtime.message import Message, block
from tieline.wire import jetstream_headers

PUSHED = (
    b"NATS/1.0\r\nNats-Msg-Id: 7f.alice\r\nNats-Stream: MAILBOX_t\r\nNats-Subject: t.user.alice.s-1\r\n"
    b"Nats-Sequence: 4711\r\nNats-Time-Stamp: 2025-11-28T21:14:49.5Z\r\nNats-Last-Sequence: 4700\r\n\r\n"
)


@pytest.mark.parametrize(
    "reply", ["$JS.ACK.S.c.1.8.3.1795955110934808353.0", "$JS.ACK.hub.A1B2.S.c.1.8.3.1795955110.0.x9"]
)
def test_a_pushed_message_says_where_it_stands(reply: str) -> None:
    assert jetstream_headers.delivered_as(reply) == (8, 3)


@pytest.mark.parametrize("reply", ["", "$JS.ACK.S.c.1", "t.presence.1.inbox.x.y.z.a.b.c"])
def test_what_no_consumer_has_pushed_stands_nowhere(reply: str) -> None:
    with pytest.raises(ValueError, match="no consumer"):
        jetstream_headers.delivered_as(reply)


def test_a_heartbeat_says_how_far_it_has_got() -> None:
    beat = Message("s", "", b"", b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 3\r\n\r\n")
    assert (beat.status, jetstream_headers.last_delivered(beat)) == (jetstream_headers.HEARTBEAT, 3)
    assert jetstream_headers.last_delivered(Message("s", "", b"", b"")) == 0


def test_a_named_message_carries_its_name_and_nothing_else() -> None:
    assert jetstream_headers.named("7f.alice") == block({"Nats-Msg-Id": "7f.alice"})


def test_a_message_of_a_call_carries_its_name_as_well() -> None:
    headers = jetstream_headers.named("7f.alice", "0123")
    assert headers == block({"Nats-Msg-Id": "7f.alice", "Tieline-Call": "0123"})
    assert jetstream_headers.call_of(headers) == "0123"


@pytest.mark.parametrize("headers", [b"", jetstream_headers.named("Tieline-Call: x")])
def test_a_message_of_no_call_names_none(headers: bytes) -> None:
    assert jetstream_headers.call_of(headers) == ""


def test_a_message_may_carry_what_nobody_could_foresee() -> None:
    headers = jetstream_headers.named_anew("7f", "0123456789abcdef")
    assert headers == block({"Nats-Msg-Id": "7f", "Tieline-Nonce": "0123456789abcdef"})
    assert jetstream_headers.nonce_of(headers) == "0123456789abcdef"
    assert jetstream_headers.nonce_of(jetstream_headers.named("7f")) == ""


def test_a_message_may_have_to_follow_another_one() -> None:
    headers = jetstream_headers.following("7f", "0123", "6e")
    said = {"Nats-Msg-Id": "7f", "Nats-Expected-Last-Msg-Id": "6e"}
    assert headers == block({**said, "Tieline-Call": "0123"})
    assert jetstream_headers.following("7f", "", "6e") == block(said)
    assert jetstream_headers.call_of(headers) == "0123"


def test_messages_may_be_stored_together() -> None:
    first = jetstream_headers.in_batch("b", 1, is_last=False, message_id="7f", call="0123")
    last = jetstream_headers.in_batch("b", 2, is_last=True)
    assert first == block(
        {"Nats-Msg-Id": "7f", "Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Tieline-Call": "0123"}
    )
    assert last == block({"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "2", "Nats-Batch-Commit": "1"})


def test_a_publish_that_only_asks_expects_what_never_was() -> None:
    of_one, of_several = (jetstream_headers.only_asking("7f", is_alone=alone) for alone in (True, False))
    assert of_one == {"Nats-Msg-Id": "7f", "Nats-Expected-Last-Msg-Id": "never"}
    assert of_several == {
        "Nats-Msg-Id": "7f",
        "Nats-Expected-Last-Subject-Sequence": "9007199254740991",
    }


def test_a_write_names_the_revision_that_it_replaces() -> None:
    assert jetstream_headers.replacing(0) == {"Nats-Expected-Last-Subject-Sequence": "0"}
    assert jetstream_headers.replacing(7, 2) == {
        "Nats-Expected-Last-Subject-Sequence": "7",
        "KV-Operation": "PURGE",
        "Nats-TTL": "2s",
    }


def test_a_deletion_is_one_to_other_clients_of_the_bucket_too() -> None:
    assert jetstream_headers.deleting(7, 600) == {
        "KV-Operation": "PURGE",
        "Nats-Expected-Last-Subject-Sequence": "7",
        "Nats-TTL": "600s",
    }


def test_a_message_that_expires_says_after_how_many_seconds() -> None:
    assert jetstream_headers.expiring(1) == {"Nats-TTL": "1s"}


def test_a_pushed_message_tells_its_place_and_that_before_it() -> None:
    assert jetstream_headers.position(PUSHED) == (4700, 4711)


@pytest.mark.parametrize(
    "headers",
    [
        b"",
        b"NATS/1.0\r\n\r\n",
        b"NATS/1.0\r\nNats-Sequence: 7\r\n\r\n",
        PUSHED.replace(b"4711", b"x"),
        PUSHED.replace(b"Nats-Time", b"A: b\r\nNats-Time"),
        PUSHED + b"\r\n",
    ],
)
def test_a_message_that_no_stream_pushed_has_no_position(headers: bytes) -> None:
    with pytest.raises(ValueError, match=r"republished|unpack|int"):
        jetstream_headers.position(headers)


def test_a_stored_message_tells_its_subject_and_sequence() -> None:
    assert jetstream_headers.stored_as(PUSHED) == ("t.user.alice.s-1", 4711)
    assert jetstream_headers.sequence(Message("_INBOX.1", "", b"", PUSHED)) == 4711


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (b"1970-01-01T00:00:01.234999999Z", 1234),
        (b"2026-11-29T08:55:24.1Z", 1_795_942_524_100),
        (b"2026-11-29T08:55:24Z", 1_795_942_524_000),
        (b"yesterday", 0),
        (b"\xff", 0),
    ],
)
def test_a_stored_message_tells_when_it_was_stored(text: bytes, at: int) -> None:
    forged = b"NATS/1.0\r\nNats-Time-Stamp: 2001-01-01T00:00:00Z\r\n"
    headers = forged + b"Nats-Sequence: 7\r\nNats-Time-Stamp: %b\r\n\r\n" % text
    assert jetstream_headers.stored_at(headers) == at
    assert jetstream_headers.stored_at(b"NATS/1.0\r\n\r\n") == 0


@pytest.mark.parametrize("headers", [b"", b"NATS/1.0\r\n\r\n", b"NATS/1.0\r\nNats-Subject: t.a\r\n\r\n"])
def test_a_message_that_is_not_stored_names_no_subject(headers: bytes) -> None:
    with pytest.raises(ValueError, match="not found"):
        jetstream_headers.stored_as(headers)


@pytest.mark.parametrize(
    ("headers", "expired"),
    [({"Nats-Marker-Reason": "MaxAge"}, True), ({"Nats-Marker-Reason": "Remove"}, False), (None, False)],
)
def test_only_a_marker_of_its_age_says_that_a_key_expired(
    headers: dict[str, str] | None, expired: bool
) -> None:
    assert jetstream_headers.has_expired(headers) is expired


def test_the_end_of_an_answer_says_how_many_messages_were_left() -> None:
    end = block(
        {"Nats-Num-Pending": "17", "Nats-Last-Sequence": "149"},
    )
    assert jetstream_headers.pending(Message("r", "", b"", end)) == 17
    assert jetstream_headers.pending(Message("r", "", b"", b"NATS/1.0 404 No Results\r\n\r\n")) == 0


FORGED = (
    b"NATS/1.0 503\r\nNats-Sequence: 9999\r\nNats-Subject: t.user.eve.s\r\nNats-Last-Sequence: 9998\r\n"
    b"Nats-Num-Pending: 7\r\n"
)
"""What a publisher may write: the stream's own words, which JetStream puts behind them, are read alone."""


def test_headers_that_a_publisher_has_forged_are_not_read() -> None:
    forged = FORGED + PUSHED.removeprefix(b"NATS/1.0\r\n")
    message = Message("t.live.user.bob.s", "", b"", forged)
    assert jetstream_headers.position(forged) == (4700, 4711)
    assert jetstream_headers.stored_as(forged) == jetstream_headers.stored_as(PUSHED)
    assert jetstream_headers.sequence(message) == 4711
    assert message.status == ""


def test_the_answer_to_a_direct_get_is_no_republished_message() -> None:
    got = PUSHED.replace(b"Nats-Last-Sequence", b"Nats-Num-Pending: 3\r\nNats-Last-Sequence")
    assert jetstream_headers.pending(Message("", "", b"", got)) == 3
    with pytest.raises(ValueError, match="no stream has republished it"):
        jetstream_headers.position(got)


def test_the_end_of_an_answer_says_how_far_the_replica_had_got() -> None:
    end = block({"Nats-Num-Pending": "0", "Nats-UpTo-Sequence": "149"})
    assert jetstream_headers.up_to(Message("r", "", b"", end)) == 149
    assert jetstream_headers.up_to(Message("r", "", b"", b"NATS/1.0 404 No Results\r\n\r\n")) == 0
