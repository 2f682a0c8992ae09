"""Candidates that go together: one question to presence, and an answer to each in one message."""

import time

import msgspec
import pytest

from router.grants import Grant
from tests.broker.router.routing import (
    ALICE,
    ANSWER,
    ANSWERS,
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
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.signals import (
    Accepted,
    Answers,
    Check,
    Delivery,
    Relay,
    Signal,
    Verdict,
    Verdicts,
)

RELAYED, HELD = Accepted("relayed"), Accepted("held")

stored_or_not = pytest.mark.parametrize("stored", [True, False])


def series(*names: bytes, stored: bool = False) -> Signal:
    first, *then = names
    return msgspec.structs.replace(signal(first, stored=stored), then=tuple(then))


def grant(routing: Routing, *held: FrameDigest) -> None:
    """Let Alice's candidates pass."""
    granted = Grant(SESSION, TARGET, time.monotonic() + 60, frozenset(held))
    routing.grants.answered(routing.grants.ask(ALICE, BOB), granted)


async def asked(routing: Routing) -> Check:
    """Return what presence is asked next."""
    check = codec.decode_presence_request((await routing.checks.next()).data)
    assert isinstance(check, Check)
    return check


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


@stored_or_not
async def test_candidates_are_judged_with_their_offer(routing: Routing, stored: bool) -> None:
    routing.verdict = lambda _: Verdicts((to_bob(), Relay("held", ()), Refused("TOO_MANY_CANDIDATES")))

    routing.signal(OFFER, series(b"1", b"2", b"3", stored=stored))

    assert await routing.answer() == [(0, Answers((RELAYED, HELD, Refused("TOO_MANY_CANDIDATES"))))]
    assert await frames(routing, 1) == [b"1"]
    check = await asked(routing)
    assert (check.cmd, check.frame) == (OFFER, b"")
    assert check.then == tuple(said(CANDIDATE, signal(name)) for name in (b"2", b"3"))


async def test_an_offer_that_is_asked_for_comes_with_its_candidates(routing: Routing) -> None:
    def verdict(check: Check) -> PresenceReply:
        if not check.frame:
            return Refused("TARGET_OFFLINE", wants_frame=True)
        return Verdicts((Relay("held", ()), Relay("held", ())))

    routing.verdict = verdict

    routing.signal(OFFER, series(b"1", b"2"))

    assert await routing.answer() == [(0, Answers((HELD, HELD)))]
    first, again = await asked(routing), await asked(routing)
    assert first.then == again.then == (said(CANDIDATE, signal(b"2")),)


async def test_a_candidate_refused_with_its_offer_may_be_a_retry(routing: Routing) -> None:
    routing.verdict = lambda _: to_bob()
    routing.signal(CANDIDATE, signal(b"2", stored=True))
    await routing.answer()
    routing.verdict = lambda _: Verdicts((Refused("NOT_IN_SAME_ROOM"), Refused("NOT_IN_SAME_ROOM")))

    routing.signal(OFFER, series(b"1", b"2", stored=True))

    assert await routing.answer() == [(0, Answers((Refused("NOT_IN_SAME_ROOM"), RELAYED)))]


@stored_or_not
async def test_an_answer_lets_the_candidates_behind_it_pass(routing: Routing, stored: bool) -> None:
    routing.verdict = lambda _: msgspec.structs.replace(to_bob(), grant_seconds=60.0)

    routing.signal(ANSWER, series(b"1", b"2", b"3", stored=stored))

    assert await routing.answer() == [(0, Answers((RELAYED, RELAYED, RELAYED)))]
    assert await frames(routing, 3) == [b"1", b"2", b"3"]
    assert (await asked(routing)).then == ()
    assert routing.checks.is_empty()


@pytest.mark.parametrize("verdict", [to_bob(), Refused("NO_MATCHING_OFFER"), SessionGone(replaced=True)])
async def test_behind_an_answer_without_a_grant_candidates_wait(routing: Routing, verdict: Verdict) -> None:
    routing.verdict = lambda _: verdict

    routing.signal(ANSWER, series(b"1", b"2"))

    ((_, answers),) = await routing.answer()
    assert isinstance(answers, Answers)
    assert len(answers.answers) == 1
    assert b"2" not in await frames(routing, 1 if isinstance(verdict, Relay) else 0)


async def test_candidates_behind_an_answer_wait_when_somebody_changes(routing: Routing) -> None:
    def verdict(_: Check) -> PresenceReply:
        routing.broker.send(SUBJECTS.changed(BOB), b"")
        return msgspec.structs.replace(to_bob(), grant_seconds=60.0)

    routing.verdict = verdict

    routing.signal(ANSWER, series(b"1", b"2"))

    assert await routing.answer() == [(0, Answers((RELAYED,)))]
    assert await frames(routing, 1) == [b"1"]


@stored_or_not
async def test_no_candidate_overtakes_an_answer_that_is_not_stored(
    without_room: Routing, stored: bool
) -> None:
    grant(without_room)
    without_room.verdict = lambda _: msgspec.structs.replace(to_bob(), grant_seconds=60.0)

    without_room.signal(ANSWER, series(b"1", b"2", stored=stored))

    assert await without_room.answer() == [(0, Answers((Refused("INTERNAL"),)))]


async def test_only_candidates_follow(routing: Routing, caplog: pytest.LogCaptureFixture) -> None:
    routing.verdict = lambda _: to_bob()
    offer = msgspec.structs.replace(signal(), frame=said(OFFER, signal()), then=(said(OFFER, signal()),))

    routing.broker.send(SUBJECTS.signal(OFFER), codec.encode([offer]), ANSWERS)
    routing.signal(CANDIDATE, signal(b"after"))

    assert await routing.answer() == [(0, RELAYED)]
    assert caplog.messages == ["signals refused: of another version, or none"]
