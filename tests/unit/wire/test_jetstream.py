"""What JetStream is asked, byte for byte.

That it understands the questions is tried in `tests/contract` and `tests/broker`.
"""

import json

import pytest

from tieline.wire import jetstream, jetstream_answers


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
    begun = jetstream_answers.read_watch(b'{"delivered":{"consumer_seq":0,"stream_seq":7}}')
    assert begun.delivered is not None
    assert begun.delivered.stream_seq == 7
    refused = jetstream_answers.read_watch(
        b'{"error":{"code":404,"err_code":10059,"description":"stream not found"}}'
    )
    assert (refused.delivered, refused.error and refused.error.err_code) == (None, 10059)
    assert jetstream_answers.read_watch(b"\xff") == jetstream_answers.Watching()


def test_what_waits_is_asked_for_and_put_off_as_jetstream_has_it() -> None:
    assert json.loads(jetstream.waiting_messages(5)) == {"batch": 5, "no_wait": True}
    assert jetstream.again_after(0.5) == b'-NAK {"delay":500000000}'
    assert jetstream.ACKNOWLEDGED == b"+ACK"


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


def test_what_has_replaced_a_message_is_asked_for_from_behind_it() -> None:
    assert json.loads(jetstream.newer_message_of("a.b", 7)) == {"seq": 8, "next_by_subj": "a.b"}
