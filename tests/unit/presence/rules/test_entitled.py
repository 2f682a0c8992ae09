"""What a token entitles to, and what becomes of a session whose token is over."""

import functools

import msgspec
import pytest

from presence.rules import room, session
from presence.rules.change import Change, Facts, Prepare, Rule, Step
from presence.rules.entitled import (
    APART_MS,
    BEYOND,
    Entitled,
    checked,
    excess,
    grant_of,
    granting,
    in_time,
    is_over,
    joining,
)
from presence.rules.negotiated import Negotiation
from presence.rules.standing import Standing
from presence.rules.user import Grant, Session, User, with_session
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.rules.people import NOTE, away, ended, prepared, record_of
from tieline.verification.tokens import Claims
from tieline.wire.ids import ConnectionId, GatewayId, RoomId, SecretHash, SessionId, UserId
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.rooms import JoinRoom, ListMembers
from tieline.wire.internal.sessions import Opened, OpenSession, Regrant
from tieline.wire.internal.signals import Relay
from tieline.wire.subjects import Keys

ALICE, S1, C1 = UserId("alice"), SessionId("alice-s1"), ConnectionId("alice-c1")
HALL, CELLAR = RoomId("hall"), RoomId("cellar")
CLAIMS = Claims("alice", NOW / 1000 + 60, rooms=("hall",), join=("cellar", "hall"))
GRANT = Grant(NOW + 60_000, (HALL, CELLAR))
OVER = Facts(GRANT.until + APART_MS + 1)


def regrant(*granted: str, voice: bool = True, user: UserId = ALICE) -> Regrant:
    rooms = tuple(RoomId(room) for room in granted)
    return Regrant(user, S1, voice, rooms, (RoomId("attic"),), C1)


# What a token entitles to.


@pytest.mark.parametrize(
    "ask",
    [
        opening("alice", "hall", granted=("hall", "cellar")),
        opening("alice", granted=(), voice=False),
        registering(opening("alice"), {"hall": NOW, "cellar": NOW}),
        regrant("hall"),
    ],
    ids=repr,
)
def test_a_gateway_may_ask_for_what_the_token_says(ask: Entitled) -> None:
    assert excess(ask, CLAIMS) is None


@pytest.mark.parametrize(
    ("ask", "found"),
    [
        (opening("bob", granted=("hall",)), "user"),
        (registering(opening("bob"), {}), "user"),
        (regrant(user=UserId("bob")), "user"),
        (opening("alice", granted=None), "rooms"),
        (opening("alice", granted=("hall", "attic")), "rooms"),
        (opening("alice", "attic", granted=("hall",)), "rooms"),
        (regrant("attic"), "rooms"),
        (msgspec.structs.replace(regrant(), granted=None), "rooms"),
    ],
    ids=repr,
)
def test_but_for_nothing_beyond(ask: Entitled, found: str) -> None:
    assert excess(ask, CLAIMS) == found


def test_who_may_not_speak_gets_no_voice() -> None:
    silent = msgspec.structs.replace(CLAIMS, voice=False)
    assert excess(opening("alice", granted=("hall",)), silent) == "voice"
    assert excess(regrant("hall"), silent) == "voice"
    assert excess(regrant("hall", voice=False), silent) is None


def test_a_token_for_all_rooms_entitles_to_any() -> None:
    everywhere = msgspec.structs.replace(CLAIMS, rooms="*")
    assert excess(opening("alice", "attic"), everywhere) is None
    assert excess(registering(opening("alice"), {"attic": NOW}), everywhere) is None
    assert grant_of(everywhere) == Grant(GRANT.until, None)


def test_what_is_kept_of_a_token_names_each_room_once() -> None:
    assert grant_of(CLAIMS) == GRANT


# A session holds what its token grants.


def opens(ask: OpenSession, grant: Grant | None) -> Rule[User]:
    return granting(functools.partial(session.open_session, ask), ask, grant)


def began(ask: OpenSession, grant: Grant | None = GRANT, user: User | None = None) -> User:
    rule = opens(ask, grant)
    return record_of(rule(user, {}, prepared(rule(user, {}, Facts(NOW)))))


def test_a_session_that_begins_has_a_grant() -> None:
    assert began(opening("alice", "hall")).session.grant == GRANT
    assert began(opening("alice", "hall"), None).session.grant is None


def test_a_session_that_ends_an_older_one_has_its_own() -> None:
    older = began(opening("alice"))
    newer = Grant(GRANT.until + 1, ())
    ending = opens(opening("alice", number=2), newer)(older, {}, Facts(NOW))
    assert isinstance(ending, Change)
    assert ending.then is not None
    assert record_of(ending).session.grant == GRANT  # whose it is no more, and nobody's yet
    over = record_of(ending)
    begun = record_of(ending.then(over, {}, prepared(ending.then(over, {}, Facts(NOW)))))
    assert begun.session.grant == newer


def test_a_session_that_is_resumed_has_that_of_the_later_token() -> None:
    waiting = away(began(opening("alice", secret="hers")))
    later = Grant(GRANT.until + 1, None)
    ask = opening("alice", number=2, resume="hers")
    resumed = record_of(opens(ask, later)(waiting, {}, Facts(NOW, Prepare(S1, GatewayId("g1")), NOTE)))
    assert resumed.session.grant == later


def test_the_same_opening_again_changes_nothing() -> None:
    step = opens(opening("alice"), GRANT)(began(opening("alice")), {}, Facts(NOW))
    assert isinstance(step, Change)
    assert isinstance(step.reply, Opened)
    assert step.record is None


def test_nor_does_one_that_is_refused() -> None:
    gone = ended(began(opening("alice")))
    step = opens(opening("alice"), Grant(0, None))(gone, {}, Facts(NOW))
    assert isinstance(step, Change)
    assert (type(step.reply), step.record) == (SessionGone, None)


def registers(grant: Grant | None, user: User | None) -> User | None:
    ask = registering(opening("alice"), {"hall": NOW})
    rule = granting(functools.partial(session.register, ask), ask, grant)
    step = rule(user, {}, Facts(NOW))
    if isinstance(step, Prepare):
        step = rule(user, {}, prepared(step))
    assert isinstance(step, Change)
    return step.record


@pytest.mark.parametrize("user", [None, began(opening("bob", "attic")), began(opening("alice", "hall"))])
def test_a_session_is_restored_in_no_room_beyond_its_token(user: User | None) -> None:
    ask = registering(opening("alice"), {"hall": NOW, "attic": NOW})
    step = granting(functools.partial(session.register, ask), ask, GRANT)(user, {}, Facts(NOW))
    assert step == Change(BEYOND)


def test_but_where_its_record_or_the_backend_says_so() -> None:
    ask = registering(opening("alice"), {"attic": NOW})
    rule = granting(functools.partial(session.register, ask), ask, GRANT)
    assert rule(ended(began(opening("alice", "attic"))), {}, Facts(NOW)) != Change(BEYOND)
    given = msgspec.msgpack.encode(Standing(given=(RoomId("attic"),)))
    assert rule(None, {}, Facts(NOW, read={Keys.standing(ALICE): (given, 1)})) != Change(BEYOND)
    anywhere = granting(functools.partial(session.register, ask), ask, Grant(GRANT.until, None))
    assert anywhere(None, {}, Facts(NOW)) != Change(BEYOND)


def test_a_session_that_is_restored_has_what_its_token_grants() -> None:
    restored = registers(GRANT, None)
    assert restored is not None
    assert restored.session.grant == GRANT
    before = registers(None, None)
    known = registers(GRANT, before)
    assert known is not None
    assert known.session.grant == GRANT


def test_but_a_newer_token_that_came_before_that_counts() -> None:
    newer = Grant(GRANT.until + 1, None)
    assert registers(GRANT, began(opening("alice", "hall"), newer)) is None


def regranted(grant: Grant | None, user: User | None, ask: Regrant) -> Step[User]:
    return granting(functools.partial(session.regrant, ask), ask, grant)(user, {}, Facts(NOW))


def test_a_newer_token_that_changes_nothing_else_lives_longer() -> None:
    newer = Grant(GRANT.until + 1, GRANT.rooms)
    step = regranted(newer, began(opening("alice")), regrant("hall", "cellar"))
    assert record_of(step).session.grant == newer


@pytest.mark.parametrize("connection", ["", "alice-c1"])
def test_a_process_that_does_not_look_forgets_the_grant(connection: str) -> None:
    ask = msgspec.structs.replace(regrant("hall"), connection=ConnectionId(connection))
    assert record_of(regranted(None, began(opening("alice")), ask)).session.grant is None


def test_a_token_of_another_connection_grants_nothing() -> None:
    another = msgspec.structs.replace(regrant("hall"), connection=ConnectionId("alice-c2"))
    assert regranted(Grant(0, None), began(opening("alice")), another) == Change(SessionGone(replaced=True))
    assert regranted(Grant(0, None), None, regrant("hall")) == Change(SessionGone(replaced=False))


def test_what_is_done_for_another_connection_grants_nothing() -> None:
    """No rule does, and none could do harm."""

    def done(_user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        return Change(Done())

    alice = began(opening("alice"))
    another = msgspec.structs.replace(regrant(), connection=ConnectionId("alice-c2"))
    assert granting(done, another, Grant(0, None))(alice, {}, Facts(NOW)) == Change(Done())
    assert granting(done, regrant(), GRANT)(None, {}, Facts(NOW)) == Change(Done())
    assert granting(done, regrant(), Grant(0, None))(ended(alice), {}, Facts(NOW)) == Change(Done())


# What it holds counts.


def granted(grant: Grant | None) -> User:
    live = Session(S1, GatewayId("g"), C1, SecretHash(b""), "online", grant=grant)
    return User((live,), voice=True, rooms={})


@pytest.mark.parametrize(
    ("user", "may"),
    [
        (granted(GRANT), True),
        (granted(Grant(GRANT.until, None)), True),
        (granted(None), True),
        (None, True),  # which the rule itself knows better
        (granted(Grant(GRANT.until, (CELLAR,))), False),
    ],
)
def test_a_room_is_joined_if_the_token_grants_it(user: User | None, may: bool) -> None:
    def join(_ask: JoinRoom, _user: User | None, _beside: object, _facts: Facts) -> Step[User]:
        return Change(Done())

    step = joining(join)(JoinRoom(ALICE, S1, HALL), user, {}, Facts(NOW))
    assert step == Change(Done() if may else Refused("ROOM_FORBIDDEN"))


def test_a_token_is_over_when_no_clock_can_say_otherwise() -> None:
    assert not is_over(None, OVER.now)
    assert not is_over(granted(None), OVER.now)
    assert not is_over(granted(GRANT), OVER.now - 1)
    assert is_over(granted(GRANT), OVER.now)


@pytest.mark.parametrize("facts", [Facts(NOW), OVER])
def test_whose_token_is_over_is_answered_nothing(facts: Facts) -> None:
    alice = with_session(granted(GRANT), granted(GRANT).session)
    gone = SessionGone(replaced=False)

    def relay(_record: Negotiation | None, _beside: object, _facts: Facts) -> Step[Negotiation]:
        return Change(Relay("relayed", ()))

    listed = in_time(room.list_members)(ListMembers(ALICE, S1, HALL), alice, {}, facts)
    judged = checked(ALICE, relay)(None, {ALICE: alice}, facts)
    assert isinstance(listed, Change)
    assert isinstance(judged, Change)
    if facts is OVER:
        assert listed.reply == judged.reply == gone
    else:
        assert (listed.reply, judged.reply) == (Refused("NOT_IN_SAME_ROOM"), Relay("relayed", ()))
