"""An order counts while no later one about the same thing is carried out, and while it is not answered."""

from collections.abc import Mapping

import pytest

from presence.record_codec import encode
from presence.rules.change import Change, Facts, LookAt, Step
from presence.rules.closing import Closing, write
from presence.rules.orders import (
    ANSWERED,
    OTHER_COPY,
    OVERTAKEN,
    VOICE,
    WAITED_MS,
    Named,
    Place,
    encode_named,
    in_place,
    joining,
    of_room,
    read_named,
    unless_answered,
    waited_until,
)
from presence.rules.standing import Standing
from presence.rules.user import User
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.rules.people import online
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Done, Refused
from tieline.wire.internal.backend import Affected
from tieline.wire.internal.rooms import JoinRoom, RoomJoined
from tieline.wire.subjects import Keys

ALICE, HALL = UserId("alice"), RoomId("hall")
PLACE = Place(ALICE, of_room(HALL), 7, "0a", room=HALL)
DONE = Change[User](Done())
JOINED = Change[User](RoomJoined(1))
CLAIMED = Named(b"", b"", NOW, 7)
AFFECTED = Named(b"", codec.encode(Affected(3)))


def rule(_user: User | None, _beside: Mapping[UserId, User], _facts: Facts) -> Step[User]:
    return DONE


def facts(
    standing: Standing | None = None,
    named: Named | bytes = CLAIMED,
    closing: Closing | None = None,
    now: int = NOW,
) -> Facts:
    name = named if isinstance(named, bytes) else encode_named(named)
    return Facts(
        now,
        read={
            Keys.standing(ALICE): (b"" if standing is None else encode(standing), 1),
            Keys.once("0a"): (name, 2),
            Keys.closing(HALL): (b"" if closing is None else write(closing), 3),
        },
    )


def newest(number: int, what: str = of_room(HALL)) -> Standing:
    return Standing(orders=((what, number),))


def test_an_order_looks_first_at_what_may_have_overtaken_it() -> None:
    keys = (Keys.standing(ALICE), Keys.closing(HALL), Keys.once("0a"))
    assert in_place(PLACE, rule)(None, {}, Facts(NOW)) == LookAt(keys)
    closing = Place(ALICE, of_room(HALL), 7, closing=HALL)
    assert in_place(closing, rule)(None, {}, Facts(NOW)) == LookAt(keys[:2])
    assert in_place(Place(ALICE, VOICE, 7, "0a"), rule)(None, {}, Facts(NOW)) == LookAt(keys[::2])


@pytest.mark.parametrize(
    "found",
    [
        facts(),
        facts(newest(7)),
        facts(newest(8, VOICE)),
        facts(closing=Closing(b"", 0, number=7)),
        facts(named=b"?"),
        facts(named=Named(b"", b"?")),
        facts(named=Named(b"", codec.encode(Done()))),
    ],
)
def test_what_nothing_has_overtaken_counts(found: Facts) -> None:
    assert in_place(PLACE, rule)(None, {}, found) is DONE


@pytest.mark.parametrize(
    "found",
    [facts(newest(8)), facts(closing=Closing(b"", 0, number=8)), facts(newest(8), AFFECTED)],
)
def test_what_a_later_order_has_overtaken_changes_nothing(found: Facts) -> None:
    assert in_place(PLACE, rule)(None, {}, found) == Change(OVERTAKEN)


@pytest.mark.parametrize("answer", [Affected(3), Refused("ROOM_FULL")])
def test_what_is_answered_changes_nothing_more(answer: Affected | Refused) -> None:
    found = facts(named=Named(b"", codec.encode(answer)))
    assert in_place(PLACE, rule)(None, {}, found) == Change(answer)


@pytest.mark.parametrize(("named", "claim"), [(CLAIMED, 1), (b"?", 1), (b"", 0), (b"", 2)])
def test_where_another_copy_has_begun_this_one_changes_nothing(named: Named | bytes, claim: int) -> None:
    found = facts(named=named)  # its revision is 2
    assert in_place(PLACE._replace(claim=claim), rule)(None, {}, found) == Change(OTHER_COPY)
    assert unless_answered("0a", claim, rule)(None, {}, found) == Change(OTHER_COPY)
    if named != b"":
        assert in_place(PLACE._replace(claim=2), rule)(None, {}, found) is DONE


def test_who_is_put_out_of_a_room_is_only_while_it_is_being_closed() -> None:
    place = Place(ALICE, of_room(HALL), 7, closing=HALL)
    assert in_place(place, rule)(None, {}, facts(closing=Closing(b"", 0, number=7))) is DONE
    for over in (Closing(b"", 0, number=7, is_done=True), None):
        assert in_place(place, rule)(None, {}, facts(closing=over)) == Change(Affected(0))


def test_what_nothing_takes_back_counts_until_it_is_answered() -> None:
    once = unless_answered("0a", 2, rule)
    assert once(None, {}, Facts(NOW)) == LookAt((Keys.once("0a"),))
    assert once(None, {}, facts()) is DONE
    assert once(None, {}, facts(named=AFFECTED)) == Change(Affected(3))
    assert waited_until(NOW * 1000 + 999) == NOW + WAITED_MS


def join(is_ordered: bool, found: Facts, order: int = 7, user: User | None = None) -> Step[User]:
    ask = JoinRoom(ALICE, SessionId("s"), HALL, is_ordered=is_ordered, order=order, once="0a")
    return joining(lambda _ask, _user, _beside, _facts: JOINED)(ask, user, {}, found)


def test_a_gateway_puts_in_whom_the_order_still_wants_in() -> None:
    assert join(True, facts()) is JOINED
    assert isinstance(join(True, Facts(NOW)), LookAt)
    assert join(True, facts(newest(8))) == Change(OVERTAKEN)
    assert join(True, facts(named=AFFECTED)) == Change(ANSWERED)
    assert join(True, facts(named=b"")) == Change(ANSWERED)


def test_who_asks_itself_is_in_no_order() -> None:
    assert join(False, facts(newest(8), AFFECTED)) is JOINED


@pytest.mark.parametrize("found", [facts(newest(8)), facts(named=AFFECTED)], ids=["overtaken", "answered"])
def test_a_gateway_that_does_not_know_yet_hears_who_is_in(found: Facts) -> None:
    assert join(True, found, user=online(SessionId("s"), [HALL])) is JOINED
    for other in (online(SessionId("s")), online(SessionId("another"), [HALL])):
        assert join(True, found, user=other) != JOINED


def test_who_presence_says_is_a_member_is_in_no_order() -> None:
    assert join(True, facts(newest(8), AFFECTED), order=0) is JOINED


@pytest.mark.parametrize("value", [b"", b"?"])
def test_a_name_that_cannot_be_read_says_nothing(value: bytes) -> None:
    assert read_named(value) is None
    assert read_named(encode_named(CLAIMED)) == CLAIMED
