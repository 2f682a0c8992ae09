"""TIELINE_RATE_LIMIT: a client over it is read more slowly, and one that goes on and on is closed."""

import asyncio

import pytest

from tests.support import frames, raw_client
from tests.support.frames import OFFER
from tests.support.people import People, Person
from tests.support.raw_client import Ended, Opcode
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
async def test_what_is_over_the_limit_waits_and_is_carried_out(
    system: System, new_gateway: NewGateway, people: People
) -> None:
    bob = await people.enter("bob")
    limited = new_gateway(RATE_LIMIT=str(LIMIT))
    alice = await people.connect("alice", port=limited.port, claims={"join": [people.room]})
    await people.meet(alice)
    sent = [alice.say(OFFER, bob) for _ in range(3 * LIMIT)]
    for frame in sent:
        assert await alice.hear() == frames.ack(frame, "relayed")
        assert await bob.hear_frame() == frame
    assert system.count("gateway", "tieline_signals_total", cmd=OFFER, outcome="RATE_LIMITED") == 0


@one
async def test_who_does_not_stop_is_sent_away_for_good(new_gateway: NewGateway, people: People) -> None:
    limited = new_gateway(RATE_LIMIT=str(LIMIT))
    alice = await people.connect("alice", port=limited.port)
    sent = floods(alice, 30 * LIMIT)
    heard: list[str] = []

    async def hear_all() -> None:
        for frame in sent:
            answer = await heard_of(alice, frame)
            heard.append(answer)

    with pytest.raises(Ended) as ended:
        await hear_all()
    assert (ended.value.code, ended.value.reason) == (4503, "flooding")
    assert heard == ["ok"] * (len(heard) - 1) + ["RATE_LIMITED"]
    assert 10 * LIMIT <= len(heard) <= 13 * LIMIT


@one
@pytest.mark.parametrize("kind", ["pongs", "fragments"])
async def test_others_are_answered_before_a_flooder_s_bytes_are_read(people: People, kind: str) -> None:
    alice, mallory = await people.connect("alice"), await people.connect("mallory")
    if kind == "pongs":
        flood = raw_client.frame(Opcode.PONG, b"") * (4_000_000 // 6)
    else:
        flood = raw_client.frame(Opcode.TEXT, b"", fin=False)
        flood += raw_client.frame(Opcode.CONTINUATION, b"", fin=False) * (4_000_000 // 6)
    mallory.connection.write(flood)
    if kind == "fragments":
        mallory.connection.write(raw_client.frame(Opcode.CONTINUATION, b""))
    floods(mallory, 1)
    all_read = asyncio.ensure_future(mallory.hear())
    for _ in range(50):
        (frame,) = floods(alice, 1)
        assert await heard_of(alice, frame) == "ok"
    assert not all_read.done()
    all_read.cancel()


async def test_without_a_limit_nobody_is_refused(people: People) -> None:
    alice = await people.connect("alice")
    assert {await heard_of(alice, frame) for frame in floods(alice, 300)} == {"ok"}
