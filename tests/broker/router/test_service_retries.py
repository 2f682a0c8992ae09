"""What was sent before, and what the mailbox has of it."""

import pytest

from presence.mailbox import make_mailbox
from tests.broker.router.routing import BOB, CANDIDATE, OFFER, SUBJECTS, TARGET, Routing, signal, to_bob
from tests.support.waiting import until
from tieline.runtime.broker import Broker
from tieline.wire.digests import digest
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.directions import PresenceReply
from tieline.wire.internal.signals import Accepted, Check, Delivery, Relay


async def test_a_signal_that_was_answered_before_is_left_out(routing: Routing) -> None:
    routing.verdict = lambda _: to_bob()

    routing.signal(OFFER, None, signal())

    assert await routing.answer() == [(1, Accepted("relayed"))]


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
