"""Of which records the leader is asked before a reply is believed."""

import pytest

from presence.rules.change import Change, Gathered, ListRoom, Reply
from presence.rules.doubts import changes_nothing, doubted
from tests.unit.presence.rules.people import online
from tieline.wire.ids import RoomId, SessionId
from tieline.wire.internal.answers import Done, Refused, SessionGone

USERS, PAIR = ("user.alice", "user.bob"), "pair.alice.bob"
ALL = (*USERS, PAIR)


@pytest.mark.parametrize(
    ("reply", "named"),
    [
        (Refused("UNKNOWN_COMMAND"), ()),
        (Refused("TOO_MANY_CANDIDATES"), (PAIR,)),
        (Refused("TARGET_OFFLINE"), ALL),
        (SessionGone(replaced=False), ALL),
        (Done(), ()),
        (Gathered((Done(), Refused("TOO_MANY_CANDIDATES")), looks=0), (PAIR,)),
        (Gathered((Refused("TARGET_OFFLINE"), Refused("TOO_MANY_CANDIDATES")), looks=0), ALL),
    ],
    ids=str,
)
def test_what_could_be_wrong_by_an_old_record_is_doubted(reply: Reply, named: tuple[str, ...]) -> None:
    assert doubted(reply, USERS, PAIR) == named


def test_a_change_without_a_write_is_doubted_but_for_a_list() -> None:
    assert changes_nothing(Change(Done()))
    assert not changes_nothing(Change(ListRoom(RoomId("hall"))))
    assert not changes_nothing(Change(Done(), online(SessionId("s"), [RoomId("hall")])))
