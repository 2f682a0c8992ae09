"""How clients go: what presence is told, when it is not told, and how a gateway is emptied."""

import asyncio
import gc
import json
from collections.abc import AsyncIterator

import msgspec
import pytest

from gateway.limits.users import KEPT_S
from gateway.sessions import departures
from gateway.sessions.departures import CLOSED_AT_ONCE, DRAINING_PATIENCE_S, LONGEST_DELAY, Drain
from tests.support.waiting import until
from tests.unit.gateway.client.harness import Harness
from tests.unit.gateway.sessions.scene import ALICE, Arriving, Scene, admitted
from tieline.runtime.message import Message
from tieline.runtime.patience import PATIENCE_S
from tieline.runtime.requests import NoAnswer
from tieline.wire.codes import CloseCode
from tieline.wire.ids import ConnectionId, SessionId, UserId
from tieline.wire.internal.answers import Done
from tieline.wire.internal.codec import encode
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.sessions import EndSession, Opened, OpenSession, Tell

ALICES = ConnectionId("c-alice")
AT_ONCE = Drain(0, 0)


async def test_a_connection_that_ends_is_here_no_more_and_presence_is_told(scene: Scene) -> None:
    alice = scene.here("alice")

    scene.leaves(alice)
    assert len(scene.connections) == 0
    await scene.settles()

    assert scene.delivery.dropped == [ALICES]
    assert scene.presence.asked == [EndSession(ALICE, ALICES, resumable=False)]


async def test_what_a_user_used_up_outlasts_a_long_connection(scene: Scene) -> None:
    now = asyncio.get_running_loop().time()
    alice = scene.here("alice")
    assert alice.connection.session is not None
    alice.connection.session.budget.carry(UserId("bob"), 100, now)
    scene.users.of(UserId("bob"), 10 * KEPT_S)  # by then only the connection keeps hers

    scene.leaves(alice)
    await scene.settles()
    del alice
    gc.collect()

    assert scene.users.of(ALICE, now).usage.last_minute(now).messages == 1


async def test_a_connection_that_was_lost_ends_so_that_it_can_be_resumed(scene: Scene) -> None:
    alice = scene.here("alice")

    alice.lose()
    scene.departures.on_gone(alice.connection)
    await scene.settles()

    assert scene.presence.asked == [EndSession(ALICE, ALICES, resumable=True)]


async def test_a_connection_that_never_had_a_session_ends_without_a_word(scene: Scene) -> None:
    harness = Harness()

    scene.departures.on_gone(harness.connection)
    await scene.settles()

    assert scene.presence.asked == []


async def test_presence_is_told_until_it_answers(scene: Scene) -> None:
    scene.presence.reply(EndSession, None, None, Done())

    scene.leaves(scene.here("alice"))
    await scene.settles()

    assert len(scene.presence.asked) == 3
    assert scene.presence.patience == [PATIENCE_S] * 3


async def test_a_gateway_that_drains_tells_presence_once(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    scene.presence.reply(EndSession, None)
    scene.departures.draining = True

    scene.leaves(scene.here("alice"))
    await scene.settles()

    assert scene.presence.patience == [DRAINING_PATIENCE_S]
    assert [record.message for record in caplog.records] == ["session end untold: no answer"]


# A connection that is lost, and may be resumed in a moment.


@pytest.fixture
async def patient() -> AsyncIterator[Scene]:
    """A gateway that lets an hour pass before it tells presence that a connection is lost."""
    async with asyncio.TaskGroup() as tasks:
        yield Scene(tasks, away_delay_s=3600.0)


def loses(scene: Scene, name: str) -> None:
    harness = scene.here(name)
    harness.lose()
    scene.departures.on_gone(harness.connection)


async def test_a_lost_connection_is_not_told_before_it_has_lasted(patient: Scene) -> None:
    loses(patient, "alice")
    await patient.settles()

    assert patient.delivery.dropped == [ALICES]
    assert patient.presence.asked == []

    await patient.departures.drain(AT_ONCE)
    await patient.settles()
    assert [end.connection for end in patient.ends()] == [ALICES]


async def test_a_connection_that_was_lost_and_resumed_is_never_told(patient: Scene) -> None:
    loses(patient, "alice")
    await patient.settles()

    patient.departures.note_ended(ALICES, CloseCode.REPLACED)
    await patient.departures.drain(AT_ONCE)
    await patient.settles()

    assert patient.presence.asked == []


async def test_a_connection_that_was_closed_for_good_is_told_at_once(patient: Scene) -> None:
    patient.leaves(patient.here("alice"))
    await patient.settles()

    assert patient.ends() == [EndSession(ALICE, ALICES, resumable=False)]


async def test_a_loss_is_not_told_while_others_are_expected_back() -> None:
    async with asyncio.TaskGroup() as tasks:
        scene = Scene(tasks, away_delay_s=0.01)
        told_at: list[float] = []
        now = asyncio.get_running_loop().time
        scene.presence.on_ask = lambda _: told_at.append(now())
        others_are_back = now() + 0.03
        scene.departures.expect_others(within_s=0.03)
        loses(scene, "alice")
        await until(lambda: told_at)

    assert told_at[0] >= others_are_back


async def test_a_loss_is_told_in_the_end_whoever_is_expected_back() -> None:
    async with asyncio.TaskGroup() as tasks:
        scene = Scene(tasks, away_delay_s=0.01)
        scene.departures.expect_others(within_s=3600)
        loses(scene, "alice")
        await until(scene.ends)

    (end,) = scene.ends()
    assert end.lost_for_s >= LONGEST_DELAY * 0.01


async def test_presence_is_told_how_long_ago_a_connection_was_lost() -> None:
    async with asyncio.TaskGroup() as tasks:
        scene = Scene(tasks, away_delay_s=0.01)
        loses(scene, "alice")
        await until(scene.ends)

    (end,) = scene.ends()
    assert end.lost_for_s >= 0.01


# What presence itself has ended.


async def test_a_session_that_another_connection_has_is_not_ended(scene: Scene) -> None:
    alice = scene.here("alice")
    scene.departures.note_ended(ALICES, CloseCode.REPLACED)

    scene.leaves(alice)
    await scene.settles()

    assert scene.delivery.dropped == [ALICES]
    assert scene.presence.asked == []


async def test_a_session_that_presence_ended_may_be_here_again_and_is_ended(scene: Scene) -> None:
    alice = scene.here("alice")
    scene.departures.note_ended(ALICES, CloseCode.BROKER_LOST)

    scene.leaves(alice)
    await scene.settles()

    assert len(scene.requests(EndSession)) == 1


async def test_why_presence_ended_a_session_is_known_until_it_is_forgotten(scene: Scene) -> None:
    session = scene.here("alice").connection.session
    assert session is not None
    assert scene.departures.ended_with(session) is None

    scene.departures.note_ended(ALICES, CloseCode.KICKED)
    assert scene.departures.ended_with(session) is CloseCode.KICKED

    assert await scene.departures.forget(session) is CloseCode.KICKED
    assert scene.departures.ended_with(session) is None


async def test_a_session_that_is_not_expected_here_is_not_noted(scene: Scene) -> None:
    session = scene.here("alice").connection.session
    assert session is not None
    await scene.departures.forget(session)

    scene.departures.note_ended(ALICES, CloseCode.KICKED)

    assert scene.departures.ended_with(session) is None


# A drain.


def advice(scene: Scene) -> list[tuple[str, dict[str, object]]]:
    """Whom the advice to reconnect was sent to, and what it says."""
    events = [(ask.user, json.loads(ask.frame)) for ask in scene.requests(Tell) if isinstance(ask, Tell)]
    assert {event["cmd"] for _, event in events} <= {"RECONNECT"}
    return [(user, event["data"]) for user, event in events]


async def test_all_are_advised_to_reconnect_by_the_gateway_s_own_event(scene: Scene) -> None:
    harnesses = [scene.here(name) for name in ("alice", "bob")]

    draining = scene.tasks.create_task(scene.departures.drain(Drain(0, 2.5)))
    await scene.settles()

    assert advice(scene) == [
        ("alice", {"afterMs": 0, "jitterMs": 2500}),
        ("bob", {"afterMs": 0, "jitterMs": 2500}),
    ]
    assert [harness.texts() for harness in harnesses] == [[], []]
    assert scene.departures.draining
    scene.presence.answer_begun()
    for harness in harnesses:
        scene.leaves(harness)
    await draining
    assert [harness.close_code for harness in harnesses] == [1000, 1000]


async def test_a_client_that_stays_is_closed_when_its_time_is_over(scene: Scene) -> None:
    alice, bob = scene.here("alice"), scene.here("bob")

    draining = scene.tasks.create_task(scene.departures.drain(AT_ONCE))
    await scene.settles()
    assert {harness.close_code for harness in (alice, bob)} == {None}
    scene.presence.answer_begun()
    await scene.settles()

    assert {harness.close_code for harness in (alice, bob)} == {1012}
    assert not draining.done()
    for harness in (alice, bob):
        scene.answers_close(harness)
    await draining


async def test_a_drain_that_is_behind_closes_several_at_a_time(scene: Scene) -> None:
    several = [scene.here(f"user{number}") for number in range(3 * CLOSED_AT_ONCE)]

    draining = scene.tasks.create_task(scene.departures.drain(AT_ONCE))
    await scene.settles()
    scene.presence.answer_begun()
    closed = [0]
    while closed[-1] < len(several):
        await asyncio.sleep(0)
        closed.append(sum(harness.close_code is not None for harness in several))

    assert sorted({*closed}) == [0, CLOSED_AT_ONCE, 2 * CLOSED_AT_ONCE, 3 * CLOSED_AT_ONCE]
    for harness in several:
        scene.answers_close(harness)
    await draining


async def test_no_client_is_closed_before_the_advice_has_been_pushed(scene: Scene) -> None:
    alice = scene.here("alice")

    draining = scene.tasks.create_task(scene.departures.drain(AT_ONCE))
    await scene.settles()
    assert scene.delivery.times_settled == 0
    scene.presence.answer_begun()
    await scene.settles()

    assert scene.delivery.times_settled == 1
    assert alice.close_code == 1012
    scene.answers_close(alice)
    await draining


async def test_without_a_broker_the_drain_goes_on(scene: Scene) -> None:
    alice = scene.here("alice")
    scene.presence.reply(Tell, None)
    scene.delivery.problem = NoAnswer("barrier")

    draining = scene.tasks.create_task(scene.departures.drain(AT_ONCE))
    await scene.settles()
    scene.presence.answer_begun()
    await scene.settles()

    assert alice.close_code == 1012
    scene.answers_close(alice)
    await draining


async def test_an_empty_gateway_is_drained_at_once(scene: Scene) -> None:
    async with asyncio.timeout(5):
        await scene.departures.drain(AT_ONCE)
    assert scene.presence.asked == []


async def test_a_drain_ends_though_nothing_is_ever_answered(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice = scene.here("alice")
    monkeypatch.setattr(departures, "ADVISING_S", 0.0)
    monkeypatch.setattr(departures, "EMPTYING_S", 0.0)

    async with asyncio.timeout(5):
        await scene.departures.drain(AT_ONCE)

    assert alice.close_code == 1012
    scene.presence.answer_begun()
    scene.answers_close(alice)


# What presence has begun too late.

LATE = Opened(SessionId("s-late"), resumed=True, rooms={}, user=ALICE, asked=SessionId("s-asked"), revision=7)


def answer(reply: PresenceReply) -> Message:
    """An answer for which nobody waits."""
    return Message("reply", "", encode(reply), b"")


async def test_a_connection_begun_too_late_is_ended(scene: Scene) -> None:
    scene.departures.on_late_answer(answer(LATE))
    await scene.settles()
    assert scene.ends() == [EndSession(ALICE, scene.departures.names.of(LATE.asked), resumable=True, asked=7)]


async def test_until_presence_has_heard_it(scene: Scene) -> None:
    scene.presence.reply(EndSession, None, Done())
    scene.departures.on_late_answer(answer(LATE))
    await scene.settles()
    assert len(scene.ends()) == 2


async def test_a_connection_that_is_here_has_its_answer_already(scene: Scene) -> None:
    arriving = Arriving()
    await scene.arrivals.let_in(arriving.connection, arriving.response, admitted())
    (asked,) = scene.presence.asked_for(OpenSession)
    assert isinstance(asked, OpenSession)
    known = msgspec.structs.replace(LATE, asked=asked.session)
    for reply in (known, Done(), Opened(SessionId("of an older process"), resumed=False, rooms={})):
        scene.departures.on_late_answer(answer(reply))
    forged = msgspec.structs.replace(LATE, asked=SessionId("a b"))
    scene.departures.on_late_answer(answer(forged))
    await scene.settles()
    assert scene.ends() == []


async def test_a_gateway_that_drains_leaves_that_to_its_lease(scene: Scene) -> None:
    await scene.departures.drain(AT_ONCE)
    scene.departures.on_late_answer(answer(LATE))
    await scene.settles()
    assert scene.ends() == []
