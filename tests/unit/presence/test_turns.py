"""Signals of one pair that come at once: one change at a time, what has gathered in one, nobody forgotten."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from presence.changes import Judged
from presence.records import Guess
from presence.rules.change import Change, Facts, Rule
from presence.rules.negotiated import Negotiation
from presence.store import StoreUnavailable
from presence.turns import TOGETHER, Turns
from tests.unit.presence.changing import WatchedStore, process_of
from tests.unit.presence.lifetime import Clock
from tieline.runtime.broker import BrokerAway
from tieline.wire.ids import UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.signals import Relay
from tieline.wire.subjects import Keys

ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")


def named(name: str) -> Rule[Negotiation]:
    """Make a rule that is told from others by its reply."""
    return lambda *_: Change(Refused(name))


def name_of(rule: Rule[Negotiation]) -> str:
    """Name such a rule."""
    step = rule(None, {}, Facts(0))
    assert isinstance(step, Change)
    assert isinstance(step.reply, Refused)
    return step.reply.reason


def reason_of(judged: Judged) -> str:
    """Name the rule that judged so."""
    assert isinstance(judged.reply, Refused)
    return judged.reply.reason


class Judging:
    """Judges when a test says so, and notes what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.most = TOGETHER
        self.fails: dict[str, BaseException] = {}
        """By the name of a signal: what judging it together with others raises, or alone."""
        self.may_go_on = asyncio.Event()
        self.at_end: Callable[[], object] = bool
        """What happens just before the turn is passed on."""

    async def judge(
        self,
        one: UserId,
        other: UserId,
        rules: Sequence[Rule[Negotiation]],
        until_ms: int | None,
        *,
        guess: Guess,
    ) -> list[Judged]:
        """Judge the first so many."""
        del one, other, until_ms, guess
        names = [name_of(rule) for rule in rules]
        self.batches.append(names)
        await self.may_go_on.wait()
        for name in names:
            if name in self.fails:
                raise self.fails[name]
        asyncio.get_running_loop().call_soon(self.at_end)
        return [Judged(Refused(name)) for name in names[: self.most]]


class Crowd:
    """Signals that come while the first of them is being judged."""

    def __init__(self) -> None:
        self.judging = Judging()
        self.clock = Clock()
        self.turns = Turns(self.judging.judge, self.clock)
        self.asked: dict[str, asyncio.Task[list[Judged]]] = {}

    async def come(self, *names: str, other: UserId = BOB, until_ms: int | None = None) -> None:
        """Let signals come, and go as far as they do. A name with "+" is of some that came together."""
        for name in names:
            rules = [named(word) for word in name.split("+")]
            self.asked[name] = asyncio.ensure_future(self.turns.judge(ALICE, other, rules, until_ms))
        await self.settle()

    async def settle(self) -> None:
        """Let everything happen that can."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def outcomes(self) -> dict[str, object]:
        """Let all be judged; returns how, by name."""
        self.judging.may_go_on.set()
        async with asyncio.timeout(5):
            found = await asyncio.gather(*self.asked.values(), return_exceptions=True)
        assert len(self.turns) == 0
        return {
            name: one if isinstance(one, BaseException) else "+".join(map(reason_of, one))
            for name, one in zip(self.asked, found, strict=True)
        }


async def test_what_gathers_behind_the_first_is_judged_together() -> None:
    crowd = Crowd()
    await crowd.come("a", "b", "c")
    assert await crowd.outcomes() == {"a": "a", "b": "b", "c": "c"}
    assert crowd.judging.batches == [["a"], ["b", "c"]]


async def test_another_pair_waits_for_nobody() -> None:
    crowd = Crowd()
    await crowd.come("a")
    await crowd.come("x", other=CAROL)
    assert crowd.judging.batches == [["a"], ["x"]]
    await crowd.outcomes()


async def test_those_that_were_not_judged_together_come_next_in_order() -> None:
    crowd = Crowd()
    crowd.judging.most = 2
    await crowd.come("a", "b", "c", "d", "e")
    assert list((await crowd.outcomes()).values()) == ["a", "b", "c", "d", "e"]
    assert crowd.judging.batches == [["a"], ["b", "c", "d", "e"], ["d", "e"]]


async def test_what_came_together_is_judged_together_in_its_order() -> None:
    crowd = Crowd()
    await crowd.come("a", "b+c", "d")
    assert await crowd.outcomes() == {"a": "a", "b+c": "b+c", "d": "d"}
    assert crowd.judging.batches == [["a"], ["b", "c", "d"]]


async def test_of_what_came_together_the_first_are_answered() -> None:
    crowd = Crowd()
    crowd.judging.most = 2
    await crowd.come("a+b+c", "d", "e+f+g", "h")
    assert list((await crowd.outcomes()).values()) == ["a+b", "d", "e", "h"]
    assert crowd.judging.batches == [["a", "b", "c"], ["d", "e", "f", "g", "h"], ["h"]]


async def test_what_came_together_waits_for_room_for_all_of_it() -> None:
    crowd = Crowd()
    many = "+".join(f"{number}" for number in range(TOGETHER))
    await crowd.come("a", "b", many, "c")
    await crowd.outcomes()
    assert [len(batch) for batch in crowd.judging.batches] == [1, 1, TOGETHER, 1]


async def test_no_more_are_judged_together_than_may_be() -> None:
    crowd = Crowd()
    await crowd.come(*(f"{number}" for number in range(TOGETHER + 2)))
    await crowd.outcomes()
    assert [len(batch) for batch in crowd.judging.batches] == [1, TOGETHER, 1]


@pytest.mark.parametrize("failure", [StoreUnavailable("away"), BrokerAway()])
async def test_what_fails_fails_for_all_that_were_judged_with_it(failure: Exception) -> None:
    crowd = Crowd()
    crowd.judging.fails = {"c": failure}
    await crowd.come("a", "b", "c", "d")
    await crowd.come("e")
    assert await crowd.outcomes() == {"a": "a", "b": failure, "c": failure, "d": failure, "e": failure}


async def test_a_bug_that_one_signal_meets_harms_no_other() -> None:
    crowd, bug = Crowd(), ValueError("a bug")
    crowd.judging.fails = {"c": bug}
    await crowd.come("a", "b", "c", "d")
    outcomes = await crowd.outcomes()
    assert outcomes == {"a": "a", "b": bug, "c": bug, "d": "d"}
    assert crowd.judging.batches == [["a"], ["b", "c", "d"], ["c"], ["d"]]


async def test_who_has_waited_too_long_is_left_out_and_nobody_else() -> None:
    crowd = Crowd()
    await crowd.come("a")
    await crowd.come("late", until_ms=crowd.clock())
    await crowd.come("in time", until_ms=crowd.clock() + 60_000)
    crowd.clock.pass_s(1)
    outcomes = await crowd.outcomes()
    assert isinstance(outcomes.pop("late"), StoreUnavailable)
    assert outcomes == {"a": "a", "in time": "in time"}
    assert crowd.judging.batches == [["a"], ["in time"]]


async def test_the_turn_of_one_that_is_late_goes_to_the_next() -> None:
    crowd = Crowd()
    await crowd.come("a")
    await crowd.come("late", until_ms=crowd.clock() - 1)
    await crowd.come("b")
    outcomes = await crowd.outcomes()
    assert isinstance(outcomes["late"], StoreUnavailable)
    assert outcomes["b"] == "b"


@pytest.mark.parametrize("gone", ["a", "b", "c"])
async def test_who_is_cancelled_leaves_its_turn_to_the_next(gone: str) -> None:
    crowd = Crowd()
    await crowd.come("a", "b", "c")
    crowd.asked[gone].cancel()
    await crowd.settle()
    outcomes = await crowd.outcomes()
    assert isinstance(outcomes.pop(gone), asyncio.CancelledError)
    assert all(name == outcome for name, outcome in outcomes.items())


async def test_who_is_cancelled_with_the_turn_in_hand_passes_it_on() -> None:
    crowd = Crowd()
    await crowd.come("a", "b", "c")
    crowd.judging.at_end = crowd.asked["b"].cancel
    outcomes = await crowd.outcomes()
    assert isinstance(outcomes["b"], asyncio.CancelledError)
    assert outcomes["c"] == "c"


async def test_an_outcome_for_one_that_is_gone_is_for_nobody() -> None:
    crowd = Crowd()
    await crowd.come("a", "b", "c", "d")
    crowd.judging.at_end = lambda: crowd.judging.may_go_on.clear()
    crowd.judging.may_go_on.set()
    await crowd.settle()
    assert crowd.judging.batches == [["a"], ["b", "c", "d"]]
    crowd.asked["c"].cancel()
    await crowd.settle()
    crowd.judging.at_end = bool
    outcomes = await crowd.outcomes()
    assert isinstance(outcomes.pop("c"), asyncio.CancelledError)
    assert outcomes == {"a": "a", "b": "b", "d": "d"}


async def test_copies_of_a_signal_share_its_verdict() -> None:
    crowd = Crowd()
    asked = [
        asyncio.ensure_future(crowd.turns.judge(ALICE, BOB, [named("a")], name="a signal")) for _ in range(3)
    ]
    await crowd.settle()
    crowd.judging.may_go_on.set()
    assert await asyncio.gather(*asked) == [[Judged(Refused("a"))]] * 3
    assert crowd.judging.batches == [["a"]]
    assert await crowd.turns.judge(ALICE, BOB, [named("a")], name="a signal") == [Judged(Refused("a"))]
    assert len(crowd.judging.batches) == 2


@pytest.mark.parametrize("is_cancelled", [True, False])
async def test_copies_of_a_signal_that_is_not_judged_are_not_either(is_cancelled: bool) -> None:
    crowd = Crowd()
    first, copy = (
        asyncio.ensure_future(crowd.turns.judge(ALICE, BOB, [named("a")], name="a signal")) for _ in range(2)
    )
    await crowd.settle()
    if is_cancelled:
        first.cancel()
    crowd.judging.fails = {"a": StoreUnavailable("away")}
    crowd.judging.may_go_on.set()
    failed, shared = await asyncio.gather(first, copy, return_exceptions=True)
    assert isinstance(failed, asyncio.CancelledError if is_cancelled else StoreUnavailable)
    assert isinstance(shared, StoreUnavailable)


async def test_only_one_of_the_copies_looks_at_an_offer_again() -> None:
    process = await process_of("alice", "bob")
    offer = await process.check("alice", "bob", "OFFER", "offer")
    carried = await asyncio.gather(*(process.operations.carry_out(offer) for _ in range(3)))
    assert len({type(each.reply) for each in carried}) == 1
    assert [each.afterwards is not None for each in carried].count(True) == 1


async def test_two_that_trickle_at_once_lose_no_write_to_each_other() -> None:
    process = await process_of("alice", "bob")
    watched = WatchedStore(process.store)
    process.over(watched)
    await process.signal("alice", "bob", "OFFER", "offer")
    watched.said.clear()
    replies = await asyncio.gather(
        *(process.signal("alice", "bob", "ICE_CANDIDATE", f"candidate {number}") for number in range(5)),
        process.signal("bob", "alice", "ANSWER", "answer"),
    )
    assert all(isinstance(reply, Relay) for reply in replies)
    writes = [said for said in watched.said if said == f"write {Keys.pair(ALICE, BOB)}"]
    assert len(writes) == 2
