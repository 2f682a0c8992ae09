"""Every message that may be sent has its word, its answers and its sample."""

from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from tests.unit.wire.internal.messages import PRESENCE_REPLIES, REQUESTS, ROUTER_REPLIES
from tieline.wire.ids import ConnectionId
from tieline.wire.internal.backend import JoinOrder
from tieline.wire.internal.directions import ANSWERS, OPERATIONS, PresenceReply, PresenceRequest, RouterReply
from tieline.wire.internal.rooms import RoomChange
from tieline.wire.internal.sessions import CloseSession, Replaced
from tieline.wire.internal.signals import Check


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


def names_connections(kind: Any) -> bool:  # any type
    """Whether a message of a type may name a connection."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and get_origin(kind) is None:
        return any(map(names_connections, get_type_hints(kind).values()))
    return kind is ConnectionId or any(map(names_connections, get_args(kind)))


def test_what_all_gateways_hear_names_no_living_connection() -> None:
    by_presence = {reply for ask, replies in ANSWERS.items() if ask is not Check for reply in replies}
    heard = (*by_presence, *get_args(RouterReply), JoinOrder, RoomChange, CloseSession)
    assert {kind for kind in heard if names_connections(kind)} == {CloseSession, Replaced}
