"""Every message that may be sent has its word, its answers and its sample."""

from typing import get_args

from tests.unit.wire.internal.messages import PRESENCE_REPLIES, REQUESTS, ROUTER_REPLIES
from tieline.wire.internal.directions import ANSWERS, OPERATIONS, PresenceReply, PresenceRequest, RouterReply


def test_every_member_of_every_union_is_sampled() -> None:
    assert {type(message) for message in REQUESTS} == set(get_args(PresenceRequest))
    assert {type(message) for message in PRESENCE_REPLIES} == set(get_args(PresenceReply))
    assert {type(message) for message in ROUTER_REPLIES} == set(get_args(RouterReply))


def test_every_presence_request_has_a_word_for_its_subject() -> None:
    words = list(OPERATIONS.values())

    assert set(OPERATIONS) == set(get_args(PresenceRequest))
    assert len(set(words)) == len(words)
    assert all(word.isascii() and word.isalpha() for word in words)


def test_each_request_has_its_answers() -> None:
    assert ANSWERS.keys() == set(get_args(PresenceRequest))
