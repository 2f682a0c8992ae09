"""What the backend has decided about a user: how it changes, and how long it is kept."""

from collections.abc import Callable

import msgspec
import pytest

from presence.record_codec import encode
from presence.rules import standing
from presence.rules.change import Change, Facts, Prepare, Step
from presence.rules.standing import NONE, NUMBERS_KEPT_MS, Standing
from presence.rules.user import Session, User
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.rules.people import online, record_of
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import Done, Refused
from tieline.wire.internal.rooms import JoinRoom
from tieline.wire.internal.sessions import OpenSession
from tieline.wire.subjects import Keys

ALICE, HALL, CELLAR, ATTIC = UserId("alice"), RoomId("hall"), RoomId("cellar"), RoomId("attic")
LATER = NOW + 60_000
NUMBER = NOW * 1000
ONLINE = User(
    (Session(SessionId("s"), GatewayId("g"), ConnectionId("c"), SecretHash(b""), "online"),), True, {}
)


def facts(decided: Standing | bytes) -> Facts:
    value = decided if isinstance(decided, bytes) else encode(decided)
    return Facts(NOW, read={Keys.standing(ALICE): (value, 1)})


@pytest.mark.parametrize("value", [b"", b"?"])
def test_who_has_none_or_none_that_can_be_read_has_none(value: bytes) -> None:
    assert standing.standing_of(ALICE, facts(value)) == NONE
    assert standing.standing_of(UserId("bob"), facts(value)) == NONE


@pytest.mark.parametrize(
    ("decided", "kept_s"),
    [
        (NONE, 0),
        (Standing(banned_until=LATER), 60),
        (
            Standing(
                kept_out=(
                    (HALL, LATER),
                    (CELLAR, NOW - 1),
                )
            ),
            60,
        ),
        (Standing(banned_until=NOW - 1), 0),
        (Standing(given=(HALL,), banned_until=LATER), None),
        (Standing(is_silenced=True), None),
        (Standing(orders=(("ban", NOW * 1000),)), NUMBERS_KEPT_MS / 1000),
    ],
)
def test_it_is_kept_for_as_long_as_it_says_something(decided: Standing, kept_s: float | None) -> None:
    assert standing.kept_s(decided, NOW) == kept_s


def test_what_is_over_is_forgotten_with_the_next_change() -> None:
    before = Standing(NOW, (), False, ((CELLAR, NOW), (ATTIC, LATER)))
    assert standing.silence(before, True, NOW) == Standing(0, (), True, ((ATTIC, LATER),))
    assert standing.ban(before, LATER, NOW) == Standing(LATER, (), False, ((ATTIC, LATER),))


def test_of_two_orders_about_a_thing_the_later_one_counts() -> None:
    first = standing.in_turn(NONE, "ban", NUMBER, NOW)
    assert first == Standing(orders=(("ban", NUMBER),))
    assert standing.in_turn(first, "ban", NUMBER, NOW) == first
    assert standing.in_turn(first, "ban", NUMBER - 1, NOW) is None
    other = standing.in_turn(first, "voice", NUMBER - 1, NOW)
    assert other is not None
    assert (other.newest("ban"), other.newest("voice"), other.newest("room hall")) == (NUMBER, NUMBER - 1, 0)


def test_orders_are_forgotten_when_older_ones_are_too_late_anyway() -> None:
    first = standing.in_turn(NONE, "ban", NUMBER, NOW)
    assert first is not None
    later = NOW + NUMBERS_KEPT_MS
    assert standing.is_too_old(NUMBER, later)
    assert not standing.is_too_old(NUMBER, later - 1)
    assert standing.in_turn(first, "voice", later * 1000, later) == Standing(
        orders=(("voice", later * 1000),)
    )


def test_a_room_is_given_once_and_then_nobody_is_kept_out() -> None:
    before = Standing(given=(HALL, CELLAR), kept_out=((HALL, LATER),))
    assert standing.give(before, HALL, NOW) == Standing(given=(CELLAR, HALL))


def test_a_room_that_is_taken_is_kept_closed_for_a_while() -> None:
    before = Standing(given=(HALL, CELLAR))
    assert standing.take(before, HALL, LATER, NOW) == Standing(given=(CELLAR,), kept_out=((HALL, LATER),))
    assert standing.take(before, HALL, NOW, NOW) == Standing(given=(CELLAR,))


def asked(decided: Standing, ask: OpenSession) -> OpenSession:
    """What the rule is asked in the place of this."""
    seen: list[OpenSession] = []

    def rule(ask: OpenSession, _user: object, _beside: object, _facts: Facts) -> Step[User]:
        seen.append(ask)
        return Change(Done())

    standing.opening(rule)(ask, None, {}, facts(decided))
    return seen[0]


def test_a_session_begins_in_what_is_given_and_no_closed_room() -> None:
    decided = Standing(given=(HALL,), kept_out=((CELLAR, LATER),), is_silenced=True)
    wanted = asked(decided, opening("alice", "cellar", "attic", granted=("cellar", "attic")))
    assert wanted.join == (HALL, ATTIC)
    assert wanted.granted == (ATTIC, HALL)
    assert not wanted.voice


def test_a_token_for_all_rooms_grants_all() -> None:
    assert asked(Standing(given=(HALL,)), opening("alice")).granted is None


def decided_by(step: Step[User], decided: Standing) -> Step[User]:
    def rule(_ask: OpenSession, _user: object, _beside: object, _facts: Facts) -> Step[User]:
        return step

    return standing.opening(rule)(opening("alice"), None, {}, facts(decided))


def test_what_has_to_be_prepared_is_passed_on() -> None:
    wanted = Prepare(SessionId("s"))
    assert decided_by(wanted, Standing(is_silenced=True)) is wanted


def test_a_session_without_voice_says_what_its_token_says() -> None:
    step = decided_by(Change(Done(), ONLINE), Standing(is_silenced=True))
    assert isinstance(step, Change)
    assert step.record is not None
    assert step.record.session.voice_by_token is True
    assert decided_by(Change(Done(), ONLINE), NONE) == Change(Done(), ONLINE)


def test_a_session_that_ends_says_nothing_of_voice() -> None:
    offline = msgspec.structs.replace(ONLINE.session, status="offline")
    ended = Change(Done(), msgspec.structs.replace(ONLINE, sessions=(offline,)))
    assert decided_by(ended, Standing(is_silenced=True)) is ended


def test_what_is_decided_after_another_end_says_it_too() -> None:
    def then(_user: object, _beside: object, _facts: Facts) -> Step[User]:
        return Change(Done(), ONLINE)

    step = decided_by(Change(Done(), then=then), Standing(is_silenced=True))
    assert isinstance(step, Change)
    assert step.then is not None
    last = step.then(None, {}, facts(NONE))
    assert isinstance(last, Change)
    assert last.record is not None
    assert last.record.session.voice_by_token is True


def by(reason: str) -> Callable[..., Step[User]]:
    return lambda *_: Change(Refused(reason))


@pytest.mark.parametrize(
    ("decided", "reason"),
    [
        (NONE, "by token"),
        (Standing(given=(HALL,)), "by word"),
        (Standing(kept_out=((HALL, LATER),)), "KEPT_OUT"),
        (Standing(given=(HALL,), kept_out=((HALL, LATER),)), "KEPT_OUT"),
        (Standing(kept_out=((HALL, NOW),)), "by token"),
    ],
)
def test_a_room_is_joined_by_the_token_or_by_the_backends_word(decided: Standing, reason: str) -> None:
    rule = standing.joining(by("by token"), by("by word"))
    step = rule(JoinRoom(ALICE, SessionId("s"), HALL), None, {}, facts(decided))
    assert step == Change(Refused(reason))


def test_what_is_refused_again_leaves_its_older_copies_nothing() -> None:
    rule = standing.joining(by("by token"), by("by word"))
    session = online(SessionId("s")).session
    again = JoinRoom(ALICE, session.id, HALL, connection=session.connection, number=1)
    step = rule(again, online(session.id), {}, facts(Standing(kept_out=((HALL, LATER),))))
    assert isinstance(step, Change)
    assert step.reply == Refused("KEPT_OUT")
    assert record_of(step).session.number == 1


def test_an_order_to_join_counts_for_who_is_given_the_room_or_in_it() -> None:
    rule = standing.joining(by("by token"), by("by word"))
    order = JoinRoom(ALICE, SessionId("s"), HALL, is_ordered=True)
    assert rule(order, None, {}, facts(Standing(given=(HALL,)))) == Change(Refused("by word"))
    assert rule(order, None, {}, facts(NONE)) == Change(Refused("KEPT_OUT"))
    assert rule(order, online(SessionId("s"), [HALL]), {}, facts(NONE)) == Change(Refused("by token")), (
        "it has joined by itself"
    )
