"""What happens in a whole system is told to a real receiver, by workers that come, go and are killed."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.frames import ANSWER, HANGUP, OFFER
from tests.support.people import People
from tests.support.receiver import SECRET, Receiver
from tests.support.system import Service, System
from tests.support.waiting import until

KINDS = ["call.offered", "call.answered", "call.established", "call.ended"]


@pytest.fixture(scope="module")
def eventful(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system with the stream of events."""
    settings = {"EVENTS": "on", "STORAGE": "memory", "OFFER_TIMEOUT": "2"}
    folder = tmp_path_factory.mktemp("eventful")
    with System(nats_url, folder, presences=2, settings=settings) as running:
        yield running


@pytest.fixture
async def people(eventful: System) -> AsyncIterator[People]:
    async with People(eventful) as them:
        yield them


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with Receiver().listening() as listening:
        yield listening


def settings_of(receiver: Receiver, **more: str) -> dict[str, str]:
    return {"WEBHOOK_URL": receiver.url, "WEBHOOK_SECRET": SECRET, "WEBHOOK_PRIVATE": "1", **more}


def is_served(system: System) -> bool:
    """Whether a worker knows of the endpoint where to go on."""
    workers = [worker for worker in system.all("webhooks") if worker.status is None]
    return sum(worker.count("tieline_webhook_endpoints") for worker in workers) == 1


def about(receiver: Receiver, *users: str) -> list[dict[str, Any]]:
    """The events that were taken about these users' calls, each once."""
    taken = {event["id"]: event for event in receiver.taken}
    return [event for event in taken.values() if event["data"].get("caller") in users]


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("tieline.") for event in events]


async def test_a_call_is_told_from_the_offer_to_the_end(
    eventful: System, people: People, receiver: Receiver
) -> None:
    with eventful.extra("webhooks", **settings_of(receiver)):
        await until(lambda: is_served(eventful))
        alice, bob = await people.two()
        await alice.relays(OFFER, bob)
        await bob.relays(ANSWER, alice)
        await alice.relays(HANGUP, bob)
        await until(lambda: kinds(about(receiver, alice.user)) == KINDS)
        assert all(post.is_signed() for post in receiver.posts)
        ended = about(receiver, alice.user)[-1]["data"]
        assert (ended["by"], ended["reason"], ended["callee"]) == (alice.user, "hangup", bob.user)
        assert ended["durationSeconds"] >= 0


async def test_whom_to_push_and_who_did_not_answer_is_told(
    eventful: System, people: People, receiver: Receiver
) -> None:
    with eventful.extra("webhooks", **settings_of(receiver)):
        await until(lambda: is_served(eventful))
        alice, bob = await people.two()
        await alice.relays(OFFER, bob)
        await until(lambda: kinds(about(receiver, alice.user)) == ["call.offered", "call.unanswered"])
        assert about(receiver, alice.user)[-1]["data"]["reason"] == "timeout"
        await bob.connection.close(1000)
        await until(lambda: "tieline.member.left" in [event["type"] for event in receiver.taken])
        assert [(await alice.hear())["cmd"] for _ in range(2)] == ["WEBRTC_HANGUP", "MEMBER_LEFT"]
        await alice.is_refused(OFFER, bob, "TARGET_OFFLINE")
        await until(lambda: kinds(about(receiver, alice.user))[-1] == "call.refused")
        refused = about(receiver, alice.user)[-1]["data"]
        assert refused == {"caller": alice.user, "callee": bob.user, "reason": "target_offline"}


async def test_workers_that_are_killed_lose_nothing(
    eventful: System, people: People, receiver: Receiver
) -> None:
    more = settings_of(receiver, WEBHOOK_TIMEOUT="1")
    callers = []
    with ExitStack() as running:

        def two_workers() -> list[Service]:
            return [running.enter_context(eventful.extra("webhooks", **more)) for _ in range(2)]

        workers = two_workers()
        await until(lambda: is_served(eventful))
        for _ in range(3):
            alice, bob = await people.two()
            callers.append(alice.user)
            receiver.manner = "hangs"
            receiver.posts.clear()
            await alice.relays(OFFER, bob)
            await bob.relays(ANSWER, alice)
            await until(lambda: bool(receiver.posts))
            for worker in workers:
                worker.kill()
            await alice.relays(HANGUP, bob)
            receiver.manner = "takes"
            workers = two_workers()
        await until(lambda: all(kinds(about(receiver, caller)) == KINDS for caller in callers))


async def test_a_dead_letter_is_shown_and_told_again_by_hand(
    eventful: System, people: People, receiver: Receiver
) -> None:
    more = settings_of(receiver, WEBHOOK_RETRY_FOR="0.001", WEBHOOK_EVENTS="call.offered")
    receiver.manner = "refuses"
    with eventful.extra("webhooks", **more) as worker:
        await until(lambda: is_served(eventful))
        alice, bob = await people.two()
        await alice.relays(OFFER, bob)
        await until(lambda: worker.count("tieline_webhook_events_total", outcome="dead") >= 1)
        receiver.manner = "takes"
        assert "dead 1" in await command(eventful, receiver, "list")
        assert alice.user in await command(eventful, receiver, "dead", "settings")
        assert "1 of 1" in await command(eventful, receiver, "replay", "settings")
        await until(lambda: kinds(about(receiver, alice.user)) == ["call.offered"])
        assert "dead 0" in await command(eventful, receiver, "list")


async def command(system: System, receiver: Receiver, *words: str) -> str:
    """What `tieline webhooks` prints."""
    settings = {**system._settings, **settings_of(receiver)}
    environ = {**os.environ, **{f"TIELINE_{name}": value for name, value in settings.items()}}
    asked = [sys.executable, "-m", "tieline.cli", "webhooks", *words]
    process = await asyncio.create_subprocess_exec(*asked, env=environ, stdout=PIPE, stderr=PIPE)
    printed, said = await process.communicate()
    assert process.returncode == 0, said
    return printed.decode()
