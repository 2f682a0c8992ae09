"""Clients that break the rules of WebSocket: each is closed, and harms nobody (docs/protocol.md#5-errors)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.support import frames
from tests.support.frames import CANDIDATE, ack, new_id
from tests.support.people import People, Person, establish
from tests.support.raw_client import CUT, Ended, Opcode, RawClient, frame
from tests.system.conftest import NewGateway

SMALL_BUFFER = 4096
UNREAD_MESSAGES = 200
"""Of 60 KB: more than the gateway, both kernels and we ourselves keep together."""


@dataclass(frozen=True)
class Neighbours:
    """Mallory is in a call with a victim. Alice and Bob are on the same gateway, and in another room."""

    people: People
    mallory: Person
    victim: Person
    alice: Person
    bob: Person
    port: int


@pytest.fixture
async def neighbours(
    request: pytest.FixtureRequest, new_gateway: NewGateway, people: People
) -> AsyncIterator[Neighbours]:
    """After the test the victim has heard nothing but that Mallory has gone; alice and bob still talk.

    A test may name the settings of a gateway of its own for them.
    """
    settings: dict[str, str] | None = getattr(request, "param", None)
    port = people.ports[0] if settings is None else new_gateway(**settings).port
    mallory, victim = [
        await people.connect(name, claims={"join": [people.room]}, port=port)
        for name in ("mallory", "victim")
    ]
    await mallory.hears_joined(people.room, victim.user)
    await establish(mallory, victim)
    elsewhere = new_id("room")
    alice, bob = [
        await people.connect(name, claims={"join": [elsewhere]}, port=port) for name in ("alice", "bob")
    ]
    await alice.hears_joined(elsewhere, bob.user)
    yield Neighbours(people, mallory, victim, alice, bob, port)
    await victim.hears_hangup(mallory.user, "disconnected")
    await victim.hears_left(people.room, mallory.user, "disconnected")
    await people.hear_nothing(victim)
    await establish(alice, bob)
    await alice.relays(CANDIDATE, bob)


def candidate(neighbours: Neighbours, data: bytes) -> bytes:
    """Write a candidate of Mallory's with these bytes inside a text in `data.data`."""
    written = frames.signal(CANDIDATE, neighbours.mallory.user, neighbours.victim.user, "$")
    return written.replace(b"$", data)


async def closes(neighbours: Neighbours, code: int) -> None:
    assert (await neighbours.mallory.connection.ended()).code == code


INVALID_UTF8 = {
    "a stray byte": b"\xff",
    "half a character": b"\xe7\x94",
    "an overlong slash": b"\xc0\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "beyond Unicode": b"\xf4\x90\x80\x80",
}


@pytest.mark.parametrize("data", INVALID_UTF8.values(), ids=INVALID_UTF8)
async def test_text_that_is_not_utf8_closes_with_1007(neighbours: Neighbours, data: bytes) -> None:
    neighbours.mallory.connection.send(candidate(neighbours, data))
    await closes(neighbours, 1007)


async def test_fragments_that_are_not_utf8_together_close_with_1007(neighbours: Neighbours) -> None:
    message = candidate(neighbours, "用".encode()[:2])
    middle = len(message) // 2
    neighbours.mallory.connection.write(frame(Opcode.TEXT, message[:middle], fin=False))
    neighbours.mallory.connection.write(frame(Opcode.CONTINUATION, message[middle:]))
    await closes(neighbours, 1007)


async def test_nothing_is_read_after_what_closed_the_connection(neighbours: Neighbours) -> None:
    good = candidate(neighbours, b"good")
    neighbours.mallory.connection.write(frame(Opcode.TEXT, b"\xff") + frame(Opcode.TEXT, good))
    await closes(neighbours, 1007)


@pytest.mark.parametrize("size", [65_537, 70_000, 1_000_000])
async def test_a_message_that_is_too_big_closes_with_1009(neighbours: Neighbours, size: int) -> None:
    empty = candidate(neighbours, b"")
    neighbours.mallory.connection.send(candidate(neighbours, b"x" * (size - len(empty))))
    await closes(neighbours, 1009)


async def test_a_message_that_only_says_it_will_be_too_big_closes_with_1009(neighbours: Neighbours) -> None:
    neighbours.mallory.connection.write(b"\x81\xff" + (1 << 62).to_bytes(8, "big") + b"mask")
    await closes(neighbours, 1009)


async def test_fragments_that_are_too_big_together_close_with_1009(neighbours: Neighbours) -> None:
    neighbours.mallory.connection.write(frame(Opcode.TEXT, b"[" * 40_000, fin=False))
    neighbours.mallory.connection.write(frame(Opcode.CONTINUATION, b"]" * 40_000))
    await closes(neighbours, 1009)


async def test_a_binary_message_closes_with_1003(neighbours: Neighbours) -> None:
    neighbours.mallory.connection.write(frame(Opcode.BINARY, candidate(neighbours, b"binary")))
    await closes(neighbours, 1003)


BROKEN_FRAMES = {
    "unmasked": frame(Opcode.TEXT, b"{}", masked=False),
    "a reserved bit": frame(Opcode.TEXT, b"{}", reserved=4),
    "a reserved kind": frame(3, b"{}"),
    "a reserved kind of control": frame(11, b"{}"),
    "a long ping": frame(Opcode.PING, b"x" * 126),
    "a ping in fragments": frame(Opcode.PING, b"x", fin=False),
    "a continuation of nothing": frame(Opcode.CONTINUATION, b"{}"),
    "a message inside a message": frame(Opcode.TEXT, b"{", fin=False) + frame(Opcode.TEXT, b"}"),
    "a close code that is none": frame(Opcode.CLOSE, (1005).to_bytes(2, "big")),
    "half a close code": frame(Opcode.CLOSE, b"\x03"),
}


@pytest.mark.parametrize("data", BROKEN_FRAMES.values(), ids=BROKEN_FRAMES)
async def test_what_is_not_websocket_closes_with_1002(neighbours: Neighbours, data: bytes) -> None:
    neighbours.mallory.connection.write(data)
    await closes(neighbours, 1002)


async def test_a_close_reason_that_is_not_utf8_closes(neighbours: Neighbours) -> None:
    neighbours.mallory.connection.write(frame(Opcode.CLOSE, b"\x03\xe8\xff"))
    await closes(neighbours, 1007)


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_a_close_is_answered_with_its_code(neighbours: Neighbours, code: int) -> None:
    assert (await neighbours.mallory.connection.close(code)).code == code


async def test_a_client_that_half_closes_is_gone(neighbours: Neighbours) -> None:
    neighbours.mallory.connection.write_end()
    await closes(neighbours, CUT)


async def test_a_client_that_is_cut_in_the_middle_of_a_message_is_gone(neighbours: Neighbours) -> None:
    neighbours.mallory.connection.write(frame(Opcode.TEXT, candidate(neighbours, b"x" * 5000))[:2000])
    await neighbours.mallory.connection.drop()


async def test_messages_before_the_upgrade_get_nobody_in(neighbours: Neighbours) -> None:
    client = await RawClient.dial(neighbours.port)
    client.write(frame(Opcode.TEXT, b"{}") * 3 + b"\r\n\r\n")
    assert (await client.read_answer()).status == 400
    await client.drop()
    await neighbours.mallory.connection.drop()


@pytest.mark.parametrize("neighbours", [{"LIMITS": "off"}], indirect=True)  # no user may send so much to one
async def test_a_client_that_does_not_read_is_cut_and_costs_only_itself(neighbours: Neighbours) -> None:
    people, victim, mallory = neighbours.people, neighbours.victim, neighbours.mallory
    sleepy = await people.connect(
        "sleepy", claims={"join": [people.room]}, port=neighbours.port, receive_buffer=SMALL_BUFFER
    )
    for other in (mallory, victim):
        await other.hears_joined(people.room, sleepy.user)
    await establish(victim, sleepy)
    for _ in range(UNREAD_MESSAGES):
        sent = victim.say(CANDIDATE, sleepy, "x" * 60_000)
        heard = await victim.hear()
        if heard != ack(sent, "relayed"):  # it is cut already: the answer is among what comes besides
            told = [heard, await victim.hear(), await victim.hear()]
            assert frames.names_of(sent) in [
                {name: each[name] for name in ("requestId", "cmd")} for each in told
            ]
            break
        await neighbours.alice.pings()
    else:
        told = [await victim.hear(), await victim.hear()]
    (hung_up,) = (each["data"] for each in told if each["cmd"] == "WEBRTC_HANGUP")
    assert (hung_up["from"], hung_up["data"]["reason"]) == (sleepy.user, "disconnected")
    (left,) = (each["data"] for each in told if each["cmd"] == "MEMBER_LEFT")
    assert (left["userId"], left["reason"]) == (sleepy.user, "disconnected")
    await mallory.hears_left(people.room, sleepy.user, "disconnected")
    assert await end_behind_messages(sleepy) in (4000, CUT)
    await mallory.connection.drop()


async def end_behind_messages(person: Person) -> int:
    """Read everything; returns the code at the end."""
    while True:
        try:
            await person.hear_frame()
        except Ended as end:
            return end.code
