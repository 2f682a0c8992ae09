"""Who says what to whom: the stories that are explored. Pure data; `cast` puts them into numbers.

All clients ask for acks and for resume, are connected at the beginning, and are in one room.
"""

from typing import Final, Literal, NamedTuple


class Line(NamedTuple):
    """One frame that a client sends when the one before it is acknowledged."""

    sender: str
    target: str
    what: str
    """A command in small letters, and a digit that tells it from the sender's others."""
    once_heard: str = ""
    """The frame that the client must have received before: no one answers an offer he has not heard."""
    exchange: str = ""
    """The answer before which this candidate must not arrive."""
    outcome: Literal["arrives", "may be refused", "may be dropped"] = "arrives"
    """A hangup may come first: then an answer is refused, and a candidate that was held is dropped. What may
    be dropped may be refused, too."""

    @property
    def name(self) -> str:
        """How it is called in a scenario and in a trace."""
        return f"{self.sender}'s {self.what}"


class Scenario(NamedTuple):
    """Some clients and what they say."""

    title: str
    lines: tuple[Line, ...]
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


TWO_FRAMES: Final = Scenario(
    "two frames: two senders, each in an established call with the receiver",
    lines=(Line("adam", "ruth", "candidate"), Line("cora", "ruth", "candidate")),
    order=(("adam's candidate",), ("cora's candidate",)),
    gateways=("adam", "cora", "ruth"),
    may_lose="ruth",
    established=(("adam", "ruth"), ("cora", "ruth")),
)
"""For stories that are short to tell."""

CALL: Final = Scenario(
    "a call: the caller's candidates race the answer",
    lines=(
        Line("adam", "ruth", "offer"),
        Line("adam", "ruth", "candidate1", exchange="ruth's answer"),
        Line("adam", "ruth", "candidate2", exchange="ruth's answer"),
        Line("ruth", "adam", "answer", once_heard="adam's offer"),
    ),
    order=(("adam's offer", "adam's candidate1", "adam's candidate2"), ("ruth's answer",)),
    gateways=("adam", "ruth"),
    may_lose="ruth",
)

TWO_SENDERS: Final = Scenario(
    "two senders: one answers after its first candidate, one trickles in an established call",
    lines=(
        Line("adam", "ruth", "candidate1", exchange="adam's answer"),
        Line("adam", "ruth", "answer"),
        Line("adam", "ruth", "candidate2", exchange="adam's answer"),
        Line("cora", "ruth", "candidate1"),
    ),
    order=(("adam's answer", "adam's candidate1", "adam's candidate2"), ("cora's candidate1",)),
    gateways=("adam", "cora", "ruth"),
    may_lose="ruth",
    offered=(("ruth", "adam"),),
    established=(("ruth", "cora"),),
)

ANOTHER_CALL: Final = Scenario(
    "another call: one hangs up and calls again at once",
    lines=(
        Line("adam", "ruth", "candidate1"),
        Line("adam", "ruth", "hangup"),
        Line("adam", "ruth", "offer"),
        Line("adam", "ruth", "candidate2", exchange="ruth's answer"),
        Line("ruth", "adam", "answer", once_heard="adam's offer"),
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
    lines=(
        Line("adam", "ruth", "offer"),
        Line("adam", "ruth", "candidate", exchange="ruth's answer", outcome="may be dropped"),
        Line("adam", "ruth", "hangup"),
        Line("ruth", "adam", "answer", once_heard="adam's offer", outcome="may be refused"),
    ),
    order=(("adam's offer", "adam's candidate", "adam's hangup"), ("ruth's answer",)),
    gateways=("adam", "ruth"),
    may_lose="ruth",
)

CALLED_AGAIN: Final = Scenario(
    "a cancelled call, and another: the answer races the hangup and the next offer",
    lines=(
        Line("adam", "ruth", "hangup"),
        Line("adam", "ruth", "offer2"),
        Line("ruth", "adam", "answer", outcome="may be refused"),
        Line("ruth", "adam", "candidate", exchange="ruth's answer", outcome="may be dropped"),
    ),
    order=(
        ("adam's hangup", "adam's offer2"),
        ("ruth's answer", "ruth's candidate"),
    ),
    gateways=("adam", "ruth"),
    may_lose="ruth",
    offered=(("adam", "ruth"),),
)
