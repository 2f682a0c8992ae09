"""Who says what to whom: the scenarios that are explored. Pure data; `numbering` puts them into numbers.

All clients ask for acks and for resume, are connected at the beginning, and are in one room.
"""

from typing import Final, Literal, NamedTuple


class Message(NamedTuple):
    """One frame that a client sends when the one before it is acknowledged, or together with that."""

    sender: str
    target: str
    what: str
    """A command in lower case, and a digit that tells it from the sender's others."""
    once_heard: str = ""
    """The frame that the client must have received before: an offer that is not there is not answered."""
    exchange: str = ""
    """The answer before which this candidate must not arrive."""
    outcome: Literal["arrives", "may be refused", "may be dropped"] = "arrives"
    """A hangup may come first: then an answer is refused, and a candidate that was held is dropped. What may
    be dropped may be refused, too."""
    call: str = ""
    """The call that it names: the offer that began it, or `FIRST`; "": it names none."""

    @property
    def name(self) -> str:
        """How it is called in a scenario and in a trace."""
        return f"{self.sender}'s {self.what}"


FIRST: Final = "the first call"
"""What there was at the beginning, as messages name it."""


class Scenario(NamedTuple):
    """Some clients and what they say."""

    title: str
    messages: tuple[Message, ...]
    order: tuple[tuple[str, ...], ...]
    """For each sender and target, names of frames in the order in which they must arrive."""
    gateways: tuple[str, ...]
    """Whom the crash of one gateway may concern, apart by blanks: one entry for each possibility."""
    may_lose: str
    """The client that may lose its connection once, beside the crash."""
    offered: tuple[tuple[str, str], ...] = ()
    """Offers that wait at the beginning: from whom to whom."""
    established: tuple[tuple[str, str], ...] = ()
    """Pairs that are established at the beginning."""
    is_apart: bool = False
    """Candidates come later than their offer or answer, and go together with other candidates alone."""


TWO_FRAMES: Final = Scenario(
    "two frames: two senders, each in an established call with the receiver",
    messages=(Message("adam", "ruth", "candidate"), Message("cora", "ruth", "candidate")),
    order=(("adam's candidate",), ("cora's candidate",)),
    gateways=("adam", "cora", "ruth"),
    may_lose="ruth",
    established=(("adam", "ruth"), ("cora", "ruth")),
)
"""For traces that are short to read."""

CALL: Final = Scenario(
    "a call: the caller's candidates race the answer",
    messages=(
        Message("adam", "ruth", "offer"),
        Message("adam", "ruth", "candidate1", exchange="ruth's answer"),
        Message("adam", "ruth", "candidate2", exchange="ruth's answer"),
        Message("ruth", "adam", "answer", once_heard="adam's offer"),
    ),
    order=(("adam's offer", "adam's candidate1", "adam's candidate2"), ("ruth's answer",)),
    gateways=("adam", "ruth"),
    may_lose="ruth",
)

SERIES: Final = Scenario(
    "a series: three candidates that may go together race the answer",
    messages=(
        Message("adam", "ruth", "candidate1", exchange="ruth's answer"),
        Message("adam", "ruth", "candidate2", exchange="ruth's answer"),
        Message("adam", "ruth", "candidate3", exchange="ruth's answer"),
        Message("ruth", "adam", "answer"),
    ),
    order=(("adam's candidate1", "adam's candidate2", "adam's candidate3"), ("ruth's answer",)),
    gateways=("adam", "ruth"),
    may_lose="ruth",
    offered=(("adam", "ruth"),),
)

TWO_SENDERS: Final = Scenario(
    "two senders: one answers after its first candidate, one trickles in an established call",
    messages=(
        Message("adam", "ruth", "candidate1", exchange="adam's answer"),
        Message("adam", "ruth", "answer"),
        Message("adam", "ruth", "candidate2", exchange="adam's answer"),
        Message("cora", "ruth", "candidate1"),
    ),
    order=(("adam's answer", "adam's candidate1", "adam's candidate2"), ("cora's candidate1",)),
    gateways=("adam", "cora", "ruth"),
    may_lose="ruth",
    offered=(("ruth", "adam"),),
    established=(("ruth", "cora"),),
)

ANOTHER_CALL: Final = Scenario(
    "another call: one hangs up and calls again at once",
    messages=(
        Message("adam", "ruth", "candidate1"),
        Message("adam", "ruth", "hangup"),
        Message("adam", "ruth", "offer"),
        Message("adam", "ruth", "candidate2", exchange="ruth's answer"),
        Message("ruth", "adam", "answer", once_heard="adam's offer"),
    ),
    order=(
        ("adam's candidate1", "adam's hangup", "adam's offer", "adam's candidate2"),
        ("ruth's answer",),
    ),
    gateways=("adam", "ruth"),
    may_lose="ruth",
    established=(("adam", "ruth"),),
)

CANCELLED: Final = Scenario(
    "a cancelled call: the caller's hangup races the answer",
    messages=(
        Message("adam", "ruth", "offer"),
        Message("adam", "ruth", "candidate", exchange="ruth's answer", outcome="may be dropped"),
        Message("adam", "ruth", "hangup"),
        Message("ruth", "adam", "answer", once_heard="adam's offer", outcome="may be refused"),
    ),
    order=(("adam's offer", "adam's candidate", "adam's hangup"), ("ruth's answer",)),
    gateways=("adam", "ruth"),
    may_lose="ruth",
)

CALLED_AGAIN: Final = Scenario(
    "a cancelled call, and another: the answer races the hangup and the next offer",
    messages=(
        Message("adam", "ruth", "hangup"),
        Message("adam", "ruth", "offer2"),
        Message("ruth", "adam", "answer", outcome="may be refused"),
        Message("ruth", "adam", "candidate", exchange="ruth's answer", outcome="may be dropped"),
    ),
    order=(
        ("adam's hangup", "adam's offer2"),
        ("ruth's answer", "ruth's candidate"),
    ),
    gateways=("adam", "ruth"),
    may_lose="ruth",
    offered=(("adam", "ruth"),),
    is_apart=True,
)

WORDS: Final = Scenario(
    "words of a call: what each says of its end races the answer and the hangup",
    messages=(
        Message("adam", "ruth", "info"),
        Message("adam", "ruth", "hangup"),
        Message("ruth", "adam", "answer", outcome="may be refused"),
        Message("ruth", "adam", "candidate", exchange="ruth's answer", outcome="may be dropped"),
        Message("ruth", "adam", "info", outcome="may be refused"),
    ),
    order=(("adam's info", "adam's hangup"), ("ruth's answer", "ruth's candidate", "ruth's info")),
    gateways=("adam", "ruth"),
    may_lose="ruth",
    offered=(("adam", "ruth"),),
    is_apart=True,
)

LATE_ANSWER: Final = Scenario(
    "a cancelled call, and another: a late answer names the first call",
    messages=(
        Message("adam", "ruth", "hangup", call=FIRST),
        Message("adam", "ruth", "offer"),
        Message("adam", "ruth", "candidate", exchange="ruth's answer2", call="adam's offer"),
        Message("ruth", "adam", "answer1", outcome="may be refused", call=FIRST),
        Message("ruth", "adam", "answer2", once_heard="adam's offer", call="adam's offer"),
    ),
    order=(
        ("adam's hangup", "adam's offer", "adam's candidate"),
        ("ruth's answer1", "ruth's answer2"),
    ),
    gateways=("adam", "ruth"),
    may_lose="ruth",
    offered=(("adam", "ruth"),),
)

LATE_HANGUP: Final = Scenario(
    "both hang up, and one calls again: each hangup names the first call",
    messages=(
        Message("adam", "ruth", "hangup", outcome="may be refused", call=FIRST),
        Message("adam", "ruth", "offer"),
        Message("ruth", "adam", "hangup", outcome="may be refused", call=FIRST),
        Message("ruth", "adam", "answer", once_heard="adam's offer", call="adam's offer"),
    ),
    order=(("adam's hangup", "adam's offer"), ("ruth's hangup", "ruth's answer")),
    gateways=("adam", "ruth"),
    may_lose="ruth",
    established=(("adam", "ruth"),),
)
