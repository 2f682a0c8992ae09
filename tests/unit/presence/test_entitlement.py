"""Presence that looks at tokens itself takes no gateway's word."""

import logging
from typing import Any

import msgspec
import pytest

from presence.entitlement import Entitlement
from presence.rules.entitled import APART_S
from presence.rules.user import Grant
from presence.store import StoreUnavailable
from tests.support.metrics import value_of
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening, registering
from tests.unit.presence.rules.frames import NOW
from tests.unit.verification.issuer import EC, ED, key_set
from tieline import metrics
from tieline.verification.keys import read_key_set, read_pem
from tieline.verification.tokens import Tokens
from tieline.wire.digests import digest
from tieline.wire.ids import AdmissionToken, ConnectionId, RoomId, SessionId, UserId
from tieline.wire.internal.answers import UNPROVEN, Done, Refused, SessionGone
from tieline.wire.internal.backend import AddMember
from tieline.wire.internal.rooms import JoinRoom, ListMembers, RoomMembers
from tieline.wire.internal.sessions import Opened, OpenSession, Regrant
from tieline.wire.internal.signals import Check, Relay

ALICE, HALL, CELLAR = UserId("alice"), RoomId("hall"), RoomId("cellar")
S1, C1 = SessionId("alice-s1"), ConnectionId("alice-c1")
SECONDS = NOW / 1000
BAD = Refused("BAD_TOKEN")


def token(user: str = "alice", life_s: float = 60, **claims: Any) -> AdmissionToken:
    said: dict[str, Any] = {"exp": SECONDS + life_s, "rooms": ["hall"], **claims}
    return AdmissionToken(EC.token(user, **said))


def entitlement(*, takes_none: bool = False) -> Entitlement:
    return Entitlement(Tokens(keys=read_pem(EC.pem), apart_s=APART_S), lambda: NOW, takes_none=takes_none)


def asked(user: str = "alice", *join: str, by: AdmissionToken, **changes: object) -> OpenSession:
    ask = opening(user, *join, granted=("hall",))
    return msgspec.structs.replace(ask, token=by, **changes)


def refused(reason: str) -> float:
    return value_of(metrics.TOKENS_REFUSED.labels(reason))


async def test_what_the_token_says_is_granted() -> None:
    assert await entitlement().judge(asked(by=token())) == Grant(NOW + 60_000, (HALL,))


@pytest.mark.parametrize(
    ("ask", "reason"),
    [
        (asked(by=AdmissionToken("malformed.one")), "bad"),
        (asked(by=AdmissionToken(ED.token("alice", exp=SECONDS + 60, rooms=["hall"]))), "bad"),
        (asked(by=token(life_s=-61)), "bad"),
        (asked(by=token("bob")), "user"),
        (asked(by=token(voice=False)), "voice"),
        (asked(by=token(rooms=["cellar"])), "rooms"),
    ],
)
async def test_what_it_does_not_say_is_refused_and_counted(
    ask: OpenSession, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = refused(reason)
    assert await entitlement().judge(ask) == BAD
    assert refused(reason) == before + 1
    (line,) = caplog.records
    assert (line.levelno, line.getMessage()) == (
        logging.ERROR,
        "a gateway asks for what no token entitles to",
    )
    assert ask.token not in str(vars(line))


async def test_who_gives_no_token_is_told_to() -> None:
    before = refused("missing")
    assert await entitlement().judge(opening("alice")) == Refused(UNPROVEN)
    assert refused("missing") == before + 1


async def test_or_is_believed_while_there_are_older_gateways() -> None:
    lenient = entitlement(takes_none=True)
    before = refused("missing")
    assert await lenient.judge(opening("alice")) is None
    assert refused("missing") == before + 1
    assert await lenient.judge(asked(by=token("bob"))) == BAD


async def test_clocks_may_differ_by_a_minute() -> None:
    assert await entitlement().judge(asked(by=token(life_s=-59))) == Grant(NOW - 59_000, (HALL,))
    assert await entitlement().judge(asked(by=token(iat=SECONDS + 119))) == Grant(NOW + 60_000, (HALL,))
    assert await entitlement().judge(asked(by=token(iat=SECONDS + 121))) == BAD


# Keys that are fetched.


class Server:
    """A key server that has a key when it is asked, or does not answer."""

    def __init__(self, *, answers: bool = True, has_it: bool = True) -> None:
        self.tokens = Tokens(fetches=True)
        self.entitlement = Entitlement(self.tokens, lambda: NOW, self.refresh)
        self._answers = answers
        self._has_it = has_it

    async def refresh(self) -> bool:
        """Fetch."""
        if self._answers and self._has_it:
            self.tokens.fetched = read_key_set(key_set(EC.jwk()))
        return self._answers


async def test_an_unknown_key_is_asked_for() -> None:
    assert await Server().entitlement.judge(asked(by=token())) == Grant(NOW + 60_000, (HALL,))
    assert await Server(has_it=False).entitlement.judge(asked(by=token())) == BAD


async def test_when_it_cannot_be_nobody_is_answered() -> None:
    with pytest.raises(StoreUnavailable):
        await Server(answers=False).entitlement.judge(asked(by=token()))


# What is asked of a presence that looks.


def process() -> PresenceProcess:
    return PresenceProcess(entitlement=entitlement())


async def test_nothing_begins_without_a_token_that_entitles_to_it() -> None:
    presence = process()
    stranger = asked(by=token("mallory"))
    assert await presence.ask(opening("alice")) == Refused(UNPROVEN)
    assert await presence.ask(stranger) == BAD
    assert await presence.ask(registering(stranger, {})) == Refused(UNPROVEN)
    assert await presence.user("alice") is None
    assert isinstance(await presence.ask(asked(by=token())), Opened)
    regrant = Regrant(ALICE, S1, True, None, (), C1, token=token())
    assert await presence.ask(regrant) == BAD


async def test_a_room_is_joined_only_if_the_token_says_so() -> None:
    presence = process()
    await presence.open(asked("alice", "hall", by=token()))
    before = refused("room")
    assert await presence.ask(JoinRoom(ALICE, S1, CELLAR, connection=C1)) == Refused("ROOM_FORBIDDEN")
    assert refused("room") == before + 1
    newer = Regrant(ALICE, S1, True, (HALL, CELLAR), (HALL,), C1, token=token(rooms=["hall", "cellar"]))
    assert await presence.ask(newer) == Done()
    assert isinstance(await presence.ask(JoinRoom(ALICE, S1, CELLAR, connection=C1)), RoomMembers)


async def test_when_the_token_is_over_so_is_what_may_be_asked() -> None:
    presence = process()
    for user in ("alice", "bob"):
        await presence.open(asked(user, "hall", by=token(user)))
    offer = Check(ALICE, S1, UserId("bob"), "WEBRTC_OFFER", digest(b"o"), b"", connection=C1)
    listing = ListMembers(ALICE, S1, HALL, connection=C1)
    joining = JoinRoom(ALICE, S1, HALL, connection=C1)
    assert isinstance(await presence.ask(offer), Relay)
    presence.clock.pass_s(60 + 61)
    for ask in (offer, listing, joining):
        assert await presence.ask(ask) == SessionGone(replaced=False)
    longer = Regrant(ALICE, S1, True, (HALL,), (HALL,), C1, token=token(life_s=300))
    assert await presence.ask(longer) == Done()
    assert isinstance(await presence.ask(offer), Relay)


async def test_without_looking_all_that_counts_no_more() -> None:
    looking = process()
    await looking.open(asked("alice", "hall", by=token()))
    believing = PresenceProcess(beside=looking)
    believing.clock.pass_s(60 + 61)
    assert isinstance(await believing.ask(JoinRoom(ALICE, S1, CELLAR, connection=C1)), RoomMembers)


async def test_a_token_is_in_no_record_and_in_no_text() -> None:
    presence, its = process(), token()
    ask = asked("alice", "hall", by=its)
    await presence.open(ask)
    assert its not in repr(ask)
    stored = await presence.store.read("*.*")
    assert stored
    assert all(its.encode() not in record.value for record in stored.values())
    assert all(its.encode() not in sent.payload for sent in presence.recorder.sent)


async def test_a_session_is_restored_in_rooms_that_the_backend_gives() -> None:
    presence = process()
    alice = asked("alice", "hall", by=token())
    await presence.open(alice)
    await presence.ask(AddMember("1", 60.0, ALICE, CELLAR))
    ask = msgspec.structs.replace(registering(alice, {"hall": NOW, "cellar": NOW}), token=alice.token)
    assert await presence.ask(ask) == Done()
    await presence.end("alice")
    assert await presence.ask(ask) == Done(), "also when it has ended"
    before = refused("rooms")
    beyond = msgspec.structs.replace(registering(alice, {"attic": NOW}), token=alice.token)
    assert await presence.ask(beyond) == BAD
    assert refused("rooms") == before + 1
