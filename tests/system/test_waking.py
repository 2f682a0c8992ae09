"""An offer to a member who is not connected waits for that user, and the backend is told whom to wake."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.support.frames import CANDIDATE, HANGUP, OFFER
from tests.support.hearing import next_of
from tests.support.people import People
from tests.support.receiver import SECRET as WEBHOOK_SECRET
from tests.support.receiver import Receiver
from tests.support.system import System
from tests.support.waiting import until
from tests.support.waking import WINDOW_S, backend_of, client, two_members, waking_system
from tieline.client import Answer, Candidate, Hangup, Offer, Refused


@pytest.fixture(scope="module")
def waking(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with waking_system(nats_url, tmp_path_factory.mktemp("waking")) as system:
        yield system


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as listening:
        yield listening


def told(receiver: Receiver, user: str) -> dict[str, dict[str, Any]]:
    """What was told of this user's calls, by the kind."""
    about = (event for event in receiver.taken if event["data"].get("caller") == user)
    return {event["type"].removeprefix("tieline.call."): event["data"] for event in about}


async def test_who_is_woken_in_time_gets_the_offer_and_then_its_candidates(
    waking: System, receiver: Receiver
) -> None:
    settings = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": WEBHOOK_SECRET, "WEBHOOK_PRIVATE": "1"}
    with waking.extra("webhooks", **settings, WEBHOOK_EVENTS="call.waking,call.unanswered") as worker:
        await until(lambda: worker.count("tieline_webhook_endpoints") == 1)
        alices, bobs, _ = await two_members(waking)
        async with client(waking, alices) as alice:
            assert await alice.call(bobs, {"sdp": "1"}) == "held"
            assert await alice.candidate(bobs, {"candidate": "2"}) == "held"
            await until(lambda: "waking" in told(receiver, alices))
            push = told(receiver, alices)["waking"]
            assert (push["callee"], push["call"]) == (bobs, alice.call_with(bobs))
            assert push["until"] == push["offeredAt"] + WINDOW_S * 1000
            async with client(waking, bobs, gateway=1) as bob:
                offer = await next_of(bob, Offer)
                assert (offer.sender, offer.description, offer.call) == (alices, {"sdp": "1"}, push["call"])
                await bob.answer(alices, {"sdp": "3"})
                assert (await next_of(bob, Candidate)).candidate == {"candidate": "2"}
                assert (await next_of(alice, Answer)).call == push["call"]
        assert "unanswered" not in told(receiver, alices)


async def test_if_nobody_comes_the_caller_hears_it_as_of_any_offer(
    waking: System, receiver: Receiver
) -> None:
    settings = {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": WEBHOOK_SECRET, "WEBHOOK_PRIVATE": "1"}
    with waking.extra("webhooks", **settings) as worker:
        await until(lambda: worker.count("tieline_webhook_endpoints") == 1)
        alices, bobs, _ = await two_members(waking)
        async with client(waking, alices) as alice:
            assert await alice.call(bobs, {"sdp": "1"}) == "held"
            hangup = await next_of(alice, Hangup)
            assert (hangup.sender, hangup.reason, hangup.server) == (bobs, "timeout", True)
            await until(lambda: "unanswered" in told(receiver, alices))
            assert told(receiver, alices)["unanswered"]["reason"] == "timeout"
            assert list(told(receiver, alices)) == ["offered", "waking", "unanswered"]
            async with client(waking, bobs, gateway=1) as bob:
                await alice.call(bobs, {"sdp": "2"})
                assert (await next_of(bob, Offer)).description == {"sdp": "2"}  # and nothing before it


async def test_a_caller_that_hangs_up_has_woken_nobody(waking: System) -> None:
    alices, bobs, _ = await two_members(waking)
    async with client(waking, alices) as alice:
        await alice.call(bobs, {"sdp": "1"})
        assert await alice.hangup(bobs) == "relayed"
        assert await alice.call(bobs, {"sdp": "2"}) == "held"
        async with client(waking, bobs, gateway=1) as bob:
            assert (await next_of(bob, Offer)).description == {"sdp": "2"}


async def test_a_callee_who_is_banned_meanwhile_ends_the_call(waking: System) -> None:
    alices, bobs, room = await two_members(waking)
    async with client(waking, alices) as alice:
        await alice.call(bobs, {"sdp": "1"})
        async with backend_of(waking) as backend:
            await backend.ban_user(bobs, 60)
            assert (await next_of(alice, Hangup)).reason == "kicked"
            await backend.unban_user(bobs)
            await backend.remove_member(room, bobs)
        with pytest.raises(Refused, match="NOT_IN_SAME_ROOM"):
            await alice.call(bobs, {"sdp": "2"})


async def test_clients_of_version_one_are_served_as_in_any_call(waking: System) -> None:
    alices, bobs, room = await two_members(waking)
    async with People(waking) as people:
        alice = await people.connect("alice", user=alices)
        offer = alice.say(OFFER, bobs)
        await alice.hears_ack(offer, "held")
        candidate = alice.say(CANDIDATE, bobs)
        await alice.hears_ack(candidate, "held")
        bob = await people.connect("bob", user=bobs)
        await alice.hears_joined(room, bobs)
        assert await bob.hear_frame() == offer
        alice.connection.send(offer)
        await alice.hears_ack(offer, "held")
        await alice.relays(HANGUP, bob)
