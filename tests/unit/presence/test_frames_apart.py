"""A frame that lies apart goes with what speaks of it: nobody fills the bucket with calls that are over."""

import functools
from collections.abc import Awaitable, Callable

import pytest

from presence.frames_apart import EMPTIED_S
from presence.rules import signals
from presence.rules.negotiation import MAX_HELD_BYTES, MAX_INLINE_BYTES
from presence.rules.signals import Terms
from presence.store import StoreUnavailable
from tests.unit.presence.lifetime import MortalStore
from tests.unit.presence.presence_process import OFFER_TIMEOUT_S, PresenceProcess
from tests.unit.presence.rules.frames import named
from tests.unit.presence.waking_process import (
    ALICE,
    BOB,
    HALL,
    WINDOW_S,
    comes,
    delivered,
    given,
    kept,
    sent_to,
    time_passes,
    with_alice,
)
from tieline.wire.ids import UserId
from tieline.wire.internal.backend import Ban, EndCall, RemoveMember, SetVoice
from tieline.wire.internal.signals import Relay
from tieline.wire.subjects import Keys

LARGE = "x" * (MAX_INLINE_BYTES + 1)


def apart(process: PresenceProcess) -> list[str]:
    """List the frames that lie apart; of a large one its first letters."""
    stored = process.store.contents()
    return sorted(value.decode()[:9] for key, value in stored.items() if key.startswith("held.") and value)


async def rung(process: PresenceProcess) -> None:
    """Let Alice ring Bob, who is not there, and trickle something large."""
    await kept(process)
    await process.signal("alice", "bob", "ICE_CANDIDATE", f"candidate{LARGE}")
    assert apart(process) == ["candidate", "offer"]


@pytest.mark.parametrize(
    "end",
    [
        lambda process: process.signal("alice", "bob", "HANGUP", "hangup"),
        time_passes,
        lambda process: process.end("alice"),
        lambda process: process.leave("alice", "hall"),
        lambda process: process.ask(EndCall("1", 60.0, ALICE, BOB)),
        lambda process: process.ask(Ban("1", 60.0, BOB, 60.0)),
        lambda process: process.ask(RemoveMember("1", 60.0, BOB, HALL)),
        lambda process: process.ask(SetVoice("1", 60.0, ALICE, is_allowed=False)),
    ],
    ids=["hung up", "unanswered", "gone", "left", "ended", "banned", "removed", "silenced"],
)
async def test_a_kept_offer_goes_with_its_call(end: Callable[[PresenceProcess], Awaitable[object]]) -> None:
    process = await with_alice()
    await rung(process)
    await end(process)
    assert not (await process.pair("alice", "bob")).is_active
    assert apart(process) == []


async def test_nothing_is_left_in_its_place_either() -> None:
    process = await with_alice()
    await kept(process)
    await process.signal("alice", "bob", "HANGUP", "hangup")
    process.clock.pass_s(EMPTIED_S)
    assert not [key for key in process.store.contents() if key.startswith("held.")]


async def test_a_kept_offer_goes_when_its_target_has_it() -> None:
    process = await with_alice()
    await rung(process)
    await comes(process)
    assert sent_to(process, "bob") == ["offer"]
    assert apart(process) == ["candidate"]
    answer = await process.signal("bob", "alice", "ANSWER", "answer")
    assert delivered(answer)[1] == f"bob-s1: candidate{LARGE}"


async def test_a_kept_offer_goes_when_a_newer_one_takes_its_place() -> None:
    process = await with_alice()
    await kept(process)
    await kept(process, frame="newer")
    assert apart(process) == ["newer"]
    await comes(process)
    assert sent_to(process, "bob") == ["newer"]


async def test_who_rings_and_hangs_up_in_a_loop_fills_nothing() -> None:
    process = await with_alice()
    for number in range(40):
        to = f"callee-{number % 4}"
        await given(process, UserId(to))
        await kept(process, to=to, frame=f"offer {number}")
        await process.signal("alice", to, "ICE_CANDIDATE", f"candidate {number} {LARGE}")
        await process.signal("alice", to, "HANGUP", f"hangup {number}")
    assert apart(process) == []


async def test_what_a_call_held_goes_with_it() -> None:
    process = await with_alice()
    await comes(process)
    for number in range(10):
        await process.signal("alice", "bob", "OFFER", f"offer {number}")
        await process.signal("alice", "bob", "ICE_CANDIDATE", f"{number}{'x' * (MAX_HELD_BYTES - 1)}")
        await process.signal("alice", "bob", "HANGUP", f"hangup {number}")
    assert apart(process) == []


async def test_what_gave_way_to_newer_candidates_goes() -> None:
    process = await with_alice()
    await comes(process)
    for word in ("older", "newer"):
        await process.signal("alice", "bob", "OFFER", f"offer {word}")
        await process.signal("alice", "bob", "ICE_CANDIDATE", f"{word}    {'x' * (MAX_HELD_BYTES - 9)}")
    assert apart(process) == ["newer    "]


async def test_what_an_answer_has_released_stays_for_its_retries() -> None:
    process = await with_alice()
    await comes(process)
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.signal("alice", "bob", "ICE_CANDIDATE", f"candidate{LARGE}")
    await process.signal("bob", "alice", "ANSWER", "answer")
    await process.signal("bob", "alice", "HANGUP", "hangup")
    again = await process.signal("bob", "alice", "ANSWER", "answer")
    assert isinstance(again, Relay)
    assert delivered(again)[1] == f"bob-s1: candidate{LARGE}"


async def test_what_comes_and_goes_in_one_change_leaves_nothing() -> None:
    process = await with_alice()
    await comes(process)
    await process.signal("alice", "bob", "OFFER", "offer")
    checks = [
        await process.check("alice", "bob", "ICE_CANDIDATE", f"candidate{LARGE}"),
        await process.check("alice", "bob", "HANGUP", "hangup"),
    ]
    terms = Terms("hold", OFFER_TIMEOUT_S, WINDOW_S)
    rules = [functools.partial(signals.check, check, terms) for check in checks]
    first, then = await process.changes.negotiations(ALICE, BOB, rules)
    assert isinstance(first.reply, Relay)
    assert (first.reply.ack, delivered(then.reply)) == ("held", ["bob-s1: own"])
    assert apart(process) == []


class _Stuck(MortalStore):
    """A store in which no frame can be taken out."""

    async def put(self, key: str, value: bytes, ttl_s: float, *, leaves_marker: bool = True) -> int:
        """See `Store.put`."""
        if key.startswith("held.") and not value:
            raise StoreUnavailable(key)
        return await super().put(key, value, ttl_s, leaves_marker=leaves_marker)


async def test_a_call_ends_also_if_its_frame_cannot_be_taken_out() -> None:
    process = await with_alice()
    process.over(_Stuck(process.life, process.clock, process.store))
    await kept(process)
    await process.signal("alice", "bob", "HANGUP", "hangup")
    assert not (await process.pair("alice", "bob")).is_active
    frame = Keys.held(ALICE, BOB, named("offer"))
    assert process.store.time_to_live(frame) > 0
