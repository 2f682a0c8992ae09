"""What is asked of JetStream, byte for byte, and what its answers are read as.

The answers here were taken from a real broker; that it understands the questions is tried in `tests/contract`
and `tests/broker`.
"""

import json

import pytest

from tieline.runtime.message import Message, block
from tieline.wire import jetstream

PUSHED = (
    b"NATS/1.0\r\nNats-Msg-Id: 7f.alice\r\nNats-Stream: MAILBOX_t\r\nNats-Subject: t.user.alice.s-1\r\n"
    b"Nats-Sequence: 4711\r\nNats-Time-Stamp: 2025-11-28T21:14:49.5Z\r\nNats-Last-Sequence: 4700\r\n\r\n"
)


@pytest.mark.parametrize(
    ("subject", "spelled"),
    [
        (jetstream.ACCOUNT_INFO, "$JS.API.INFO"),
        (jetstream.create_stream("S"), "$JS.API.STREAM.CREATE.S"),
        (jetstream.stream_info("S"), "$JS.API.STREAM.INFO.S"),
        (jetstream.update_stream("S"), "$JS.API.STREAM.UPDATE.S"),
        (jetstream.get_from_leader("S"), "$JS.API.STREAM.MSG.GET.S"),
        (jetstream.direct_get("S"), "$JS.API.DIRECT.GET.S"),
        (jetstream.delete_message("S"), "$JS.API.STREAM.MSG.DELETE.S"),
        (jetstream.create_consumer("S", "c", "a.>"), "$JS.API.CONSUMER.CREATE.S.c.a.>"),
        (jetstream.consumer_info("S", "c"), "$JS.API.CONSUMER.INFO.S.c"),
        (jetstream.next_message("S", "c"), "$JS.API.CONSUMER.MSG.NEXT.S.c"),
        (jetstream.consumer_acks("S", "c"), "$JS.ACK.S.c.*.*.*.*.*"),
        (jetstream.leader_elected("S"), "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.S"),
        (jetstream.bucket_stream("b"), "KV_b"),
        (jetstream.bucket_prefix("b"), "$KV.b."),
    ],
)
def test_a_subject_is_spelled_as_jetstream_has_it(subject: str, spelled: str) -> None:
    assert subject == spelled


def test_a_watch_is_asked_for_and_answered_as_jetstream_has_it() -> None:
    asked = json.loads(jetstream.watch_of("S", "w", "in.box", "a.*", 0.5, 10.0))
    assert asked["stream_name"] == "S"
    assert (asked["config"]["filter_subject"], asked["config"]["deliver_subject"]) == ("a.*", "in.box")
    assert (asked["config"]["idle_heartbeat"], asked["config"]["ack_policy"]) == (500_000_000, "none")
    begun = jetstream.read_watch(b'{"delivered":{"consumer_seq":0,"stream_seq":7}}')
    assert begun.delivered is not None
    assert begun.delivered.stream_seq == 7
    refused = jetstream.read_watch(
        b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}'
    )
    assert (refused.delivered, refused.error and refused.error.err_code) == (None, 10059)
    assert jetstream.read_watch(b"\xff") == jetstream.Watching()


@pytest.mark.parametrize(
    "reply", ["$JS.ACK.S.c.1.8.3.1795955110934808353.0", "$JS.ACK.hub.A1B2.S.c.1.8.3.1795955110.0.x9"]
)
def test_a_pushed_message_says_where_it_stands(reply: str) -> None:
    assert jetstream.delivered_as(reply) == (8, 3)


@pytest.mark.parametrize("reply", ["", "$JS.ACK.S.c.1", "t.presence.1.inbox.x.y.z.a.b.c"])
def test_what_no_consumer_has_pushed_stands_nowhere(reply: str) -> None:
    with pytest.raises(ValueError, match="no consumer"):
        jetstream.delivered_as(reply)


def test_a_heartbeat_says_how_far_it_has_got() -> None:
    beat = Message("s", "", b"", b"NATS/1.0 100 Idle Heartbeat\r\nNats-Last-Consumer: 3\r\n\r\n")
    assert (beat.status, jetstream.last_delivered(beat)) == (jetstream.HEARTBEAT, 3)
    assert jetstream.last_delivered(Message("s", "", b"", b"")) == 0


def test_a_named_message_carries_its_name_and_nothing_else() -> None:
    assert jetstream.named("7f.alice") == block({"Nats-Msg-Id": "7f.alice"})


def test_a_message_of_a_call_carries_its_name_as_well() -> None:
    headers = jetstream.named("7f.alice", "0123")
    assert headers == block({"Nats-Msg-Id": "7f.alice", "Tieline-Call": "0123"})
    assert jetstream.call_of(headers) == "0123"


@pytest.mark.parametrize("headers", [b"", jetstream.named("Tieline-Call: x")])
def test_a_message_of_no_call_names_none(headers: bytes) -> None:
    assert jetstream.call_of(headers) == ""


def test_a_message_may_carry_what_nobody_could_foresee() -> None:
    headers = jetstream.named_anew("7f", "0123456789abcdef")
    assert headers == block({"Nats-Msg-Id": "7f", "Tieline-Nonce": "0123456789abcdef"})
    assert jetstream.nonce_of(headers) == "0123456789abcdef"
    assert jetstream.nonce_of(jetstream.named("7f")) == ""


def test_a_message_may_have_to_follow_another_one() -> None:
    headers = jetstream.following("7f", "0123", "6e")
    said = {"Nats-Msg-Id": "7f", "Nats-Expected-Last-Msg-Id": "6e"}
    assert headers == block({**said, "Tieline-Call": "0123"})
    assert jetstream.following("7f", "", "6e") == block(said)
    assert jetstream.call_of(headers) == "0123"


def test_messages_may_be_stored_together() -> None:
    first = jetstream.in_batch("b", 1, is_last=False, message_id="7f", call="0123")
    last = jetstream.in_batch("b", 2, is_last=True)
    assert first == block(
        {"Nats-Msg-Id": "7f", "Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Tieline-Call": "0123"}
    )
    assert last == block({"Nats-Batch-Id": "b", "Nats-Batch-Sequence": "2", "Nats-Batch-Commit": "1"})


def test_what_was_to_follow_another_message_may_be_refused() -> None:
    answer = b'{"error":{"code":400,"err_code":10070,"description":"wrong last msg ID: 5d"},"seq":0}'
    error = jetstream.read_published(answer).error
    assert error is not None
    assert error.is_overtaken
    assert not error.is_conflict


def test_messages_that_are_stored_together_are_answered_so() -> None:
    assert jetstream.read_published(b'{"stream":"S","seq":3,"batch":"b","count":2}').batch == "b"
    assert jetstream.read_published(b'{"stream":"S","seq":3}').batch == ""


def test_a_publish_that_only_asks_expects_what_never_was() -> None:
    of_one, of_several = (jetstream.only_asking("7f", is_alone=alone) for alone in (True, False))
    assert of_one == {"Nats-Msg-Id": "7f", "Nats-Expected-Last-Msg-Id": "never"}
    assert of_several == {
        "Nats-Msg-Id": "7f",
        "Nats-Expected-Last-Subject-Sequence": "9007199254740991",
    }


def test_a_write_names_the_revision_that_it_replaces() -> None:
    assert jetstream.replacing(0) == {"Nats-Expected-Last-Subject-Sequence": "0"}
    assert jetstream.replacing(7, 2) == {
        "Nats-Expected-Last-Subject-Sequence": "7",
        "KV-Operation": "PURGE",
        "Nats-TTL": "2s",
    }


def test_a_deletion_is_one_to_other_clients_of_the_bucket_too() -> None:
    assert jetstream.deleting(7, 600) == {
        "KV-Operation": "PURGE",
        "Nats-Expected-Last-Subject-Sequence": "7",
        "Nats-TTL": "600s",
    }


def test_a_message_that_expires_says_after_how_many_seconds() -> None:
    assert jetstream.expiring(1) == {"Nats-TTL": "1s"}


def test_a_pushed_message_tells_its_place_and_that_before_it() -> None:
    assert jetstream.position(PUSHED) == (4700, 4711)


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
        jetstream.position(headers)


def test_a_stored_message_tells_its_subject_and_sequence() -> None:
    assert jetstream.stored_as(PUSHED) == ("t.user.alice.s-1", 4711)
    assert jetstream.sequence(Message("_INBOX.1", "", b"", PUSHED)) == 4711


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
    assert jetstream.stored_at(headers) == at
    assert jetstream.stored_at(b"NATS/1.0\r\n\r\n") == 0


@pytest.mark.parametrize("headers", [b"", b"NATS/1.0\r\n\r\n", b"NATS/1.0\r\nNats-Subject: t.a\r\n\r\n"])
def test_a_message_that_is_not_stored_names_no_subject(headers: bytes) -> None:
    with pytest.raises(ValueError, match="not found"):
        jetstream.stored_as(headers)


@pytest.mark.parametrize(
    ("headers", "expired"),
    [({"Nats-Marker-Reason": "MaxAge"}, True), ({"Nats-Marker-Reason": "Remove"}, False), (None, False)],
)
def test_only_a_marker_of_its_age_says_that_a_key_expired(
    headers: dict[str, str] | None, expired: bool
) -> None:
    assert jetstream.has_expired(headers) is expired


def test_a_question_is_the_json_that_jetstream_reads() -> None:
    assert json.loads(jetstream.last_message_of("a.b")) == {"last_by_subj": "a.b"}
    assert json.loads(jetstream.last_messages_of(["a.*", "b"])) == {"multi_last": ["a.*", "b"]}
    assert json.loads(jetstream.last_messages_since(["a.*", "b"], 5)) == {
        "multi_last": ["a.*", "b"],
        "seq": 5,
    }
    assert json.loads(jetstream.few_last_messages_of(["a.*"], 5)) == {"multi_last": ["a.*"], "batch": 5}
    assert json.loads(jetstream.count_of("a.*")) == {"multi_last": ["a.*"], "batch": 1}
    assert json.loads(jetstream.message_at(5)) == {"seq": 5}
    assert json.loads(jetstream.kept_of("a.b")) == {"subjects_filter": "a.b"}
    assert json.loads(jetstream.deletion_of(17)) == {"seq": 17, "no_erase": True}
    assert json.loads(jetstream.messages_of("a.b", 5, 257, 1000)) == {
        "seq": 5,
        "batch": 257,
        "max_bytes": 1000,
        "next_by_subj": "a.b",
    }


def test_a_publish_that_was_stored_has_a_sequence() -> None:
    answer = jetstream.read_published(b'{"stream":"KV_t", "seq":17}')

    assert (answer.seq, answer.duplicate, answer.error) == (17, False, None)


def test_a_publish_that_was_had_before_is_a_duplicate() -> None:
    assert jetstream.read_published(b'{"stream":"MAILBOX_t", "seq":17,"duplicate": true}').duplicate


@pytest.mark.parametrize(("err_code", "is_conflict"), [(10071, True), (10164, True), (10077, False)])
def test_a_write_over_another_revision_is_a_conflict(err_code: int, is_conflict: bool) -> None:
    answer = jetstream.read_published(
        b'{"error":{"code":400,"err_code":%d,"description":"wrong last sequence: 7"},"seq":0}' % err_code
    )

    assert answer.error is not None
    assert answer.error.is_conflict is is_conflict
    assert not answer.error.is_not_found


def test_a_message_from_the_leader_is_decoded() -> None:
    answer = jetstream.read_message(
        b'{"type":"io.nats.jetstream.api.v1.stream_msg_get_response",'
        b'"message":{"subject":"$KV.t.a","seq":3,"hdrs":"TkFUUw==","data":"AAEC","time":"2025-11-28T21:14:49Z"}}'
    )

    assert answer.message == jetstream.StoredMessage(3, b"\x00\x01\x02")


def test_a_message_that_is_not_there_is_not_found() -> None:
    answer = jetstream.read_message(
        b'{"error":{"code":404,"err_code":10037,"description":"no message found"}}'
    )

    assert answer.message is None
    assert answer.error is not None
    assert answer.error.is_not_found


def test_a_stream_tells_how_much_it_keeps() -> None:
    answer = jetstream.read_stream(b'{"config":{"name":"KV_t"},"state":{"messages":2,"bytes":1024}}')

    assert answer.state == jetstream.StreamState(1024)
    assert answer.error is None


def test_a_stream_tells_of_which_subjects_it_keeps_messages() -> None:
    answer = jetstream.read_stream(b'{"state":{"bytes":1,"subjects":{"a.b":2},"num_subjects":9}}')

    assert answer.state is not None
    assert answer.state.subjects == {"a.b": 2}


def test_a_stream_that_is_not_there_has_no_state() -> None:
    answer = jetstream.read_stream(
        b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}'
    )

    assert answer.state is None
    assert answer.error is not None
    assert answer.error.is_not_found


def test_an_error_says_whether_room_would_help() -> None:
    assert all(jetstream.Error(500, code).is_no_room for code in (10002, 10023, 10077))
    assert not jetstream.Error(400, 10071).is_no_room


def test_a_stream_tells_the_age_of_its_oldest_and_its_limit() -> None:
    answer = {
        "config": {"max_bytes": 1024},
        "state": {"bytes": 3, "first_ts": "2026-11-29T02:28:03.652303366Z"},
        "ts": "2026-11-29T02:28:05.652303366Z",
    }
    stream = jetstream.read_stream(json.dumps(answer).encode())
    assert stream.state is not None
    assert (stream.ts - stream.state.first_ts).total_seconds() == 2
    assert stream.max_bytes == 1024


def test_a_stream_without_a_limit_may_keep_what_there_is_room_for() -> None:
    assert jetstream.read_stream(b'{"config":{"max_bytes":-1}}').max_bytes == 0


def test_the_end_of_an_answer_says_how_many_messages_were_left() -> None:
    end = block(
        {"Nats-Num-Pending": "17", "Nats-Last-Sequence": "149"},
    )
    assert jetstream.pending(Message("r", "", b"", end)) == 17
    assert jetstream.pending(Message("r", "", b"", b"NATS/1.0 404 No Results\r\n\r\n")) == 0


FORGED = (
    b"NATS/1.0 503\r\nNats-Sequence: 9999\r\nNats-Subject: t.user.eve.s\r\nNats-Last-Sequence: 9998\r\n"
    b"Nats-Num-Pending: 7\r\n"
)
"""What a publisher may write: the stream's own words, which JetStream puts behind them, are read alone."""


def test_headers_that_a_publisher_has_forged_are_not_read() -> None:
    forged = FORGED + PUSHED.removeprefix(b"NATS/1.0\r\n")
    message = Message("t.live.user.bob.s", "", b"", forged)
    assert jetstream.position(forged) == (4700, 4711)
    assert jetstream.stored_as(forged) == jetstream.stored_as(PUSHED)
    assert jetstream.sequence(message) == 4711
    assert message.status == ""


def test_the_answer_to_a_direct_get_is_no_republished_message() -> None:
    got = PUSHED.replace(b"Nats-Last-Sequence", b"Nats-Num-Pending: 3\r\nNats-Last-Sequence")
    assert jetstream.pending(Message("", "", b"", got)) == 3
    with pytest.raises(ValueError, match="no stream has republished it"):
        jetstream.position(got)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"seq":"x","message":"x","state":"x","ack_floor":"x"}',
        b'{"error":' + b"[" * 100_000,
    ],
)
def test_what_is_no_answer_of_jetstream_s_says_nothing(answer: bytes) -> None:
    assert jetstream.read_published(answer).error == jetstream.NO_ANSWER_OF_JETSTREAM
    assert jetstream.read_message(answer).error == jetstream.NO_ANSWER_OF_JETSTREAM
    assert jetstream.read_stream(answer).error == jetstream.NO_ANSWER_OF_JETSTREAM
    assert jetstream.read_floor(answer) is None
    assert jetstream.read_last_sequence(answer) is None


def test_how_far_a_stream_and_its_consumer_have_come_is_read() -> None:
    assert jetstream.read_floor(b'{"ack_floor":{"consumer_seq":3,"stream_seq":41}}') == 41
    assert jetstream.read_last_sequence(b'{"state":{"messages":1,"first_seq":7,"last_seq":42}}') == 42
    missing = b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}'
    assert jetstream.read_floor(missing) is None
    assert jetstream.read_last_sequence(missing) is None
