"""Candidates that presence lets pass without being asked."""

import time

import msgspec
import pytest

from router.stored import SENT_S
from tests.broker.router.routing import (
    ALICE,
    BOB,
    CANDIDATE,
    OFFER,
    SESSION,
    SUBJECTS,
    TARGET,
    Routing,
    granting,
    said,
    signal,
)
from tieline import metrics
from tieline.wire.digests import digest
from tieline.wire.ids import ConnectionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.signals import Accepted, Check, Delivery, GrantBack, Relay, Signal

ANSWER = "WEBRTC_ANSWER"
BOBS = ConnectionId("c-2")


async def test_a_granted_candidate_passes_without_a_question(routing: Routing) -> None:
    routing.verdict = granting
    routing.signal(CANDIDATE, signal(b"1"))
    await routing.answer()
    await routing.checks.next()
    asked = metrics.LEASED_SIGNALS.count

    for stored in (False, True):
        routing.signal(CANDIDATE, signal(b"2 %d" % stored, stored=stored))
        assert await routing.answer() == [(0, Accepted("relayed"))]

    assert [(await routing.frame())[1] for _ in range(3)] == [b"1", b"2 0", b"2 1"]
    assert routing.checks.is_empty()
    assert metrics.LEASED_SIGNALS.count == asked + 2


async def test_a_grant_knows_retries_of_what_is_held(routing: Routing) -> None:
    routing.verdict = granting
    routing.signal(CANDIDATE, signal(b"1"))
    await routing.answer()
    await routing.frame()

    routing.signal(CANDIDATE, signal(b"held before"))

    assert await routing.answer() == [(0, Accepted("held"))]
    await routing.broker.flush()
    assert routing.frames.is_empty()


async def test_a_grant_is_for_the_connection_that_got_it_alone(routing: Routing) -> None:
    routing.verdict = granting
    hers = msgspec.structs.replace(signal(b"1"), connection=ConnectionId("c-1"))
    routing.signal(CANDIDATE, hers)
    await routing.answer()
    await routing.checks.next()
    routing.verdict = lambda _: SessionGone(replaced=True)

    for other in (ConnectionId("c-2"), ConnectionId("")):
        routing.signal(CANDIDATE, msgspec.structs.replace(signal(b"forged"), connection=other))
        assert await routing.answer() == [(0, SessionGone(replaced=True))]
        check = codec.decode_presence_request((await routing.checks.next()).data)
        assert isinstance(check, Check)
        assert check.connection == other
    routing.signal(CANDIDATE, msgspec.structs.replace(hers, frame=b"2"))

    assert await routing.answer() == [(0, Accepted("relayed"))]
    assert [(await routing.frame())[1] for _ in range(2)] == [b"1", b"2"]


@pytest.mark.parametrize("changed", [ALICE, BOB])
async def test_a_change_of_either_user_ends_a_grant(routing: Routing, changed: UserId) -> None:
    routing.verdict = granting
    routing.signal(CANDIDATE, signal(b"1"))
    await routing.answer()
    await routing.checks.next()

    routing.broker.send(SUBJECTS.changed(changed), b"")
    routing.signal(CANDIDATE, signal(b"2"))

    await routing.answer()
    await routing.checks.next()


def answering(_: Check) -> PresenceReply:
    """Alice has answered Bob, of whose candidates one was held."""
    deliveries = (Delivery(BOB, TARGET, None), Delivery(ALICE, SESSION, said(CANDIDATE, of_bob(b"released"))))
    back = GrantBack(TARGET, BOBS, (digest(said(CANDIDATE, of_bob(b"released"))),))
    return Relay("relayed", deliveries, 60.0, grant_back=back)


def of_bob(frame: bytes, connection: ConnectionId = BOBS) -> Signal:
    return Signal(BOB, TARGET, ALICE, frame, stored=False, connection=connection)


async def test_who_is_answered_sends_candidates_without_a_question(routing: Routing) -> None:
    routing.verdict = answering
    routing.signal(ANSWER, signal(b"answer"))
    await routing.answer()
    await routing.checks.next()

    for frame, accepted in ((b"next", Accepted("relayed")), (b"released", Accepted("held"))):
        routing.signal(CANDIDATE, of_bob(frame))
        assert await routing.answer() == [(0, accepted)]

    assert routing.checks.is_empty()
    assert [(await routing.frame())[1] for _ in range(3)] == [b"answer", b"released", b"next"]


async def test_who_is_answered_has_no_grant_on_another_connection(routing: Routing) -> None:
    routing.verdict = answering
    routing.signal(ANSWER, signal(b"answer"))
    await routing.answer()
    await routing.checks.next()
    routing.verdict = lambda _: SessionGone(replaced=True)

    routing.signal(CANDIDATE, of_bob(b"forged", ConnectionId("c-3")))

    assert await routing.answer() == [(0, SessionGone(replaced=True))]


@pytest.mark.parametrize(("stored", "lasts_s"), [(True, 60.0), (False, SENT_S)])
async def test_a_grant_back_lasts_while_releases_are_known_stored(
    routing: Routing, stored: bool, lasts_s: float
) -> None:
    routing.verdict = answering
    before = time.monotonic()
    routing.signal(ANSWER, signal(b"answer", stored=stored))
    await routing.answer()
    after = time.monotonic()

    assert routing.grants.find(BOB, TARGET, ALICE, before + lasts_s - 0.001) is not None
    assert routing.grants.find(BOB, TARGET, ALICE, after + lasts_s) is None
    assert routing.grants.find(ALICE, SESSION, BOB, before + 59.0) is not None


async def test_a_grant_is_for_candidates_alone(routing: Routing) -> None:
    routing.verdict = granting
    routing.signal(CANDIDATE, signal(b"1"))
    await routing.answer()
    await routing.checks.next()

    routing.signal(OFFER, signal(b"2"))

    await routing.answer()
    await routing.checks.next()
