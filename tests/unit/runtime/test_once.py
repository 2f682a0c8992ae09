"""What completes an answer to what was asked once, and what becomes of one that does not come."""

import asyncio

import pytest

from tieline.runtime.answer_time import AnswerTime
from tieline.runtime.message import Message
from tieline.runtime.once import NoAnswer, Once

PLAIN = Message("reply", "", b"one", b"")
LAST = Message("reply", "", b"", b"NATS/1.0 204 EOB\r\n\r\n")
NOBODY = Message("reply", "", b"", b"NATS/1.0 503\r\n\r\n")


NOW = 1000.0


def asked(*, is_one: bool = True, usual: AnswerTime | None = None) -> Once:
    complete = asyncio.get_running_loop().create_future()
    return Once("subject", complete, NOW, 1.0, is_one=is_one, usual=usual)


async def test_one_reply_completes_the_answer_to_a_question() -> None:
    once = asked()

    assert once.hear(PLAIN, NOW)
    assert await once.reply() is PLAIN


async def test_replies_are_gathered_up_to_one_with_a_status() -> None:
    once = asked(is_one=False)

    assert not once.hear(PLAIN, NOW)
    assert once.hear(LAST, NOW)
    assert await once.replies() == [PLAIN, LAST]


@pytest.mark.parametrize("is_one", [True, False])
async def test_no_process_that_listens_is_no_answer(is_one: bool) -> None:
    once = asked(is_one=is_one)

    assert once.hear(NOBODY, NOW)
    with pytest.raises(NoAnswer):
        await once.reply()


async def test_what_is_given_up_is_no_answer_and_says_why() -> None:
    late, unsent, reason = asked(), asked(), OSError()

    late.give_up()
    unsent.give_up(reason)

    with pytest.raises(NoAnswer) as because_of_time:
        await late.reply()
    with pytest.raises(NoAnswer) as because_of_failure:
        await unsent.reply()
    assert (because_of_time.value.__cause__, because_of_failure.value.__cause__) == (None, reason)


async def test_a_reply_finds_that_its_waiter_has_gone() -> None:
    once = asked()
    async with asyncio.TaskGroup() as asking:
        waiter = asking.create_task(once.reply())
        await asyncio.sleep(0)
        waiter.cancel()

    assert once.hear(PLAIN, NOW)


async def test_it_is_given_up_after_its_time() -> None:
    once = asked()

    assert not once.is_late(NOW + 0.9)
    assert once.is_late(NOW + 1.0)


async def test_it_is_given_up_sooner_where_answers_are_quick() -> None:
    usual = AnswerTime(least_s=0.2)
    once = asked(usual=usual)
    assert (once.is_late(NOW + 0.1), once.is_late(NOW + 0.2)) == (False, True)

    for _ in range(50):
        usual.note(0.2)

    assert (once.is_late(NOW + 0.7), once.is_late(NOW + 0.9)) == (False, True), "and learns while it waits"


async def test_how_long_an_answer_took_is_learned() -> None:
    usual = AnswerTime(least_s=0.2)

    for _ in range(50):
        asked(usual=usual).hear(PLAIN, NOW + 0.1)
    assert usual.enough_s == pytest.approx(0.4, rel=0.01)

    for _ in range(50):
        asked(usual=usual).hear(NOBODY, NOW + 0.001)
    assert usual.enough_s == pytest.approx(0.4, rel=0.01), "that nobody listens is no answer"
