"""What the answers of JetStream are read as. They were taken from a real broker."""

import json

import pytest

from tieline.wire import jetstream_answers


def test_what_was_to_follow_another_message_may_be_refused() -> None:
    answer = b'{"error":{"code":400,"err_code":10070,"description":"wrong last msg ID: 5d"},"seq":0}'
    error = jetstream_answers.read_published(answer).error
    assert error is not None
    assert error.is_overtaken
    assert not error.is_conflict


def test_messages_that_are_stored_together_are_answered_so() -> None:
    assert jetstream_answers.read_published(b'{"stream":"S","seq":3,"batch":"b","count":2}').batch == "b"
    assert jetstream_answers.read_published(b'{"stream":"S","seq":3}').batch == ""


def test_a_publish_that_was_stored_has_a_sequence() -> None:
    answer = jetstream_answers.read_published(b'{"stream":"KV_t", "seq":17}')

    assert (answer.seq, answer.duplicate, answer.error) == (17, False, None)


def test_a_publish_that_was_had_before_is_a_duplicate() -> None:
    assert jetstream_answers.read_published(b'{"stream":"MAILBOX_t", "seq":17,"duplicate": true}').duplicate


@pytest.mark.parametrize(("err_code", "is_conflict"), [(10071, True), (10164, True), (10077, False)])
def test_a_write_over_another_revision_is_a_conflict(err_code: int, is_conflict: bool) -> None:
    answer = jetstream_answers.read_published(
        b'{"error":{"code":400,"err_code":%d,"description":"wrong last sequence: 7"},"seq":0}' % err_code
    )

    assert answer.error is not None
    assert answer.error.is_conflict is is_conflict
    assert not answer.error.is_not_found


def test_a_message_from_the_leader_is_decoded() -> None:
    answer = jetstream_answers.read_message(
        b'{"type":"io.nats.jetstream.api.v1.stream_msg_get_response",'
        b'"message":{"subject":"$KV.t.a","seq":3,"hdrs":"TkFUUw==","data":"AAEC","time":"2025-11-28T21:14:49Z"}}'
    )

    assert answer.message == jetstream_answers.StoredMessage(3, b"\x00\x01\x02")


def test_a_message_that_is_not_there_is_not_found() -> None:
    answer = jetstream_answers.read_message(
        b'{"error":{"code":404,"err_code":10037,"description":"no message found"}}'
    )

    assert answer.message is None
    assert answer.error is not None
    assert answer.error.is_not_found


def test_a_stream_tells_how_much_it_keeps() -> None:
    answer = jetstream_answers.read_stream(b'{"config":{"name":"KV_t"},"state":{"messages":2,"bytes":1024}}')

    assert answer.state == jetstream_answers.StreamState(1024)
    assert answer.error is None


def test_a_stream_tells_of_which_subjects_it_keeps_messages() -> None:
    answer = jetstream_answers.read_stream(b'{"state":{"bytes":1,"subjects":{"a.b":2},"num_subjects":9}}')

    assert answer.state is not None
    assert answer.state.subjects == {"a.b": 2}


def test_a_stream_that_is_not_there_has_no_state() -> None:
    answer = jetstream_answers.read_stream(
        b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}'
    )

    assert answer.state is None
    assert answer.error is not None
    assert answer.error.is_not_found


def test_an_error_says_whether_room_would_help() -> None:
    assert all(jetstream_answers.Error(500, code).is_no_room for code in (10002, 10023, 10077))
    assert not jetstream_answers.Error(400, 10071).is_no_room


def test_a_stream_tells_the_age_of_its_oldest_and_its_limit() -> None:
    answer = {
        "config": {"max_bytes": 1024},
        "state": {"bytes": 3, "first_ts": "2026-11-29T02:28:03.652303366Z"},
        "ts": "2026-11-29T02:28:05.652303366Z",
    }
    stream = jetstream_answers.read_stream(json.dumps(answer).encode())
    assert stream.state is not None
    assert (stream.ts - stream.state.first_ts).total_seconds() == 2
    assert stream.max_bytes == 1024


def test_a_stream_without_a_limit_may_keep_what_there_is_room_for() -> None:
    assert jetstream_answers.read_stream(b'{"config":{"max_bytes":-1}}').max_bytes == 0


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"seq":"x","message":"x","state":"x","ack_floor":"x","delivered":"x"}',
        b'{"error":' + b"[" * 100_000,
    ],
)
def test_what_is_no_answer_of_jetstream_s_says_nothing(answer: bytes) -> None:
    assert jetstream_answers.read_published(answer).error == jetstream_answers.NO_ANSWER_OF_JETSTREAM
    assert jetstream_answers.read_message(answer).error == jetstream_answers.NO_ANSWER_OF_JETSTREAM
    assert jetstream_answers.read_stream(answer).error == jetstream_answers.NO_ANSWER_OF_JETSTREAM
    assert jetstream_answers.read_floor(answer) is None
    assert jetstream_answers.read_handed_out(answer) == 0
    assert jetstream_answers.read_stream(answer).state is None


def test_how_far_a_stream_and_its_consumer_have_come_is_read() -> None:
    consumer = (
        b'{"ack_floor":{"consumer_seq":3,"stream_seq":41},"delivered":{"consumer_seq":5,"stream_seq":43}}'
    )
    assert jetstream_answers.read_floor(consumer) == 41
    assert jetstream_answers.read_handed_out(consumer) == 43
    state = jetstream_answers.read_stream(
        b'{"state":{"messages":1,"bytes":9,"first_seq":7,"last_seq":42}}'
    ).state
    assert state is not None
    assert state.last_seq == 42
    missing = b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}'
    assert jetstream_answers.read_floor(missing) is None
    assert jetstream_answers.read_handed_out(missing) == 0
    refused = jetstream_answers.read_stream(missing)
    assert refused.state is None
    assert refused.error is not None
    assert refused.error.is_not_found


@pytest.mark.parametrize(("err_code", "is_no_message"), [(10037, True), (10059, False)])
def test_a_stream_that_lacks_a_message_is_there(err_code: int, is_no_message: bool) -> None:
    answer = jetstream_answers.read_message(b'{"error":{"code":404,"err_code":%d}}' % err_code)
    assert answer.error is not None
    assert answer.error.is_not_found
    assert answer.error.is_no_message is is_no_message
