"""What a router does with signals, over a real broker, with a presence of the test's own."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from functools import partial

import msgspec
import pytest

from presence.mailbox import make_mailbox
from router.grants import Grant, Grants
from router.service import RouterService
from tests.broker.runtime.watching import Inbox
from tests.support.full_broker import make_room
from tests.support.metrics import value_of
from tests.support.waiting import until
from tieline import metrics
from tieline.runtime import metrics as runtime_metrics
from tieline.runtime.broker import Broker, Subscription
from tieline.runtime.message import Message
from tieline.runtime.requests import Requests
from tieline.wire.digests import digest
from tieline.wire.ids import ConnectionId, FrameDigest, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Done, Refused, SessionGone
from tieline.wire.internal.directions import PresenceReply, RouterReply
from tieline.wire.internal.signals import Accepted, Check, Delivery, Relay, Signal
from tieline.wire.origin import request_id_of
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")
ALICE, BOB = UserId("alice"), UserId("bob")
SESSION, TARGET = SessionId("s"), SessionId("t")
ANSWERS = "t.gateway.g.reply.1"
OFFER, CANDIDATE = "WEBRTC_OFFER", "WEBRTC_ICE_CANDIDATE"


class Routing:
    """One router, and what it says to whom."""

    def __init__(self, broker: Broker, grants: Grants, subscription: Subscription) -> None:
        self.broker = broker
        self.grants = grants
        self.subscription = subscription
        self.answers, self.frames, self.checks = Inbox(), Inbox(), Inbox()
        self.verdict: Callable[[Check], PresenceReply | None] = lambda _: None
        """How presence answers; None: not at all."""

    def on_check(self, message: Message) -> None:
        self.checks.put(message)
        check = codec.decode_presence_request(message.data)
        assert isinstance(check, Check)
        verdict = self.verdict(check)
        if verdict is not None:
            self.broker.send(message.reply, codec.encode(verdict))

    def signal(self, cmd: str, *pack: Signal | None) -> None:
        """Send signals, whose frames say what a test calls them."""
        signals = [signal and msgspec.structs.replace(signal, frame=said(cmd, signal)) for signal in pack]
        self.broker.send(SUBJECTS.signal(cmd), codec.encode(signals), ANSWERS)

    async def answer(self) -> list[tuple[int, RouterReply]]:
        return codec.decode_answers((await self.answers.next()).data)

    async def frame(self) -> tuple[str, bytes]:
        """Wait for the next frame that is published; returns where to, and what it is called."""
        message = await self.frames.next()
        return message.subject, request_id_of(message.data).encode() or message.data


def said(cmd: str, signal: Signal) -> bytes:
    """Make the frame of a signal, by the name that it has in its place."""
    parties = {"from": signal.user, "to": signal.to, "data": None}
    message = {"requestId": signal.frame.decode(), "module": "ROOM", "cmd": cmd, "data": parties}
    return msgspec.json.encode(message)


def digest_of(frame: bytes, cmd: str = CANDIDATE) -> FrameDigest:
    return digest(said(cmd, signal(frame)))


def signal(frame: bytes = b"frame", to: UserId = BOB, *, stored: bool = False) -> Signal:
    return Signal(ALICE, SESSION, to, frame, stored)


def to_bob(frame: bytes | None = None) -> Relay:
    return Relay("relayed", (Delivery(BOB, TARGET, frame),))


def granting(check: Check) -> PresenceReply:
    return Relay("relayed", (Delivery(BOB, TARGET, None),), 60.0, (digest_of(b"held before"),))


@pytest.fixture
async def routing(broker: Broker) -> AsyncIterator[Routing]:
    """A router with a mailbox, and a presence that says nothing until it is told what."""
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30)
    grants = Grants()
    requests = Requests(broker, "t.router.r.reply")
    await requests.start()
    async with asyncio.TaskGroup() as tasks:
        subscription = await RouterService(broker, requests, SUBJECTS, grants, tasks).start()
        routing = Routing(broker, grants, subscription)
        await broker.subscribe(ANSWERS, routing.answers.put)
        await broker.subscribe(SUBJECTS.users(), routing.frames.put)
        await broker.subscribe(SUBJECTS.presence("check"), routing.on_check)
        await broker.flush()
        yield routing
        await broker.drain(subscription)


@pytest.mark.parametrize("stored", [True, False])
async def test_a_signal_goes_where_presence_says_and_is_answered(routing: Routing, stored: bool) -> None:
    routing.verdict = lambda _: Relay(
        "relayed", (Delivery(BOB, TARGET, b"before"), Delivery(BOB, TARGET, None))
    )

    routing.signal(OFFER, signal(stored=stored))

    assert await routing.answer() == [(0, Accepted("relayed", len(b"before")))]
    assert [await routing.frame() for _ in range(2)] == [
        (SUBJECTS.user(BOB, TARGET), b"before"),
        (SUBJECTS.user(BOB, TARGET), b"frame"),
    ]


@pytest.mark.parametrize(("cmd", "is_shown"), [(OFFER, False), (CANDIDATE, True)])
async def test_presence_is_shown_the_frame_of_a_candidate_alone(
    routing: Routing, cmd: str, is_shown: bool
) -> None:
    routing.verdict = lambda _: Relay("held", ())

    routing.signal(cmd, signal())

    assert await routing.answer() == [(0, Accepted("held"))]
    check = codec.decode_presence_request((await routing.checks.next()).data)
    shown = said(cmd, signal()) if is_shown else b""
    asked = Check(ALICE, SESSION, BOB, cmd, digest_of(b"frame", cmd), shown, connection=ConnectionId(""))
    assert check == asked


@pytest.mark.parametrize("verdict", [Refused("TARGET_OFFLINE"), SessionGone(replaced=True)])
async def test_what_presence_refuses_is_told_and_goes_nowhere(
    routing: Routing, verdict: Refused | SessionGone
) -> None:
    routing.verdict = lambda _: verdict

    routing.signal(OFFER, signal())

    assert await routing.answer() == [(0, verdict)]
    await routing.broker.flush()
    assert routing.frames.is_empty()


async def test_a_signal_that_was_answered_before_is_left_out(routing: Routing) -> None:
    routing.verdict = lambda _: to_bob()

    routing.signal(OFFER, None, signal())

    assert await routing.answer() == [(1, Accepted("relayed"))]


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


async def test_a_refused_candidate_that_was_relayed_before_is_a_retry(routing: Routing) -> None:
    routing.verdict = lambda _: to_bob()
    routing.signal(CANDIDATE, signal(b"old", stored=True))
    await routing.answer()
    routing.verdict = lambda _: Refused("NO_MATCHING_OFFER")

    routing.signal(CANDIDATE, signal(b"old"), signal(b"new"))

    answers = dict(await routing.answer())
    if len(answers) == 1:
        answers |= dict(await routing.answer())
    assert answers == {0: Accepted("relayed"), 1: Refused("NO_MATCHING_OFFER")}


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


@pytest.fixture
async def without_room(full_broker: Broker) -> AsyncIterator[Routing]:
    """A router whose mailbox has no room, and a presence that lets everything pass."""
    grants = Grants()
    requests = Requests(full_broker, "t.router.r.reply")
    await requests.start()
    async with asyncio.TaskGroup() as tasks:
        subscription = await RouterService(full_broker, requests, SUBJECTS, grants, tasks).start()
        routing = Routing(full_broker, grants, subscription)
        routing.verdict = granting
        await full_broker.subscribe(ANSWERS, routing.answers.put)
        await full_broker.subscribe(SUBJECTS.presence("check"), routing.on_check)
        await full_broker.flush()
        yield routing
        await full_broker.drain(subscription)


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("is_granted", [True, False])
async def test_without_room_every_sender_hears_it_at_once(
    without_room: Routing, stored: bool, is_granted: bool
) -> None:
    if is_granted:
        grant = Grant(SESSION, TARGET, time.monotonic() + 60, frozenset())
        without_room.grants.answered(without_room.grants.ask(ALICE, BOB), grant)

    without_room.signal(CANDIDATE, *(signal(b"%d" % number, stored=stored) for number in range(3)))

    answers: dict[int, RouterReply] = {}
    while len(answers) < 3:
        answers |= dict(await without_room.answer())
    assert answers == dict.fromkeys(range(3), Refused("INTERNAL"))
    assert without_room.checks.is_empty() == is_granted

    await make_room(without_room.broker)
    without_room.signal(CANDIDATE, signal(b"again", stored=stored))
    assert await without_room.answer() == [(0, Accepted("relayed"))]


async def test_how_long_presence_took_is_measured(routing: Routing) -> None:
    routing.verdict = lambda _: to_bob()
    count = partial(metrics.REGISTRY.get_sample_value, "tieline_presence_check_seconds_count")
    before = count()

    routing.signal(OFFER, signal())
    await routing.answer()

    assert before is not None
    assert count() == before + 1


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


@pytest.mark.parametrize("stored", [True, False])
async def test_a_retry_publishes_nothing_that_the_mailbox_has(routing: Routing, stored: bool) -> None:
    released = tuple(Delivery(BOB, TARGET, b"released %d" % number) for number in range(60))
    routing.verdict = lambda _: Relay("relayed", (Delivery(BOB, TARGET, None), *released))
    size = sum(len(each.frame or b"") for each in released)
    routing.signal(OFFER, signal(b"answer", stored=stored))
    assert await routing.answer() == [(0, Accepted("relayed", size))]

    for _ in range(20):
        routing.signal(OFFER, signal(b"answer", stored=stored))
        assert await routing.answer() == [(0, Accepted("relayed"))]
    routing.verdict = lambda _: Relay("relayed", (*released, Delivery(BOB, TARGET, None)))
    routing.signal(OFFER, signal(b"what comes next", stored=stored))
    assert await routing.answer() == [(0, Accepted("relayed"))]

    expected = [b"answer", *(each.frame for each in released), b"what comes next"]
    assert [(await routing.frame())[1] for _ in range(62)] == expected
    await routing.broker.flush()
    assert routing.frames.is_empty()


async def test_what_the_mailbox_has_not_confirmed_is_published_again(
    routing: Routing, broker: Broker
) -> None:
    routing.verdict = lambda _: Relay(
        "relayed", (Delivery(BOB, TARGET, None), Delivery(BOB, TARGET, b"released"))
    )
    routing.signal(OFFER, signal(b"answer", stored=True))
    await routing.answer()
    for callback in list(broker._on_away):
        callback()

    routing.signal(OFFER, signal(b"answer", stored=True))

    assert await routing.answer() == [(0, Accepted("relayed", len(b"released")))]
    assert [(await routing.frame())[1] for _ in range(4)] == [b"answer", b"released"] * 2


ANSWERED = (BOB, digest(b"answer"))


def releasing(check: Check) -> PresenceReply:
    """Answer as presence does: what the mailbox has is left out."""
    released = () if ANSWERED in check.carried else (Delivery(BOB, TARGET, b"released"),)
    deliveries = (Delivery(BOB, TARGET, None), *released)
    return Relay("relayed", deliveries, releases=(ANSWERED,) if released else ())


async def test_presence_is_told_what_of_an_answer_the_mailbox_has(routing: Routing) -> None:
    routing.verdict = releasing
    for _ in range(3):
        routing.signal(OFFER, signal(b"answer", stored=True))
        await routing.answer()

    checks = [codec.decode_presence_request((await routing.checks.next()).data) for _ in range(3)]
    assert [check.carried for check in checks if isinstance(check, Check)] == [(), *[(ANSWERED,)] * 2]
    assert [(await routing.frame())[1] for _ in range(2)] == [b"answer", b"released"]
    await routing.broker.flush()
    assert routing.frames.is_empty()


async def test_presence_is_told_when_a_signal_came(routing: Routing) -> None:
    routing.verdict = lambda _: to_bob()
    routing.signal(OFFER, msgspec.structs.replace(signal(stored=True), at=1_700_000_000_000))
    await routing.answer()

    check = codec.decode_presence_request((await routing.checks.next()).data)
    assert isinstance(check, Check)
    assert check.at == 1_700_000_000_000


async def test_a_mailbox_that_lost_what_it_had_is_given_it_again(
    routing: Routing, broker: Broker, caplog: pytest.LogCaptureFixture
) -> None:
    """While the router's own connection stays, as when another node of a cluster has lost the stream."""
    routing.verdict = releasing
    routing.signal(OFFER, signal(b"answer", stored=True))
    await routing.answer()
    await broker.client.jetstream().delete_stream(SUBJECTS.mailbox())
    await make_mailbox(broker, SUBJECTS, "memory", 1, 30)

    routing.signal(OFFER, signal(b"answer", stored=True))
    await until(lambda: "the mailbox has lost what it had" in caplog.messages)
    routing.signal(OFFER, signal(b"answer", stored=True))

    assert await routing.answer() == [(0, Accepted("relayed", len(b"released")))]
    assert [(await routing.frame())[1] for _ in range(4)] == [b"answer", b"released"] * 2
