"""When a request is sent again."""

from tieline.runtime.answer_time import LEAST_S, AnswerTime
from tieline.runtime.message import Message
from tieline.runtime.pending import Pending, Plain, always

NOW = 1000.0
REPLY = Message("reply", "", b"one", b"")


def sent(usual: AnswerTime, times: int = 1) -> Pending:
    """A request that was sent just now, so often."""
    told: list[Message | None] = []
    pending = Pending("subject", Plain(b"", told.append), None, NOW + 5.0, usual)
    pending.sent = pending.due = NOW
    pending.times = times
    return pending


def slow() -> AnswerTime:
    """Answers that take 0.3 s."""
    usual = AnswerTime()
    for _ in range(50):
        usual.note(0.3)
    return usual


def test_it_is_put_off_until_a_quick_answer_should_have_come() -> None:
    pending = sent(AnswerTime())
    assert pending.is_put_off(NOW + 0.1)
    assert pending.due == NOW + LEAST_S
    assert not pending.is_put_off(NOW + LEAST_S)


def test_it_is_put_off_for_longer_where_answers_are_slow() -> None:
    pending = sent(slow())
    assert (pending.is_put_off(NOW + 1.1), pending.is_put_off(NOW + 1.3)) == (True, False)


def test_it_is_put_off_by_what_is_learned_while_it_waits() -> None:
    usual = AnswerTime()
    pending = sent(usual)
    assert pending.is_put_off(NOW)
    for _ in range(50):
        usual.note(0.3)
    assert (pending.is_put_off(NOW + 1.1), pending.is_put_off(NOW + 1.3)) == (True, False)


def test_each_attempt_is_waited_for_longer_than_the_one_before() -> None:
    pending = sent(AnswerTime(), times=4)
    assert (pending.is_put_off(NOW + 1.9), pending.is_put_off(NOW + 2.0)) == (True, False)


def test_what_nobody_had_is_not_put_off() -> None:
    pending = sent(slow(), times=0)
    pending.due = NOW + 0.1
    assert (pending.is_put_off(NOW), pending.is_put_off(NOW + 0.1)) == (True, False)


def test_a_plain_question_has_one_answer_or_none() -> None:
    told: list[Message | None] = []
    question = Plain(b"what", told.append, always)
    assert question.payload() == b"what"
    assert question.hear(REPLY)
    question.give_up()
    assert told == [REPLY, None]


def test_a_plain_question_that_is_not_wanted_is_not_sent() -> None:
    told: list[Message | None] = []
    assert Plain(b"what", told.append, lambda: False).payload() is None
