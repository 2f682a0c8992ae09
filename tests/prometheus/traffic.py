"""Everything that clients do, over and over: calls and all their ends, refusals, resumes, a steady load."""

import asyncio
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple, Self

from tests.support.frames import ANSWER, HANGUP, OFFER
from tests.support.http_get import HOST
from tests.support.load import running
from tests.support.people import People, Person
from tests.support.raw_client import RawClient, Refused
from tests.support.receiver import Receiver
from tests.support.resuming import ResumingPeople, id_of
from tests.support.system import System
from tieline.api import Backend

PAIRS: Final = 2


KEY: Final = "a key of a backend that counts what there is"


class Gateways(NamedTuple):
    """Those that the system began with: others come and go under its tests."""

    ports: Sequence[int]
    log: str = ""


class Traffic:
    """Runs beside the tests, on an event loop of its own, while its `with` block does."""

    def __init__(self, system: System) -> None:
        self._gateways = Gateways(system.ports)
        self._api = f"http://{HOST}:{system.all('api')[0].port}"
        self._failure: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.rounds = 0
        """How often everything has been done."""
        self.receiver = Receiver()
        """Takes the webhooks; it has a port as soon as it listens."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def check(self) -> None:
        """Fail if the traffic has."""
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._live())
        except BaseException as failure:  # shown in the tests' own thread
            self._failure = failure

    async def _live(self) -> None:
        urls = [f"ws://127.0.0.1:{port}/ws" for port in self._gateways.ports]
        async with self.receiver.listening(), running(urls, PAIRS), Backend(self._api, KEY) as backend:
            while not self._stopping.is_set():
                async with People(self._gateways) as people:
                    await _calls(people)
                async with ResumingPeople(self._gateways) as resumers:
                    await _resumes(resumers)
                await _refusals(self._gateways.ports)
                await backend.statistics()
                self.rounds += 1


async def _calls(people: People) -> None:
    alice, bob = await people.two()
    await _answered(alice, bob)
    await alice.relays(HANGUP, bob)
    await alice.is_refused(ANSWER, bob, "NO_MATCHING_OFFER")
    await alice.relays(OFFER, bob)  # given up
    await alice.holds(bob)
    await alice.relays(HANGUP, bob)
    await alice.relays(OFFER, bob)  # unanswered
    await alice.hears_hangup(bob.user, "timeout")
    await bob.hears_hangup(alice.user, "timeout")


async def _answered(alice: Person, bob: Person) -> None:
    await alice.relays(OFFER, bob)
    held = [await alice.holds(bob) for _ in range(2)]
    answer = bob.say(ANSWER, alice)
    await bob.hear_all(held, besides=[answer])
    assert await alice.hear_frame() == answer


async def _resumes(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    frame = await alice.relays("WEBRTC_ICE_CANDIDATE", bob)
    await people.lose(bob, alice)
    missed = alice.say("WEBRTC_ICE_CANDIDATE", bob)
    await alice.hears_ack(missed)
    again = await people.resumed(bob, id_of(frame))
    assert await again.hear_frame() == missed
    await people.resumed(again, id_of(missed), gateway=1)  # its older connection is closed with 4500
    await people.come("nobody's session", resume="a token that nobody was given")


async def _refusals(ports: Sequence[int]) -> None:
    for port in ports:
        with suppress(Refused):
            await RawClient.open(port, "/ws")
