"""TIELINE_RATE_LIMIT: what is over the limit is refused, and a client that goes on is closed."""

import pytest

from tests.support import frames
from tests.support.frames import OFFER
from tests.support.people import People, Person
from tests.support.raw_client import Ended
from tests.support.system import System
from tests.system.conftest import NewGateway

LIMIT = 5

one = pytest.mark.parametrize("system", ["one"], indirect=True)


def floods(person: Person, count: int) -> list[bytes]:
    """Send many messages at once, and return them."""
    sent = [frames.command("PING", {"number": number}) for number in range(count)]
    for frame in sent:
        person.connection.send(frame)
    return sent


async def heard_of(person: Person, frame: bytes) -> str:
    """Wait for the answer to a PING: its reason, or "ok"."""
    heard = await person.hear()
    assert heard["requestId"] == frames.names_of(frame)["requestId"]
    if heard["code"] == 200:
        return "ok"
    assert heard == frames.refusal("RATE_LIMITED", frames.names_of(frame))
    return "RATE_LIMITED"


@one
async def test_what_is_over_the_limit_is_refused_and_not_carried_out(
    system: System, new_gateway: NewGateway, people: People
) -> None:
    bob = await people.enter("bob")
    limited = new_gateway(RATE_LIMIT=str(LIMIT))
    alice = await people.connect("alice", port=limited.port, claims={"join": [people.room]})
    await people.meet(alice)
    sent = [alice.say(OFFER, bob) for _ in range(3 * LIMIT)]
    passed = [frame for frame in sent if await alice.hear() == frames.ack(frame, "relayed")]
    assert LIMIT <= len(passed) < len(sent)
    for frame in passed:
        assert await bob.hear_frame() == frame
    await people.hear_nothing(bob)
    signals = {"cmd": OFFER, "outcome": "RATE_LIMITED"}
    assert system.count("gateway", "tieline_signals_total", **signals) == len(sent) - len(passed)


@one
async def test_who_does_not_stop_is_sent_away_for_good(new_gateway: NewGateway, people: People) -> None:
    limited = new_gateway(RATE_LIMIT=str(LIMIT))
    alice = await people.connect("alice", port=limited.port)
    answers = [await heard_of(alice, frame) for frame in floods(alice, LIMIT)]
    assert answers == ["ok"] * LIMIT

    async def go_on() -> None:
        while True:
            (frame,) = floods(alice, 1)
            await heard_of(alice, frame)

    with pytest.raises(Ended) as ended:
        await go_on()
    assert (ended.value.code, ended.value.reason) == (4503, "flooding")


async def test_without_a_limit_nobody_is_refused(people: People) -> None:
    alice = await people.connect("alice")
    assert {await heard_of(alice, frame) for frame in floods(alice, 300)} == {"ok"}
