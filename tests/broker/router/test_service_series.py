"""Candidates that go together: one question to presence, and an answer to each in one message."""

import time

import msgspec
import pytest

from router.grants import Grant
from tests.broker.router.routing import (
    ALICE,
    BOB,
    CANDIDATE,
    OFFER,
    SESSION,
    SUBJECTS,
    TARGET,
    Routing,
    digest_of,
    said,
    signal,
    to_bob,
)
from tests.support.full_broker import make_room
from tieline.wire.ids import FrameDigest
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.signals import Accepted, Answers, Check, Delivery, Relay, Signal, Verdicts

RELAYED, HELD = Accepted("relayed"), Accepted("held")

stored_or_not = pytest.mark.parametrize("stored", [True, False])


def series(*names: bytes, stored: bool = False) -> Signal:
    first, *then = names
    return msgspec.structs.replace(signal(first, stored=stored), then=tuple(then))


def grant(routing: Routing, *held: FrameDigest) -> None:
    """Let Alice's candidates pass."""
    granted = Grant(SESSION, TARGET, time.monotonic() + 60, frozenset(held))
    routing.grants.answered(routing.grants.ask(ALICE, BOB), granted)


async def frames(routing: Routing, count: int) -> list[bytes]:
    """Return the names of what was published to Bob: so many, and nothing else."""
    found = [await routing.frame() for _ in range(count)]
    await routing.broker.flush()
    assert routing.frames.is_empty()
    assert {subject for subject, _ in found} <= {SUBJECTS.user(BOB, TARGET)}
    return [name for _, name in found]


@stored_or_not
async def test_a_series_is_one_question_and_one_answer(routing: Routing, stored: bool) -> None:
    routing.verdict = lambda _: Verdicts((to_bob(), Relay("held", ()), Refused("TARGET_OFFLINE"), to_bob()))

    routing.signal(CANDIDATE, series(b"1", b"2", b"3", b"4", stored=stored))

    answers = Answers((RELAYED, HELD, Refused("TARGET_OFFLINE"), RELAYED))
    assert await routing.answer() == [(0, answers)]
    assert await frames(routing, 2) == [b"1", b"4"]
    check = codec.decode_presence_request((await routing.checks.next()).data)
    assert isinstance(check, Check)
    assert check.frame == said(CANDIDATE, signal(b"1"))
    assert check.then == tuple(said(CANDIDATE, signal(name)) for name in (b"2", b"3", b"4"))
    assert routing.checks.is_empty()


@stored_or_not
async def test_what_precedes_a_series_goes_first_and_is_counted(routing: Routing, stored: bool) -> None:
    first = Relay("relayed", (Delivery(BOB, TARGET, b"released"), Delivery(BOB, TARGET, None)))
    routing.verdict = lambda _: Verdicts((first, to_bob()))

    routing.signal(CANDIDATE, series(b"1", b"2", stored=stored))

    assert await routing.answer() == [(0, Answers((Accepted("relayed", len(b"released")), RELAYED)))]
    assert await frames(routing, 3) == [b"released", b"1", b"2"]


async def test_an_older_presence_judges_the_first_alone(routing: Routing) -> None:
    routing.verdict = lambda _: to_bob()

    routing.signal(CANDIDATE, series(b"1", b"2"))

    assert await routing.answer() == [(0, Answers((RELAYED,)))]
    assert await frames(routing, 1) == [b"1"]


async def test_a_session_that_is_gone_is_told(routing: Routing) -> None:
    routing.verdict = lambda _: SessionGone(replaced=True)

    routing.signal(CANDIDATE, series(b"1", b"2"))

    assert await routing.answer() == [(0, Answers((SessionGone(replaced=True),)))]


@stored_or_not
async def test_a_series_is_relayed_on_a_grant(routing: Routing, stored: bool) -> None:
    grant(routing, digest_of(b"held"))

    routing.signal(CANDIDATE, series(b"1", b"held", b"2", stored=stored), signal(b"3", stored=stored))

    answers = dict(await routing.answer())
    while len(answers) < 2:
        answers |= dict(await routing.answer())
    assert answers == {0: Answers((RELAYED, HELD, RELAYED)), 1: RELAYED}
    assert sorted(await frames(routing, 3)) == [b"1", b"2", b"3"]
    assert routing.checks.is_empty()


async def test_a_series_gives_a_grant_when_all_of_it_is_published(routing: Routing) -> None:
    granting = msgspec.structs.replace(to_bob(), grant_seconds=60.0)
    routing.verdict = lambda _: Verdicts((granting, granting))

    routing.signal(CANDIDATE, series(b"1", b"2"))
    await routing.answer()

    assert routing.grants.find(ALICE, SESSION, BOB, time.monotonic()) is not None


@stored_or_not
@pytest.mark.parametrize("is_granted", [True, False])
async def test_without_room_a_series_ends_at_the_first(
    without_room: Routing, stored: bool, is_granted: bool
) -> None:
    if is_granted:
        grant(without_room)
    without_room.verdict = lambda _: Verdicts((to_bob(), to_bob()))

    without_room.signal(CANDIDATE, series(b"1", b"2", stored=stored))

    assert await without_room.answer() == [(0, Answers((Refused("INTERNAL"),)))]
    assert is_granted or len(without_room.grants) == 0
    await make_room(without_room.broker)
    without_room.signal(CANDIDATE, series(b"1", b"2", stored=stored))
    assert await without_room.answer() == [(0, Answers((RELAYED, RELAYED)))]


async def test_a_series_of_which_one_is_of_somebody_else_is_refused(
    routing: Routing, caplog: pytest.LogCaptureFixture
) -> None:
    grant(routing)
    odd = msgspec.structs.replace(signal(b"1"), user=BOB, to=ALICE, frame=b"2")
    mixed = msgspec.structs.replace(
        signal(b"1"), frame=said(CANDIDATE, signal(b"1")), then=(said(CANDIDATE, odd),)
    )
    routing.broker.send(SUBJECTS.signal(CANDIDATE), codec.encode([mixed]), "t.gateway.g.reply.1")
    routing.signal(CANDIDATE, signal(b"after"))

    assert await routing.answer() == [(0, RELAYED)]
    assert await frames(routing, 1) == [b"after"]
    assert caplog.messages == ["signals refused: of another version, or none"]


async def test_only_candidates_are_judged_together(routing: Routing) -> None:
    routing.verdict = lambda _: to_bob()

    routing.signal(OFFER, series(b"1", b"2"))

    assert await routing.answer() == [(0, Answers((RELAYED,)))]
    check = codec.decode_presence_request((await routing.checks.next()).data)
    assert isinstance(check, Check)
    assert check.then == ()
