"""What happens when time passes: to offers, tokens, pings, and the memory of users who were here."""

import asyncio
import time

from tests.support.frames import ANSWER, CANDIDATE, HANGUP, OFFER, names_of, refusal
from tests.support.people import People, Person, establish
from tests.support.raw_client import CUT, Ended, Frame, Opcode, RawClient, frame, upgrade
from tests.support.system import System
from tests.support.waiting import until_true

OFFER_TIMEOUT_S = 2.0
HANDSHAKE_S = 5.0
EARLY_S = 0.1
"""How much sooner than the server we may think that time has passed."""


async def hear_timeout(*pair: Person) -> None:
    """Expect that the offer between two has timed out."""
    one, other = pair
    await one.hears_hangup(other.user, "timeout")
    await other.hears_hangup(one.user, "timeout")


async def test_an_offer_that_nobody_answers_times_out_for_both(hasty_people: People) -> None:
    alice, bob = await hasty_people.two()
    began = time.monotonic()
    await alice.relays(OFFER, bob)
    held = await alice.holds(bob)
    await hear_timeout(alice, bob)
    assert time.monotonic() - began >= OFFER_TIMEOUT_S
    for cmd in (CANDIDATE, HANGUP):
        await alice.is_refused(cmd, bob, "NO_MATCHING_OFFER")
    await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")
    alice.connection.send(held)  # a retry, which is no candidate of the next call
    await alice.hears_ack(held, "held")
    await establish(bob, alice)
    await hasty_people.hear_nothing(alice, bob)


async def test_a_new_offer_has_its_own_time_and_so_have_crossing_ones(hasty_people: People) -> None:
    alice, bob = await hasty_people.two()
    began = time.monotonic()
    await alice.relays(OFFER, bob)
    while time.monotonic() < began + OFFER_TIMEOUT_S / 2:
        await alice.pings()
    began = time.monotonic()
    await bob.relays(OFFER, alice)
    await alice.relays(OFFER, bob)
    await hear_timeout(alice, bob)
    assert time.monotonic() - began >= OFFER_TIMEOUT_S
    await hasty_people.hear_nothing(alice, bob)


async def test_an_offer_in_an_established_call_stops_waiting_in_silence(hasty_people: People) -> None:
    alice, bob = await hasty_people.call()
    await alice.relays(OFFER, bob)
    carol = await hasty_people.enter("carol")
    dave = await hasty_people.enter("dave")
    for _ in range(2):  # long enough for the offer above, too
        await carol.relays(OFFER, dave)
        await hear_timeout(carol, dave)
    await alice.relays(CANDIDATE, bob)
    await bob.relays(CANDIDATE, alice)
    await bob.is_refused(ANSWER, alice, "NO_MATCHING_OFFER")
    await alice.relays(HANGUP, bob)
    await hasty_people.hear_nothing(alice, bob, carol, dave)


async def test_an_answered_offer_and_one_that_was_hung_up_never_time_out(hasty_people: People) -> None:
    alice, bob = await hasty_people.call()
    carol = await hasty_people.enter("carol")
    await carol.relays(OFFER, alice)
    await alice.relays(HANGUP, carol)
    await carol.relays(OFFER, bob)
    await hear_timeout(carol, bob)  # which ends the last of all these offers
    await alice.relays(CANDIDATE, bob)
    await hasty_people.hear_nothing(alice, bob, carol)


async def test_an_offer_that_ended_with_its_target_has_no_timeout(hasty_people: People) -> None:
    alice, bob = await hasty_people.two()
    carol = await hasty_people.enter("carol")
    await alice.relays(OFFER, bob)
    await bob.connection.close()
    for other in (alice, carol):
        if other is alice:
            await alice.hears_hangup(bob.user, "disconnected")
        await other.hears_left(hasty_people.room, bob.user, "disconnected")
    await alice.relays(OFFER, carol)
    await hear_timeout(alice, carol)
    await hasty_people.hear_nothing(alice, carol)


async def test_who_has_gone_is_remembered_for_a_while_only(hasty_people: People) -> None:
    alice, bob = await hasty_people.two()
    await bob.connection.close()
    await alice.hears_left(hasty_people.room, bob.user, "disconnected")
    reasons: set[str] = set()

    async def is_forgotten() -> bool:
        frame = alice.say(CANDIDATE, bob)
        heard = await alice.hear()
        assert heard == refusal(heard["reason"], names_of(frame))
        reasons.add(heard["reason"])
        return bool(heard["reason"] == "NOT_IN_SAME_ROOM")

    await until_true(is_forgotten)
    assert reasons == {"TARGET_OFFLINE", "NOT_IN_SAME_ROOM"}


async def test_a_token_is_warned_of_and_then_ends_the_connection(hasty_people: People) -> None:
    alice = await hasty_people.enter("alice")
    expiry = int(time.time()) + 2
    bob = await hasty_people.enter("bob", claims={"exp": expiry})
    await bob.hears("TOKEN_EXPIRING", {"expiresAt": expiry * 1000})
    await establish(alice, bob)  # it is good to the last
    end = await bob.connection.ended()
    assert time.time() >= expiry
    assert (end.code, end.reason) == (4501, "token expired")
    await alice.hears_hangup(bob.user, "disconnected")
    await alice.hears_left(hasty_people.room, bob.user, "disconnected")


async def test_only_a_client_that_answers_no_ping_is_closed(hasty: System, hasty_people: People) -> None:
    with hasty.extra("gateway", PING_INTERVAL="0.4", PONG_TIMEOUT="2") as gateway:
        deaf, wrong, good = [
            await hasty_people.connect(name, port=gateway.port) for name in ("deaf", "wrong", "good")
        ]
        assert good.welcome["data"]["pingInterval"] == 0.4
        pings: list[Frame] = []
        async with asyncio.TaskGroup() as listening:
            ends = [
                listening.create_task(end_of(person, pong)) for person, pong in ((deaf, b""), (wrong, b"?"))
            ]
            while len(pings) < 4 or not all(end.done() for end in ends):
                pings.append(await good.connection.receive_frame())
                good.connection.write(frame(Opcode.PONG, pings[-1].payload))
        assert [end.result() for end in ends] == [(4001, "ping unanswered")] * 2
        assert {ping.opcode for ping in pings} == {Opcode.PING}
        assert len({ping.payload for ping in pings}) == len(pings) >= 4
        await good.pings()
        await good.connection.close()


async def end_of(person: Person, pong: bytes) -> tuple[int, str]:
    """Answer every ping with `pong`, if anything; returns the code and reason at the end."""
    while True:
        try:
            received = await person.connection.receive_frame()
        except Ended as end:
            return end.code, end.reason
        assert received.opcode == Opcode.PING
        if pong:
            person.connection.write(frame(Opcode.PONG, pong))


async def test_an_upgrade_that_takes_too_long_is_cut(hasty_people: People) -> None:
    async def is_cut(sent: bytes) -> None:
        client = await RawClient.dial(hasty_people.ports[0])
        client.write(sent)
        assert (await client.ended()).code == CUT
        await client.drop()

    began = time.monotonic()
    async with asyncio.TaskGroup() as waiting:
        for sent in (b"", upgrade("/ws")[:-2]):
            waiting.create_task(is_cut(sent))
    assert time.monotonic() - began >= HANDSHAKE_S - EARLY_S
