"""A client that gives up an attempt to connect stays connected where it is.

A gateway that stood still meanwhile finds the request and its end together.
"""

from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from tests.support import frames
from tests.support.frames import CANDIDATE
from tests.support.people import Person
from tests.support.raw_client import RawClient, upgrade
from tests.support.resuming import ResumingPeople, id_of
from tests.support.system import System

ATTEMPTS = 40
"""More than a gateway lets in at once."""


@pytest.fixture(scope="module")
def system(nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with System(nats_url, tmp_path_factory.mktemp("giving-up"), gateways=2) as running:
        yield running


async def give_up(person: Person, port: int, how: str) -> None:
    """Ask for an upgrade as this user, and close the socket."""
    query = {"token": frames.token(person.user)}
    if how == "resuming":
        query |= {"resume": person.welcome["resumeToken"], "last": ""}
    line = await RawClient.dial(port)
    line.write(upgrade(f"/ws?{urlencode(query)}"))
    await line.drop()


@pytest.mark.parametrize("how", ["resuming", "anew"])
async def test_an_attempt_that_was_given_up_replaces_nobody(
    people: ResumingPeople, system: System, how: str
) -> None:
    alice, bob = await people.in_call()  # alice on gateway 1
    with system.all("gateway")[0].frozen():
        for _ in range(ATTEMPTS):
            await give_up(alice, people.ports[0], how)
    # A client that comes there after them is let in after them.
    for _ in range(2):
        await people.come("later", gateway=0)
        await alice.relays(CANDIDATE, bob)
        await bob.relays(CANDIDATE, alice)
    await people.hear_nothing(alice, bob)


async def test_an_attempt_that_was_given_up_takes_nothing_from_the_next(
    people: ResumingPeople, system: System
) -> None:
    alice, bob = await people.in_call()
    last = await bob.relays(CANDIDATE, alice)
    await people.lose(alice, bob)
    with system.all("gateway")[0].frozen():
        await give_up(alice, people.ports[0], "resuming")
        again = await people.resumed(alice, id_of(last), gateway=1)
    await people.hears_status(bob, again, "online")
    for _ in range(2):
        await people.come("later", gateway=0)
        await again.relays(CANDIDATE, bob)
        await bob.relays(CANDIDATE, again)
    await people.hear_nothing(again, bob)
