"""What presence counts of calls: each step once, when it is stored, however often a frame is tried."""

from collections import Counter

from presence.rules.negotiated import WaitingOffer
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tests.unit.presence.rules.frames import NOW
from tests.unit.presence.waking_process import comes, kept, time_passes, with_alice
from tieline.metrics import REGISTRY
from tieline.wire.digests import digest
from tieline.wire.ids import SessionId, UserId

ALICE, BOB = UserId("alice"), UserId("bob")


class Counted:
    """What was counted since the beginning of a test."""

    def __init__(self) -> None:
        self._before = self._all()

    def _all(self) -> Counter[str]:
        return Counter(
            {
                f"{sample.name} {' '.join(sample.labels.values())}": int(sample.value)
                for family in REGISTRY.collect()
                if family.name
                in (
                    "tieline_negotiations",
                    "tieline_held_candidates",
                    "tieline_answer_seconds",
                    "tieline_kept_offers",
                )
                for sample in family.samples
                if not sample.name.endswith(("_created", "_bucket", "_sum"))
            }
        )

    def since(self) -> dict[str, int]:
        """By the last word of the name, and the label."""
        return {
            name.removeprefix("tieline_").replace("_total ", " ").strip(): count
            for name, count in (self._all() - self._before).items()
        }


async def ringing() -> PresenceProcess:
    """Alice has called Bob, and trickled two candidates."""
    process = PresenceProcess()
    await process.open(opening("alice", "hall"))
    await process.open(opening("bob", "hall"))
    await process.signal("alice", "bob", "OFFER", "offer")
    for name in ("one", "two"):
        await process.signal("alice", "bob", "ICE_CANDIDATE", name)
    return process


async def test_a_call_that_is_answered() -> None:
    counted = Counted()
    process = await ringing()
    for _ in range(2):
        await process.signal("bob", "alice", "ANSWER", "answer")
    await process.signal("alice", "bob", "HANGUP", "hangup")
    assert counted.since() == {
        "negotiations begun": 1,
        "negotiations established": 1,
        "negotiations ended": 1,
        "answer_seconds_count": 1,
        "held_candidates held": 2,
        "held_candidates released": 2,
    }


async def test_a_call_that_nobody_answers() -> None:
    counted = Counted()
    process = await ringing()
    generation = WaitingOffer(ALICE, digest(b"offer"), NOW).generation
    for _ in range(2):
        await process.expire(ALICE, BOB, generation)
    assert counted.since() == {
        "negotiations begun": 1,
        "negotiations unanswered": 1,
        "held_candidates held": 2,
        "held_candidates discarded": 2,
    }


async def test_a_call_whose_caller_goes() -> None:
    counted = Counted()
    process = await ringing()
    await process.end_calls(ALICE, SessionId("alice-s1"))
    await process.end("alice")
    assert counted.since()["negotiations abandoned"] == 1
    assert "negotiations unanswered" not in counted.since()


async def test_a_refused_signal_is_no_step() -> None:
    process = await ringing()
    counted = Counted()
    await process.signal("alice", "bob", "ANSWER", "no offer of bob's")
    assert counted.since() == {}


async def test_an_offer_that_is_kept_until_its_target_comes() -> None:
    counted = Counted()
    process = await with_alice()
    await kept(process)
    await comes(process)
    await process.signal("bob", "alice", "ANSWER", "answer")
    assert counted.since() == {
        "negotiations begun": 1,
        "kept_offers kept": 1,
        "kept_offers delivered": 1,
        "negotiations established": 1,
        "answer_seconds_count": 1,
    }


async def test_an_offer_that_is_kept_in_vain() -> None:
    counted = Counted()
    process = await with_alice()
    await kept(process)
    await time_passes(process)
    assert counted.since() == {
        "negotiations begun": 1,
        "kept_offers kept": 1,
        "kept_offers ended": 1,
        "negotiations unanswered": 1,
    }
