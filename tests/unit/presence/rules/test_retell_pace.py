"""How often rooms are told once more, whoever asks for it."""

from presence.rules.retell_pace import A_SECOND, AT_ONCE, MOST_OF_ONE, WITHIN_S, RetellPace


def test_the_same_is_told_once_more_only_after_a_while() -> None:
    pace = RetellPace()
    for _ in range(MOST_OF_ONE):
        assert pace.allows(("hall", "alice"), 10.0)
    assert not pace.allows(("hall", "alice"), 10.0 + WITHIN_S / 2)
    assert pace.allows(("hall", "bob"), 10.0 + WITHIN_S / 2)
    assert pace.allows(("hall", "alice"), 10.0 + WITHIN_S)


def test_many_are_told_at_once_and_then_so_many_a_second() -> None:
    pace = RetellPace()
    told = sum(pace.allows(number, 10.0) for number in range(2 * int(AT_ONCE)))
    assert told == AT_ONCE
    later = sum(pace.allows(-number, 11.0) for number in range(1, 2 * int(A_SECOND)))
    assert later == A_SECOND


def test_what_was_told_long_ago_is_not_remembered() -> None:
    pace = RetellPace()
    for number in range(int(AT_ONCE)):
        pace.allows(number, 10.0)
    pace.allows("another", 10.0 + WITHIN_S)
    assert pace.remembered == 1
