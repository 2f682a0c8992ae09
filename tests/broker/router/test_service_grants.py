"""Candidates that presence lets pass without being asked."""

import msgspec
import pytest

from tests.broker.router.routing import ALICE, BOB, CANDIDATE, OFFER, SUBJECTS, Routing, granting, signal
from tieline import metrics
from tieline.wire.ids import ConnectionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import SessionGone
from tieline.wire.internal.signals import Accepted, Check


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


async def test_a_grant_is_for_candidates_alone(routing: Routing) -> None:
    routing.verdict = granting
    routing.signal(CANDIDATE, signal(b"1"))
    await routing.answer()
    await routing.checks.next()

    routing.signal(OFFER, signal(b"2"))

    await routing.answer()
    await routing.checks.next()
