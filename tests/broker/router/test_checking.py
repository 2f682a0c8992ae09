"""Which presence process a router asks, over a real broker, with presence processes of the test's own."""

import asyncio

import pytest

from router.checking import CHECK_PATIENCE_S, Checking
from tests.broker.router.routing import OFFER, SUBJECTS, signal, to_bob
from tests.support.metrics import value_of
from tieline.metrics import JUDGES_LEFT
from tieline.runtime.answer_time import LEAST_S, MOST_S
from tieline.runtime.broker import Broker
from tieline.runtime.message import Message
from tieline.runtime.patience import patience_of
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire.internal import codec
from tieline.wire.internal.signals import Relay

ANY = SUBJECTS.presence("check")

OWN = {SUBJECTS.judge(name): name for name in ("p1", "p2")}


def verdict_of(name: str) -> Relay:
    """What a process says, and that it was this one."""
    return Relay("relayed", to_bob().deliveries, by=name)


class Presences:
    """Two presence processes. What any may answer, they answer in turn."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.asked: list[str] = []
        """The subjects on which there were questions."""
        self.own_answers: dict[str, bytes | None] = {
            subject: codec.encode(verdict_of(name)) for subject, name in OWN.items()
        }
        """What is answered on a subject of one process; None: nothing."""
        self.after_s = 0.0
        """When that is."""
        self.patience_s: list[float] = []
        """For how long the answer to each question was waited for."""

    def on_check(self, message: Message) -> None:
        self.asked.append(message.subject)
        self.patience_s.append(patience_of(message))
        if message.subject == ANY:
            answer: bytes | None = codec.encode(verdict_of(f"p{1 + self.asked.count(ANY) % 2}"))
        else:
            answer = self.own_answers[message.subject]
        if answer is not None:
            loop = asyncio.get_running_loop()
            loop.call_later(self.after_s, self._broker.send, message.reply, answer)


class Router:
    """A router that has heard of both processes, and asks about one pair."""

    def __init__(self, broker: Broker, preferred_s: float) -> None:
        self._broker = broker
        self._requests = Requests(broker, SUBJECTS.replies("router", "r1"))
        self._checking = Checking(self._requests, SUBJECTS, preferred_s)
        self.presences = Presences(broker)

    async def asks(self) -> str:
        """Ask, and return who has judged."""
        (verdict,) = await self._checking.verdicts(signal(), OFFER, ())
        assert isinstance(verdict, Relay)
        return verdict.by

    async def begin(self, *listening: str) -> "Router":
        """Let these processes listen by themselves, hear of both, and forget how."""
        await self._requests.start()
        for subject in (ANY, *listening):
            await self._broker.subscribe(subject, self.presences.on_check)
        await self._broker.flush()
        assert {await self.asks(), await self.asks()} == {"p1", "p2"}
        self.presences.asked.clear()
        return self


async def test_the_process_that_judges_a_pair_is_asked_about_it(broker: Broker) -> None:
    router = await Router(broker, 5.0).begin(*OWN)
    judges = [await router.asks() for _ in range(5)]
    assert len(set(judges)) == 1
    assert [OWN.get(subject) for subject in router.presences.asked] == judges


async def test_any_process_is_asked_if_the_one_has_gone(broker: Broker) -> None:
    router = await Router(broker, 5.0).begin()
    await router.asks()
    await router.asks()
    assert router.presences.asked == [ANY, ANY], "the broker says at once that nobody listens"


@pytest.mark.parametrize("answer", [None, b"of another version"], ids=["nothing", "what is no answer"])
async def test_any_process_is_asked_if_the_one_does_not_answer(broker: Broker, answer: bytes | None) -> None:
    router = await Router(broker, 0.05).begin(*OWN)
    router.presences.own_answers = dict.fromkeys(OWN, answer)
    assert await router.asks() in ("p1", "p2")
    first, second = router.presences.asked
    assert (first in OWN, second) == (True, ANY)


async def test_one_that_did_not_answer_is_left_out(broker: Broker) -> None:
    router = await Router(broker, 0.05).begin(*OWN)
    await router.asks()
    (silent,) = router.presences.asked
    router.presences.own_answers[silent] = None
    await router.asks()
    router.presences.asked.clear()
    for _ in range(3):
        await router.asks()
    assert silent not in router.presences.asked


async def test_who_is_not_answered_by_any_process_hears_that(broker: Broker) -> None:
    requests = Requests(broker, SUBJECTS.replies("router", "r1"))
    await requests.start()
    with pytest.raises(NoAnswer):
        await Checking(requests, SUBJECTS).verdicts(signal(), OFFER, ())


async def test_one_that_has_much_to_do_is_not_left(broker: Broker) -> None:
    router = await Router(broker, LEAST_S).begin(*OWN)
    router.presences.after_s = LEAST_S * 0.7
    async with asyncio.TaskGroup() as asking:
        for _ in range(12):  # the sixteenth question goes to any process
            asking.create_task(router.asks())
    router.presences.asked.clear()
    router.presences.after_s = LEAST_S * 1.3  # less than four times as long

    judge = await router.asks()

    assert [OWN.get(subject) for subject in router.presences.asked] == [judge]


async def test_one_that_died_is_soon_left_if_it_was_quick(broker: Broker) -> None:
    router = await Router(broker, LEAST_S).begin(*OWN)
    for _ in range(5):
        await router.asks()
    router.presences.own_answers = dict.fromkeys(OWN)
    left, before = value_of(JUDGES_LEFT), len(router.presences.asked)

    await router.asks()

    first, second = router.presences.asked[before:]
    assert (first in OWN, second) == (True, ANY)
    assert CHECK_PATIENCE_S - MOST_S < router.presences.patience_s[-1] <= CHECK_PATIENCE_S - LEAST_S
    assert value_of(JUDGES_LEFT) == left + 1


async def test_of_the_time_for_a_question_any_has_half(broker: Broker) -> None:
    router = await Router(broker, CHECK_PATIENCE_S).begin(*OWN)
    router.presences.own_answers = dict.fromkeys(OWN)

    await router.asks()

    assert router.presences.patience_s[-2] == pytest.approx(CHECK_PATIENCE_S / 2, abs=0.1)
    assert 0 < router.presences.patience_s[-1] <= CHECK_PATIENCE_S / 2


async def test_who_had_no_time_to_answer_is_not_left_out(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = await Router(broker, LEAST_S).begin(*OWN)
    router.presences.own_answers = dict.fromkeys(OWN)
    left = value_of(JUDGES_LEFT)
    with monkeypatch.context() as hurry:
        hurry.setattr("router.checking.CHECK_PATIENCE_S", LEAST_S)
        await router.asks()
    assert value_of(JUDGES_LEFT) == left
    await router.asks()
    assert len([asked for asked in router.presences.asked if asked in OWN]) == 2, "it is asked again"
    assert value_of(JUDGES_LEFT) == left + 1
