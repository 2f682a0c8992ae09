"""What a user may ask for: who asks for more is read more slowly, and sent away if it goes on."""

import asyncio

import pytest

from tests.support import frames, raw_client
from tests.support.frames import CANDIDATE, OFFER
from tests.support.people import People, Person
from tests.support.raw_client import Ended, Opcode, Refused
from tests.support.resuming import ResumingPeople, id_of
from tests.support.system import System
from tests.system.conftest import NewGateway

A_SECOND = 5
AT_ONCE = 20 * A_SECOND

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
async def test_who_does_not_stop_is_slowed_down_and_then_sent_away(
    system: System, new_gateway: NewGateway, people: People
) -> None:
    limited = new_gateway(RATE_LIMIT=str(A_SECOND))
    alice, patient = [await people.connect(name, port=limited.port) for name in ("alice", "patient")]
    sent = floods(alice, 4 * AT_ONCE)
    answers: list[str] = []

    async def hear_all() -> None:
        for frame in sent:
            answer = await heard_of(alice, frame)
            answers.append(answer)

    async def ask_one_by_one() -> None:
        for _ in range(AT_ONCE + 13 * A_SECOND):  # three seconds more than a flood may take
            assert await heard_of(patient, *floods(patient, 1)) == "ok"

    asking = asyncio.create_task(ask_one_by_one())
    with pytest.raises(Ended) as ended:
        await hear_all()
    await asking
    assert (ended.value.code, ended.value.reason) == (4503, "flooding")
    assert answers.count("RATE_LIMITED") == 1
    assert answers[-1] == "RATE_LIMITED", "until then nothing is refused"
    assert AT_ONCE // 2 < len(answers) < 2 * AT_ONCE
    with pytest.raises(Refused) as refused:
        await people.connect("alice", user=alice.user, port=limited.port)
    assert refused.value.answer.status == 429
    assert refused.value.answer.body.endswith(b'"reason":"RATE_LIMITED","limit":"flooding"}')
    assert int(refused.value.answer.headers["retry-after"]) > 10
    await people.connect("bob", port=limited.port)


@one
async def test_an_honest_burst_only_waits(new_gateway: NewGateway, people: People) -> None:
    limited = new_gateway(RATE_LIMIT=str(A_SECOND))
    alice = await people.connect("alice", port=limited.port)
    burst = floods(alice, AT_ONCE + 2 * A_SECOND)
    assert {await heard_of(alice, frame) for frame in burst} == {"ok"}


async def test_offers_over_the_limit_are_refused_and_not_carried_out(people: People) -> None:
    alice, bob = await people.two()
    sent = [alice.say(OFFER, bob) for _ in range(40)]
    passed = [frame for frame in sent if await alice.hear() == frames.ack(frame, "relayed")]
    assert 30 <= len(passed) < len(sent)
    for frame in passed:
        assert await bob.hear_frame() == frame
    await people.hear_nothing(bob)


@pytest.mark.parametrize("system", ["three"], indirect=True)
async def test_one_sender_cannot_end_the_session_of_who_is_away(people: ResumingPeople) -> None:
    alice, bob = await people.in_call()
    mallory = await people.in_room("mallory")
    had = await alice.relays(CANDIDATE, bob)
    await people.lose(bob, alice, mallory)
    sent = [mallory.say(OFFER, bob) for _ in range(257)]
    for frame in sent:
        heard = await mallory.hear()
        assert heard in (frames.ack(frame, "relayed"), frames.refusal("RATE_LIMITED", frames.names_of(frame)))
    again = await people.resume(bob, id_of(had))
    assert again.welcome["resumed"] is True
    await people.hears_status(alice, bob, "online")
    await people.hear_nothing(alice)


@one
async def test_a_room_too_many_is_refused(new_gateway: NewGateway, people: People) -> None:
    limited = new_gateway(MAX_ROOMS="2")
    rooms = [f"{people.room}-{number}" for number in range(3)]
    alice = await people.connect("alice", port=limited.port, claims={"rooms": rooms})
    for room in rooms[:2]:
        await alice.asks("JOIN", {"room": room})
    frame = frames.command("JOIN", {"room": rooms[2]})
    alice.connection.send(frame)
    assert await alice.hear() == frames.refusal("TOO_MANY_ROOMS", frames.names_of(frame))
    await alice.asks("LEAVE", {"room": rooms[0]})
    await alice.asks("JOIN", {"room": rooms[2]})


@one
async def test_of_many_rooms_in_a_token_the_first_hundred_are_joined(people: People) -> None:
    rooms = [f"{people.room}-{number}" for number in range(150)]
    alice = await people.connect("alice", claims={"join": rooms})
    assert set(alice.welcome["data"]["rooms"]) == set(rooms[:100])


@one
@pytest.mark.parametrize("kind", ["pongs", "fragments"])
async def test_others_are_answered_before_a_flooder_s_bytes_are_read(
    new_gateway: NewGateway, people: People, kind: str
) -> None:
    port = new_gateway(LIMITS="off").port
    alice, mallory = await people.connect("alice", port=port), await people.connect("mallory", port=port)
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


@one
async def test_without_limits_nobody_waits(new_gateway: NewGateway, people: People) -> None:
    free = new_gateway(LIMITS="off", RATE_LIMIT=str(A_SECOND))
    alice = await people.connect("alice", port=free.port)
    assert {await heard_of(alice, frame) for frame in floods(alice, 20 * AT_ONCE)} == {"ok"}
