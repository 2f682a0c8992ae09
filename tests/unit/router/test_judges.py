"""Which presence process a router prefers for a pair, and which it leaves out."""

from collections import Counter

from router.judges import ANYBODY_EVERY, AVOIDED_S, KNOWN_S, MOST, Judges
from tieline.runtime.answer_time import LEAST_S
from tieline.wire.ids import UserId

NOW = 1000.0
ALICE, BOB = UserId("alice"), UserId("bob")
MANY = [(UserId(f"a{number}"), UserId(f"b{number}")) for number in range(300)]


def knowing(*names: str) -> Judges:
    """A router that has heard of these processes."""
    judges = Judges()
    for name in names:
        judges.note(name, NOW)
    return judges


def preferred(judges: Judges, one: UserId = ALICE, other: UserId = BOB, now: float = NOW) -> str | None:
    """Ask until it is not the turn of any process."""
    found = {judges.prefer(one, other, now) for _ in range(2)} - {None}
    assert len(found) <= 1
    return next(iter(found), None)


def test_a_pair_has_one_process_from_either_side_by_every_router() -> None:
    one, other = knowing("p1", "p2", "p3"), knowing("p3", "p1", "p2")
    for alice, bob in MANY:
        assert preferred(one, alice, bob) == preferred(other, bob, alice) is not None


def test_pairs_are_shared_out() -> None:
    judges = knowing("p1", "p2", "p3")
    shares = Counter(preferred(judges, *pair) for pair in MANY)
    assert min(shares[name] for name in ("p1", "p2", "p3")) > len(MANY) // 5


def test_who_goes_leaves_the_pairs_of_the_others_alone() -> None:
    judges, fewer = knowing("p1", "p2", "p3"), knowing("p1", "p2")
    for pair in MANY:
        before = preferred(judges, *pair)
        assert before == "p3" or preferred(fewer, *pair) == before


def test_one_process_alone_needs_no_preference() -> None:
    assert preferred(Judges()) is None
    assert preferred(knowing("p1")) is None
    assert preferred(knowing("p1", "")) is None, "an older one does not say who it is"


def test_now_and_then_any_process_is_asked() -> None:
    judges = knowing("p1", "p2")
    asked = [judges.prefer(ALICE, BOB, NOW) for _ in range(3 * ANYBODY_EVERY)]
    assert asked.count(None) == 3


def test_who_does_not_answer_is_left_out_for_a_while() -> None:
    judges = knowing("p1", "p2", "p3")
    first = preferred(judges)
    assert first is not None
    judges.avoid(first, NOW)
    judges.note(first, NOW + AVOIDED_S - 1.0)
    assert preferred(judges, now=NOW + 1.0) not in (first, None)
    judges.note(first, NOW + AVOIDED_S)
    assert preferred(judges, now=NOW + 1.0) == first
    judges.avoid("p9", NOW + AVOIDED_S)  # what is over is forgotten
    assert len(judges) == 3


def test_who_is_not_heard_of_is_not_preferred_any_more() -> None:
    judges = knowing("p1", "p2")
    assert preferred(judges, now=NOW + KNOWN_S - 1.0) is not None
    assert preferred(judges, now=NOW + KNOWN_S) is None
    assert len(judges) == 0


def test_how_long_each_takes_is_known_apart() -> None:
    judges = knowing("p1", "p2")
    judges.usual_of("p1").note(2.0)
    assert judges.usual_of("p1").enough_s > judges.usual_of("p2").enough_s == LEAST_S


def test_how_long_one_takes_that_has_gone_is_forgotten() -> None:
    judges = knowing("p1", "p2")
    judges.usual_of("p1").note(2.0)
    judges.avoid("p1", NOW)
    judges.usual_of("p2")
    assert judges.usual_of("p1").enough_s == LEAST_S


def test_no_more_are_known_than_there_can_be() -> None:
    judges = knowing(*(f"p{number}" for number in range(MOST + 5)))
    assert len(judges) == MOST
    judges.note("p0", NOW + 1.0)
    assert len(judges) == MOST
