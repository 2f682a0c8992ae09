"""Candidates that come before the answer: held and released in order, or as the operator wants it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, signal
from tests.support.people import People, Person
from tests.support.system import System
from tests.system.conftest import everywhere

MAX_HELD = 64
MAX_HELD_BYTES = 65_536


async def answered(callee: Person, caller: Person, held: list[bytes]) -> None:
    """Answer; the callee gets what the caller trickled before."""
    answer = callee.say(ANSWER, caller)
    await callee.hear_all(held, besides=[answer])
    assert await caller.hear_frame() == answer


def candidate_of(size: int, sender: Person, to: Person) -> bytes:
    """Write a candidate that is so many bytes long."""
    empty = signal(CANDIDATE, sender.user, to.user, "")
    data = "x" * (size - len(empty))
    return json.dumps(
        {**json.loads(empty), "data": {"from": sender.user, "to": to.user, "data": data}}
    ).encode()


@everywhere
async def test_candidates_are_held_until_the_answer_and_released_in_order(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    held = [await alice.holds(bob) for _ in range(30)]
    await people.hear_nothing(alice, bob)
    await answered(bob, alice, held)
    await alice.relays(CANDIDATE, bob)
    await people.hear_nothing(alice, bob)


async def test_candidates_of_the_one_who_has_not_answered_yet_are_held_too(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    hers, his = [], []
    for _ in range(5):
        hers.append(await alice.holds(bob))
        his.append(await bob.holds(alice))
    await people.hear_nothing(alice, bob)
    answer = bob.say(ANSWER, alice)
    await bob.hear_all(hers, besides=[answer])
    await alice.hear_all([answer, *his])


async def test_nothing_held_is_released_twice(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    await answered(bob, alice, [await alice.holds(bob) for _ in range(3)])
    await alice.relays(OFFER, bob)
    await answered(bob, alice, [])
    for _ in range(3):
        await alice.relays(CANDIDATE, bob)
    await people.hear_nothing(alice, bob)


async def test_held_candidates_stay_held_when_a_new_offer_comes(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    first = await alice.holds(bob)
    await alice.relays(OFFER, bob)
    second = await alice.holds(bob)
    await answered(bob, alice, [first, second])


async def test_what_was_held_for_a_call_that_ended_is_forgotten(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    await alice.holds(bob)
    await bob.relays(HANGUP, alice)
    await alice.relays(OFFER, bob)
    await answered(bob, alice, [await alice.holds(bob)])
    await people.hear_nothing(alice, bob)


async def test_a_call_holds_so_many_candidates_and_no_more(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    held = [await alice.holds(bob) for _ in range(MAX_HELD - 1)]
    his = await bob.holds(alice)
    await alice.is_refused(CANDIDATE, bob, "TOO_MANY_CANDIDATES")
    await bob.is_refused(CANDIDATE, alice, "TOO_MANY_CANDIDATES")
    answer = bob.say(ANSWER, alice)
    await bob.hear_all(held, besides=[answer])
    await alice.hear_all([answer, his])
    await alice.relays(CANDIDATE, bob)


async def test_a_call_holds_so_many_bytes_and_no_more(people: People) -> None:
    alice, bob = await people.two()
    await alice.relays(OFFER, bob)
    held = [candidate_of(size, alice, bob) for size in (MAX_HELD_BYTES // 2, MAX_HELD_BYTES // 2)]
    for frame in held:
        alice.connection.send(frame)
        await alice.hears_ack(frame, "held")
    await alice.is_refused(CANDIDATE, bob, "TOO_MANY_CANDIDATES")
    await answered(bob, alice, held)


@pytest.fixture(scope="module", params=["forward", "reject"])
def of_policy(
    request: pytest.FixtureRequest, nats_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """A system whose operator wants no candidates held."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    with System(nats_url, folder, settings={"CANDIDATES": request.param}) as running:
        yield running


only_forward = pytest.mark.parametrize("of_policy", ["forward"], indirect=True)
only_reject = pytest.mark.parametrize("of_policy", ["reject"], indirect=True)


@only_forward
async def test_an_operator_may_have_early_candidates_forwarded(of_policy: System) -> None:
    async with People(of_policy) as people:
        alice, bob = await people.two()
        await alice.is_refused(CANDIDATE, bob, "NO_MATCHING_OFFER")
        await alice.relays(OFFER, bob)
        await alice.relays(CANDIDATE, bob)
        await bob.relays(CANDIDATE, alice)
        await bob.relays(ANSWER, alice)
        await alice.relays(CANDIDATE, bob)
        await people.hear_nothing(alice, bob)


@only_reject
async def test_an_operator_may_have_early_candidates_rejected(of_policy: System) -> None:
    async with People(of_policy) as people:
        alice, bob = await people.two()
        await alice.relays(OFFER, bob)
        await alice.is_refused(CANDIDATE, bob, "NO_MATCHING_OFFER")
        await bob.is_refused(CANDIDATE, alice, "NO_MATCHING_OFFER")
        await bob.relays(ANSWER, alice)
        await alice.relays(CANDIDATE, bob)
        await people.hear_nothing(alice, bob)
