"""What a router does with signals, over a real broker, with a presence of the test's own."""

import time
from functools import partial

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
from tieline import metrics
from tieline.wire.ids import ConnectionId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused, SessionGone
from tieline.wire.internal.directions import RouterReply
from tieline.wire.internal.signals import Accepted, Answers, Check, Delivery, Relay


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
    assert check == msgspec.structs.replace(asked, sends_frame=True)


async def test_the_frame_of_an_offer_is_shown_if_presence_wants_it(routing: Routing) -> None:
    offer = said(OFFER, signal())
    wanting = Refused("TARGET_OFFLINE", wants_frame=True)
    routing.verdict = lambda check: Relay("held", (), kept_s=30.0) if check.frame else wanting

    routing.signal(OFFER, signal())

    assert await routing.answer() == [(0, Accepted("held", kept_s=30.0))]
    checks = [codec.decode_presence_request((await routing.checks.next()).data) for _ in range(2)]
    assert [check.frame for check in checks if isinstance(check, Check)] == [b"", offer]


async def test_a_presence_that_goes_on_wanting_the_frame_has_refused(routing: Routing) -> None:
    wanting = Refused("TARGET_OFFLINE", wants_frame=True)
    routing.verdict = lambda _: wanting

    routing.signal(OFFER, signal())

    assert await routing.answer() == [(0, wanting)]


@pytest.mark.parametrize("verdict", [Refused("TARGET_OFFLINE"), SessionGone(replaced=True)])
async def test_what_presence_refuses_is_told_and_goes_nowhere(
    routing: Routing, verdict: Refused | SessionGone
) -> None:
    routing.verdict = lambda _: verdict

    routing.signal(OFFER, signal())

    assert await routing.answer() == [(0, verdict)]
    await routing.broker.flush()
    assert routing.frames.is_empty()


@pytest.mark.parametrize("stored", [True, False])
@pytest.mark.parametrize("is_granted", [True, False])
async def test_without_room_every_sender_hears_it_at_once(
    without_room: Routing, stored: bool, is_granted: bool
) -> None:
    if is_granted:
        grant = Grant(SESSION, TARGET, time.monotonic() + 60, frozenset())
        without_room.grants.answered(without_room.grants.ask(ALICE, BOB), grant)

    without_room.signal(CANDIDATE, *(signal(b"%d" % number, stored=stored) for number in range(3)))

    answers: dict[int, RouterReply | Answers] = {}
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


async def test_presence_is_told_when_a_signal_came(routing: Routing) -> None:
    routing.verdict = lambda _: to_bob()
    routing.signal(OFFER, msgspec.structs.replace(signal(stored=True), at=1_700_000_000_000))
    await routing.answer()

    check = codec.decode_presence_request((await routing.checks.next()).data)
    assert isinstance(check, Check)
    assert check.at == 1_700_000_000_000
