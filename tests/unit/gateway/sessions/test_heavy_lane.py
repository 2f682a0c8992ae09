"""The messages of heavy users: so many under way at once, in their order."""

import asyncio
import functools

from gateway.sessions.heavy_lane import Answered, HeavyLane

NEVER_S = 60.0


class Asked:
    """What was asked, and how each is answered."""

    def __init__(self, at_once: int, place_s: float = NEVER_S) -> None:
        self.lane = HeavyLane(at_once, place_s)
        self.under_way: dict[str, Answered] = {}
        self.answers: list[tuple[str, object]] = []
        self.news = asyncio.Event()

    def pass_on(self, *names: str) -> None:
        for name in names:
            self.lane.pass_on(functools.partial(self._ask, name), functools.partial(self._note, name))

    def _ask(self, name: str, answered: Answered) -> None:
        self.under_way[name] = answered
        self.news.set()

    def _note(self, name: str, answer: object) -> None:
        self.answers.append((name, answer))

    def answer(self, name: str) -> None:
        self.under_way.pop(name)(f"answer to {name}")


async def test_so_many_are_under_way_and_the_next_follow() -> None:
    asked = Asked(at_once=2)
    asked.pass_on("first", "second", "third", "fourth")
    assert list(asked.under_way) == ["first", "second"]
    asked.answer("second")
    assert list(asked.under_way) == ["first", "third"]
    asked.answer("first")
    asked.answer("third")
    asked.answer("fourth")
    asked.pass_on("fifth", "sixth", "seventh")
    assert list(asked.under_way) == ["fifth", "sixth"]
    assert asked.answers == [(name, f"answer to {name}") for name in ("second", "first", "third", "fourth")]


async def test_one_that_is_not_answered_gives_its_place_away_once() -> None:
    asked = Asked(at_once=1, place_s=0.001)
    asked.pass_on("first", "second")
    asked.news.clear()
    await asked.news.wait()
    assert list(asked.under_way) == ["first", "second"]
    asked.pass_on("third")
    asked.answer("first")
    assert "third" not in asked.under_way
    assert asked.answers == [("first", "answer to first")]
