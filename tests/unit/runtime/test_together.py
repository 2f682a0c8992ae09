"""Several who ask in one turn of the loop have one question asked for all of them."""

import asyncio
from collections.abc import Mapping

import pytest

from tieline.runtime.together import Together


class Asked:
    """Answers with the length of each key, but for those that begin with "no"."""

    def __init__(self) -> None:
        self.questions: list[tuple[str, list[str]]] = []
        self.problem: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, kind: str, keys: list[str]) -> Mapping[str, int]:
        self.questions.append((kind, keys))
        await self.may_answer.wait()
        if self.problem is not None:
            raise self.problem
        return {key: len(key) for key in keys if not key.startswith("no")}


async def test_what_is_asked_in_one_turn_is_one_question() -> None:
    asked = Asked()
    together = Together(asked, 10)

    found = await asyncio.gather(*(together.find("a", key) for key in ("x", "yy", "nothing", "x")))

    assert found == [1, 2, None, 1]
    assert asked.questions == [("a", ["x", "yy", "nothing"])]


async def test_what_is_asked_later_is_a_question_of_its_own() -> None:
    asked = Asked()
    together = Together(asked, 10)

    assert [await together.find("a", "x"), await together.find("a", "yy")] == [1, 2]
    assert asked.questions == [("a", ["x"]), ("a", ["yy"])]


async def test_each_kind_is_asked_about_by_itself() -> None:
    asked = Asked()
    together = Together(asked, 10)

    await asyncio.gather(together.find("a", "x"), together.find("b", "x"), together.find("a", "y"))

    assert asked.questions == [("a", ["x", "y"]), ("b", ["x"])]


async def test_a_question_is_about_no_more_keys_than_it_may_be() -> None:
    asked = Asked()
    together = Together(asked, 2)

    await asyncio.gather(*(together.find("a", key) for key in "xyz"))

    assert asked.questions == [("a", ["x", "y"]), ("a", ["z"])]


async def test_what_goes_wrong_is_told_all_who_ask() -> None:
    asked = Asked()
    asked.problem = LookupError("none")
    together = Together(asked, 10)

    found = await asyncio.gather(*(together.find("a", key) for key in "xy"), return_exceptions=True)

    assert found == [asked.problem, asked.problem]
    with pytest.raises(LookupError):
        await together.find("a", "z")


@pytest.mark.parametrize("turns", [1, 3], ids=["before all have asked", "while all wait"])
async def test_who_gives_up_asking_for_all_leaves_it_to_the_others(turns: int) -> None:
    asked = Asked()
    asked.may_answer.clear()
    together = Together(asked, 10)
    first = asyncio.create_task(together.find("a", "x"))
    others = [asyncio.create_task(together.find("a", key)) for key in ("yy", "zzz")]
    for _ in range(turns):
        await asyncio.sleep(0)

    first.cancel()
    asked.may_answer.set()

    assert await asyncio.gather(*others) == [2, 3]
    assert first.cancelled()


async def test_who_gives_up_waiting_disturbs_nobody() -> None:
    asked = Asked()
    together = Together(asked, 10)
    first, other = (asyncio.create_task(together.find("a", key)) for key in ("x", "yy"))
    await asyncio.sleep(0)

    other.cancel()

    assert await first == 1
