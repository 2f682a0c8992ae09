"""The judge sees each thing that must not be, and nothing where all is well."""

from copy import deepcopy
from dataclasses import replace
from typing import Any, Final

import pytest

from tests.attacks.verdict import MOST_GROWTH_MIB, Seen, problems

HONEST: Final[dict[str, Any]] = {
    "delivery": {
        **dict.fromkeys(("sent", "acked", "received"), 900),
        **dict.fromkeys(
            ("lost", "repeated", "out_of_order", "foreign", "refused", "hung_up", "sessions_lost"), 0
        ),
    },
    "unanswered": 0,
    "counts": {},
    "phases": {"loud": {"p50_ms": 3.0}},
    "visits": 6,
    "kept_out": [],
}
ATTACK: Final[dict[str, Any]] = {"counts": {"chunks": 7}, "amiss": [], "problem": ""}
WELL: Final = Seen(
    HONEST, ATTACK, dict.fromkeys(("gateway 0", "router 1", "presence 0", "nats 0"), 5.0), [], b"{}"
)


def with_honest(**changes: object) -> Seen:
    honest = deepcopy(HONEST)
    delivery = {name: value for name, value in changes.items() if name in honest["delivery"]}
    honest["delivery"].update(delivery)
    honest.update({name: value for name, value in changes.items() if name not in delivery})
    return replace(WELL, honest=honest)


def with_attack(**changes: object) -> Seen:
    return replace(WELL, attack={**ATTACK, **changes})


def test_where_all_is_well_nothing_is_found() -> None:
    assert problems(WELL, kills_broker=False) == []


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (with_honest(lost=2), "of 900 messages 2 lost"),
        (with_honest(out_of_order=1), "of 900 messages 1 out of order"),
        (with_honest(repeated=3), "of 900 messages 3 repeated"),
        (with_honest(hung_up=1), "1 hung up"),
        (with_honest(sessions_lost=1), "1 sessions lost"),
        (with_honest(unanswered=4), "4 senders were not answered any more"),
        (with_honest(counts={"RATE_LIMITED": 9}), "refused with RATE_LIMITED 9"),
        (with_honest(counts={"asked again": 2}), "2 answered with 500"),
        (
            with_honest(counts={"the server closed with 4002": 30}),
            "honest connections ended: the server closed with 4002 30",
        ),
        (with_honest(kept_out=["JOIN after 3 s"]), "1 of 6 newcomers were kept out: JOIN after 3 s"),
        (with_honest(phases={"loud": {"p50_ms": 900.0}}), "half of the messages took longer than 900 ms"),
        (replace(WELL, ended=["presence 1"]), "presence 1 has ended"),
        (
            replace(WELL, log=b"Traceback (most recent call last)\n"),
            "1 times in the logs: Traceback (most recent call last)",
        ),
        (with_attack(amiss=["the victim's call was ended"]), "the victim's call was ended"),
        (with_attack(problem="Refused('503')"), "the attack came to nothing: Refused('503')"),
        (with_attack(counts={}), "the attack did nothing"),
    ],
    ids=lambda value: value.replace(" ", "-") if isinstance(value, str) else "",
)
def test_each_fault_is_found_by_itself(seen: Seen, found: str) -> None:
    assert problems(seen, kills_broker=False) == [found]


@pytest.mark.parametrize("kind", MOST_GROWTH_MIB)
def test_a_process_may_not_grow_beyond_its_bound(kind: str) -> None:
    most = MOST_GROWTH_MIB[kind]
    assert problems(replace(WELL, grown_mib={f"{kind} 0": most}), kills_broker=False) == []
    assert problems(replace(WELL, grown_mib={f"{kind} 0": most + 1}), kills_broker=False)


def test_where_the_broker_ends_messages_may_wait_and_be_sent_again() -> None:
    waited = with_honest(
        counts={"asked again": 5},
        out_of_order=5,
        kept_out=["connecting after 4 s"],
        phases={"loud": {"p50_ms": 2000.0}},
    )
    assert problems(replace(waited, ended=["nats 0"]), kills_broker=True) == []


def test_where_the_broker_ends_nothing_may_be_lost_all_the_same() -> None:
    assert problems(with_honest(lost=1), kills_broker=True) == ["of 900 messages 1 lost"]
    assert problems(replace(WELL, ended=["presence 0"]), kills_broker=True) == ["presence 0 has ended"]
