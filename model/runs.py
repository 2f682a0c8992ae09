"""What is explored: the proofs, and the planted bugs."""

from typing import Final, NamedTuple

from model.design import ONE_NODE, THREE_NODES, Design
from model.explore import Found, explore
from model.late import LATE_PLANTED, LATE_PROOFS, Late
from model.offers import OFFER_PLANTED, OFFER_PROOFS, Offers
from model.orders import ORDER_PLANTED, ORDER_PROOFS, Orders
from model.scenario import (
    ANOTHER_CALL,
    CALL,
    CALLED_AGAIN,
    CANCELLED,
    LATE_ANSWER,
    LATE_HANGUP,
    SERIES,
    TWO_FRAMES,
    TWO_SENDERS,
    WORDS,
    Scenario,
)
from model.system import Ills

NO_ILLS: Final = Ills(crashes=0, losses=0, hastes=0)
LOSS: Final = Ills(crashes=0, losses=1, hastes=0)
CRASH: Final = Ills(crashes=1, losses=0, hastes=0)
CRASH_AND_LOSS: Final = Ills(crashes=1, losses=1, hastes=0)
CRASH_AND_HASTE: Final = Ills(crashes=1, losses=0, hastes=1)
EVERYTHING: Final = Ills(crashes=1, losses=1, hastes=1)
"""All in one scenario. With the longer scenarios only by hand: it takes minutes and gigabytes."""


class Run(NamedTuple):
    """One exploration, and what it must find."""

    scenario: Scenario
    ills: Ills
    design: Design = THREE_NODES
    breaks: str = ""
    """Words of the promise that must break; "": none may."""

    def explore(self) -> Found:
        """Visit every state, or all up to the first in which that promise breaks."""
        return explore(self.scenario, self.design, self.ills, self.breaks)


Explored = Run | Late | Orders | Offers


def _proofs(title: str, scenario: Scenario) -> dict[str, Run]:
    return {
        f"{title}, one crash, one lost connection": Run(scenario, CRASH_AND_LOSS),
        f"{title}, one crash, one lost connection, one node": Run(scenario, CRASH_AND_LOSS, ONE_NODE),
        f"{title}, one crash, one hasty retry": Run(scenario, CRASH_AND_HASTE),
    }


PROOFS: Final[dict[str, Explored]] = {
    "two frames, all at once": Run(TWO_FRAMES, EVERYTHING),
    "two frames, all at once, one node": Run(TWO_FRAMES, EVERYTHING, ONE_NODE),
    **_proofs("call", CALL),
    "call, on one gateway": Run(CALL._replace(gateways=("adam ruth",)), CRASH_AND_LOSS),
    "series, one crash, one lost connection": Run(SERIES, CRASH_AND_LOSS),
    **_proofs("two senders", TWO_SENDERS),
    "two senders, on one gateway": Run(
        TWO_SENDERS._replace(gateways=("adam cora", "adam ruth", "cora ruth", "adam cora ruth")), CRASH
    ),
    **_proofs("another call", ANOTHER_CALL),
    **_proofs("cancelled call", CANCELLED),
    **_proofs("called again", CALLED_AGAIN),
    "called again, a candidate with the answer, one crash": Run(CALLED_AGAIN._replace(is_apart=False), CRASH),
    "words of a call, one crash, one lost connection": Run(WORDS, CRASH_AND_LOSS),
    "words of a call, one crash, one hasty retry": Run(WORDS, CRASH_AND_HASTE),
    "late answer, one crash, one lost connection": Run(LATE_ANSWER, CRASH_AND_LOSS),
    "late answer, one crash, one hasty retry": Run(LATE_ANSWER, CRASH_AND_HASTE),
    "late hangup, one crash, one lost connection": Run(LATE_HANGUP, CRASH_AND_LOSS),
    "late hangup, one crash, one hasty retry": Run(LATE_HANGUP, CRASH_AND_HASTE),
    **LATE_PROOFS,
    **ORDER_PROOFS,
    **OFFER_PROOFS,
}
"""No promise breaks. Where nothing else is said, on a broker of three nodes."""

PLANTED: Final[dict[str, Explored]] = {
    "replay-before-subscribe": Run(TWO_FRAMES, LOSS, Design(reads="before listening"), "never"),
    "mark-left-out": Run(TWO_FRAMES, LOSS, Design(reads="after listening"), "never"),
    "any-replica-believed": Run(TWO_FRAMES, LOSS, Design(reads="from any replica"), "never"),
    "overlap-sent-twice": Run(TWO_FRAMES, LOSS, Design(drops_overlap=False), "twice"),
    "pushed-past-the-stream": Run(TWO_FRAMES, LOSS, Design(pushed_by="publisher"), "never"),
    "published-all-at-once": Run(CALL, NO_ILLS, Design(publishes="all at once"), "after"),
    "series-all-at-once": Run(SERIES, NO_ILLS, Design(publishes="all at once"), "after"),
    "ack-before-stored": Run(TWO_FRAMES, CRASH, Design(acks="when judged"), "never"),
    "hold-blindly": Run(CALL, NO_ILLS, Design(writes="blind holds"), "never receives"),
    "released-left-behind": Run(CALL, NO_ILLS, Design(repeats_released=False), "after"),
    "released-forgotten": Run(TWO_SENDERS, CRASH, Design(keeps_released="never"), "never receives"),
    "released-until-the-end": Run(CANCELLED, CRASH, Design(keeps_released="while it lasts"), "after"),
    "silent-after-the-end": Run(CANCELLED, CRASH, Design(repeats="while it lasts"), "never receives"),
    "late-answer-taken": Run(LATE_ANSWER, NO_ILLS, Design(names_calls=False), "answer2 is refused"),
    "late-hangup-taken": Run(LATE_HANGUP, NO_ILLS, Design(names_calls=False), "answer is refused"),
    "refused-by-memory": Run(CALL, NO_ILLS, Design(remembers="also for refusals"), "answer is refused"),
    "delivered-by-memory": Run(
        ANOTHER_CALL, NO_ILLS, Design(remembers="also for deliveries"), "before the exchange"
    ),
    "questions-not-spoiled": Run(LATE_ANSWER, CRASH, Design(spoils_questions=False), "before"),
    "changes-told-once": Run(ANOTHER_CALL, CRASH, Design(tells="once written"), "before the exchange"),
    **LATE_PLANTED,
    **ORDER_PLANTED,
    **OFFER_PLANTED,
}
"""One mistake each, in the design or around presence's own code. Each must be found."""
