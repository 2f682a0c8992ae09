"""What nobody honest says to a router, and what a router must outlive."""

import time

import msgspec
import pytest

from router.grants import Grant
from tests.broker.router.routing import (
    ALICE,
    ANSWERS,
    BOB,
    CANDIDATE,
    OFFER,
    SESSION,
    SUBJECTS,
    TARGET,
    Routing,
    said,
    signal,
    to_bob,
)
from tests.broker.runtime.watching import Inbox
from tests.support.metrics import value_of
from tieline import metrics
from tieline.runtime import metrics as runtime_metrics
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Done
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.signals import Accepted, Delivery, Relay, Signal


async def test_a_bug_that_one_signal_meets_spares_its_pack(
    routing: Routing, caplog: pytest.LogCaptureFixture
) -> None:
    users = [UserId("bob"), UserId("nobody"), UserId("carol")]
    for user in users:
        # An empty session can stand in no subject; presence never grants one.
        session = SessionId("" if user == "nobody" else TARGET)
        grant = Grant(SESSION, session, time.monotonic() + 60, frozenset())
        routing.grants.answered(routing.grants.ask(ALICE, user), grant)

    routing.signal(CANDIDATE, *(signal(user.encode(), user) for user in users))

    answers = dict(await routing.answer())
    while len(answers) < 2:
        answers |= dict(await routing.answer())
    assert answers == {0: Accepted("relayed"), 2: Accepted("relayed")}
    assert [(await routing.frame())[1] for _ in range(2)] == [b"bob", b"carol"]
    assert caplog.messages == ["signal unanswered: a bug"]


async def test_an_odd_verdict_is_none_and_is_asked_for_again(
    routing: Routing, caplog: pytest.LogCaptureFixture
) -> None:
    odd: list[PresenceReply] = [Done(), Relay("relayed", (Delivery(BOB, SessionId("a.b"), None),))]
    routing.verdict = lambda _: odd.pop() if odd else to_bob()

    routing.signal(OFFER, signal())

    assert await routing.answer() == [(0, Accepted("relayed"))]
    assert {*caplog.messages} == {"dropped: of another version, or forged"}
    assert not any(record.exc_info for record in caplog.records)


FORGED = {
    "another's name": Signal(UserId("eve"), SESSION, BOB, said(OFFER, signal()), False),
    "for somebody else": Signal(ALICE, SESSION, UserId("eve"), said(OFFER, signal()), False),
    "another command": Signal(ALICE, SESSION, BOB, said(CANDIDATE, signal()), False),
    "no text": Signal(ALICE, SESSION, BOB, said(OFFER, signal()).replace(b"frame", b"\xff"), False),
    "no JSON": Signal(ALICE, SESSION, BOB, b"frame", False),
    "too long": Signal(ALICE, SESSION, BOB, said(OFFER, signal(b"x" * 65_536)), False),
    "a session with a line end": Signal(
        ALICE, SessionId("s\r\nPUB t.user.bob.s 1\r\nx"), BOB, said(OFFER, signal()), False
    ),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED)
async def test_a_signal_that_no_gateway_sends_is_counted_and_dropped(
    routing: Routing, caplog: pytest.LogCaptureFixture, forged: Signal
) -> None:
    routing.verdict = lambda _: to_bob()
    unreadable = metrics.UNREADABLE_MESSAGES.labels("signal")
    counted = value_of(unreadable)

    routing.broker.send(SUBJECTS.signal(OFFER), codec.encode([forged]), ANSWERS)
    routing.signal(OFFER, signal())

    assert await routing.answer() == [(0, Accepted("relayed"))]
    assert await routing.frame() == (SUBJECTS.user(BOB, TARGET), b"frame")
    assert routing.frames.is_empty()
    assert value_of(unreadable) == counted + 1
    assert [record.exc_info for record in caplog.records] == [None]


@pytest.mark.parametrize(
    "reply", ["", "$KV.t.user.bob", "t.user.bob.s", "t.gateway.g.close", "t.router.r.reply.1"]
)
async def test_a_signal_is_answered_to_gateways_and_nowhere_else(routing: Routing, reply: str) -> None:
    routing.verdict = lambda _: to_bob()
    heard = Inbox()
    for subject in (">",):
        await routing.broker.subscribe(subject, heard.put)

    routing.broker.send(SUBJECTS.signal(OFFER), codec.encode([forged_free()]), reply)
    routing.signal(OFFER, signal())

    assert await routing.answer() == [(0, Accepted("relayed"))]
    await routing.broker.flush()
    said_to = set()
    while not heard.is_empty():
        said_to.add((await heard.next()).subject)
    assert reply not in said_to


def forged_free() -> Signal:
    return msgspec.structs.replace(signal(), frame=said(OFFER, signal()))


async def test_garbage_is_counted_and_is_no_error_of_the_broker(
    routing: Routing, caplog: pytest.LogCaptureFixture
) -> None:
    routing.verdict = lambda _: to_bob()
    unreadable = metrics.UNREADABLE_MESSAGES.labels("signal")
    counted, errors = value_of(unreadable), value_of(runtime_metrics.NATS_ERRORS)

    for garbage in (
        b"",
        b"\xc1",
        b"not msgpack",
        b"\x91\x96\xa6Signal\xa1\xff",
        codec.encode("text"),
    ) * 100:
        routing.broker.send(SUBJECTS.signal(OFFER), garbage, ANSWERS)
    routing.signal(OFFER, signal())

    assert await routing.answer() == [(0, Accepted("relayed"))]
    assert value_of(unreadable) == counted + 500
    assert value_of(runtime_metrics.NATS_ERRORS) == errors
    assert caplog.messages == ["signals refused: of another version, or none"]
    assert not caplog.records[0].exc_info


async def test_a_change_of_nobody_is_counted(routing: Routing) -> None:
    routing.verdict = lambda _: to_bob()
    unreadable = metrics.UNREADABLE_MESSAGES.labels("changed")
    counted = value_of(unreadable)

    routing.broker.send("t.changed.=ZZ", b"")
    routing.signal(OFFER, signal())

    await routing.answer()
    assert value_of(unreadable) == counted + 1
