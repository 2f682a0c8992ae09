"""What is explored: the proofs, the planted bugs, and the brokers that the design does not survive."""

from typing import Final, NamedTuple

from docs.model.design import DESIGN, REPUBLISHED, REPUBLISHED_BY_THREE, Design
from docs.model.explore import Found, explore
from docs.model.scenario import ANOTHER_CALL, CALL, CANCELLED, OVERTAKEN, TWO_FRAMES, TWO_SENDERS, Scenario
from docs.model.system import Ills

NO_ILLS: Final = Ills(crashes=0, losses=0, hastes=0)
LOSS: Final = Ills(crashes=0, losses=1, hastes=0)
CRASH: Final = Ills(crashes=1, losses=0, hastes=0)
CRASH_AND_LOSS: Final = Ills(crashes=1, losses=1, hastes=0)
CRASH_AND_HASTE: Final = Ills(crashes=1, losses=0, hastes=1)
EVERYTHING: Final = Ills(crashes=1, losses=1, hastes=1)
"""All in one story. With the longer scenarios only by hand: it takes minutes and gigabytes."""


class Run(NamedTuple):
    """One exploration, and what it must find."""

    scenario: Scenario
    ills: Ills
    design: Design = DESIGN
    breaks: str = ""
    """Words of the promise that must break; "": none may."""

    def explore(self) -> Found:
        """Visit every state, or all up to the first in which that promise breaks."""
        return explore(self.scenario, self.design, self.ills, self.breaks)


def _proofs(title: str, scenario: Scenario) -> dict[str, Run]:
    return {
        f"{title}, one crash, one lost connection": Run(scenario, CRASH_AND_LOSS),
        f"{title}, one crash, one hasty retry": Run(scenario, CRASH_AND_HASTE),
    }


def _republished(title: str, scenario: Scenario) -> dict[str, Run]:
    return {
        f"{title}, pushed by the stream": Run(scenario, CRASH_AND_LOSS, REPUBLISHED),
        f"{title}, pushed by one of three": Run(scenario, CRASH_AND_LOSS, REPUBLISHED_BY_THREE),
    }


PROOFS: Final = {
    "two frames, all at once": Run(TWO_FRAMES, EVERYTHING),
    **_proofs("call", CALL),
    **_proofs("two senders", TWO_SENDERS),
    **_proofs("another call", ANOTHER_CALL),
    **_proofs("cancelled call", OVERTAKEN),
    "cancelled call, nothing dropped": Run(CANCELLED, CRASH),
    "call, on one gateway": Run(CALL._replace(gateways=("adam ruth",)), CRASH_AND_LOSS),
    "two senders, on one gateway": Run(
        TWO_SENDERS._replace(gateways=("adam cora", "adam ruth", "cora ruth", "adam cora ruth")), CRASH
    ),
    **_republished("call", CALL),
    **_republished("two senders", TWO_SENDERS),
}
"""No promise breaks."""

PLANTED: Final = {
    "replay-before-subscribe": Run(TWO_FRAMES, LOSS, Design(reads="before listening"), "never"),
    "hold-blindly": Run(CALL, NO_ILLS, Design(writes="blind holds"), "never receives"),
    "ack-before-stored": Run(TWO_FRAMES, CRASH, Design(acks="when judged"), "never"),
    "released-left-behind": Run(CALL, NO_ILLS, Design(brings_earlier=False), "after"),
    "released-forgotten": Run(TWO_SENDERS, CRASH, Design(keeps_released=False), "never receives"),
    "known-forgotten": Run(TWO_FRAMES, CRASH_AND_LOSS, Design(remembers_known=False), "twice"),
    "changes-told-once": Run(ANOTHER_CALL, CRASH, Design(tells="once written"), "before the exchange"),
}
"""One mistake each, in the design or around presence's own code. Each must be found."""

BROKERS: Final = {
    "stored-after-the-read": Run(TWO_FRAMES, LOSS, Design(stored="later"), "never"),
    "stored-after-last": Run(TWO_FRAMES, CRASH_AND_LOSS, Design(stored="later"), "twice"),
    "stored-in-another-order": Run(
        TWO_FRAMES, LOSS, Design(stored="later", reads="when all is stored"), "never receives"
    ),
    "pushed-in-another-order": Run(CALL, NO_ILLS, Design(lines="one a publisher"), "after"),
    "heard-of-later": Run(
        TWO_FRAMES, LOSS, Design(pushed_by="store", listening="later", reads="after listening"), "never"
    ),
}
"""What real brokers do, and the ideal one does not: the design as it is does not survive it."""
