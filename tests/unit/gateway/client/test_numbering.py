from gateway.client.numbering import Numbering


def test_the_number_stays_while_all_is_answered_at_once() -> None:
    numbering = Numbering()
    for _ in range(3):
        number = numbering.next()
        numbering.answered(number, attempts=1)
        assert number == 0


def test_it_grows_after_what_was_sent_again() -> None:
    numbering = Numbering()
    assert numbering.is_settled
    numbering.answered(numbering.next(), attempts=2)
    assert not numbering.is_settled
    assert numbering.next() == 1
    numbering.answered(1, attempts=1)
    assert numbering.is_settled


def test_it_grows_after_what_was_given_up() -> None:
    numbering = Numbering()
    numbering.next()
    assert numbering.next() == 1


def test_it_stays_grown_and_grows_no_further() -> None:
    numbering = Numbering()
    numbering.next()
    numbering.answered(numbering.next(), attempts=1)
    assert numbering.next() == 1


def test_an_answer_to_an_earlier_request_says_nothing_of_the_later() -> None:
    numbering = Numbering()
    first, second = numbering.next(), numbering.next()
    numbering.answered(first, attempts=1)
    assert numbering.next() == 2
    assert second == 1
