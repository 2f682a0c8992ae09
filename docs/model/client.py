"""One client, the gateway it is connected to, and its mailbox: the receiving half of a state, and who speaks.

    up --(connection or gateway dies)--> down --subscribes--> listening --reads--> up

What a gateway hands to the client and what the client receives is one step: of what is under way between the
two, a death loses the rest, in the model as in the world. Pure.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from docs.model.cast import Cast

UP: Final = 0
DOWN: Final = 1
LISTENING: Final = 2
HAS_READ: Final = 3
"""Only when the mailbox is read before listening: a planted bug."""

Lines = tuple[tuple[int, tuple[int, ...]], ...]
"""Frames under way, by publisher, first to last."""


class Client(NamedTuple):
    """The state of one client."""

    at: int = 0
    """How many of its frames are acknowledged."""
    said: int = 0
    """How many of its frames it has sent at least once."""
    asked: bool = False
    """Its gateway waits for a router."""
    refused: tuple[int, ...] = ()
    """Which of its frames were refused."""
    got: tuple[int, ...] = ()
    """What it has received."""
    kept: tuple[int, ...] = ()
    """Its mailbox, in the order of the stream."""
    link: int = UP
    counts: bool = True
    """The subscription of its gateway reaches the one who pushes."""
    replay: tuple[int, ...] = ()
    """What its gateway has read for it and not yet sent."""
    known: frozenset[int] = frozenset()
    """What its gateway will not send (again)."""
    live: Lines = ()
    """Pushed to its gateway."""
    storing: Lines = ()
    """Pushed already, and not yet in the stream."""


class Move(NamedTuple):
    """One step of a client and its gateway."""

    label: str
    after: Client
    fault: str = ""
    """What it breaks, if it does."""


class Clients:
    """What clients can do. `who` is always the client's number."""

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._design = cast.design
        self._names = cast.users

    def moves(self, who: int, client: Client) -> list[Move]:
        """List what this client's gateway and the stream can do for it without anybody else."""
        name = self._names[who]
        found = []
        for line, (frame, *rest) in client.storing:
            after = client._replace(storing=_put(client.storing, line, tuple(rest)))
            found.append(Move(f"the stream stores {self._frame(frame)} for {name}", _stored(after, frame)))
        if not client.counts and client.link in (UP, LISTENING):
            after = client._replace(counts=True)
            found.append(Move(f"the pusher hears of {name}'s subscription", after))
        if client.link == UP:
            found.extend(self._deliveries(who, client))
        else:
            found.extend(self._reconnecting(name, client))
        return found

    def _reconnecting(self, name: str, client: Client) -> Iterator[Move]:
        """Let the gateway to which the client has come back take its next step, if it may."""
        reads_first = self._design.reads == "before listening"
        if client.link == HAS_READ or (client.link == DOWN and not reads_first):
            after = client._replace(
                link=UP if client.link == HAS_READ else LISTENING, counts=self._design.listening == "at once"
            )
            yield Move(f"{name}'s new gateway subscribes", after)
        elif self._may_read(client):
            after = self._read(client)._replace(link=HAS_READ if reads_first else UP)
            replayed = ", ".join(self._frame(frame) for frame in after.replay) or "nothing new"
            yield Move(f"{name}'s new gateway reads the mailbox: {replayed}", after)

    def _may_read(self, client: Client) -> bool:
        match self._design.reads:
            case "after its own marker":
                return client.counts
            case "when all is stored":
                return not client.storing
            case _:
                return True

    def _read(self, client: Client) -> Client:
        """Split the mailbox after the last frame that the client has; what is unknown is all replayed."""
        last = client.got[-1] if client.got else -1
        cut = client.kept.index(last) + 1 if last in client.kept else 0
        known = client.kept if self._design.remembers_known else client.kept[cut:]
        return client._replace(replay=client.kept[cut:], known=frozenset(known))

    def _deliveries(self, who: int, client: Client) -> list[Move]:
        if client.replay:
            frame, *rest = client.replay
            return [self._receive(who, client._replace(replay=tuple(rest)), frame)]
        found = []
        for line, (frame, *rest) in client.live:
            after = client._replace(live=_put(client.live, line, tuple(rest)))
            if frame in client.known:
                found.append(Move(f"{self._names[who]}'s gateway drops {self._frame(frame)} again", after))
            else:
                after = after._replace(known=client.known | {frame})
                found.append(self._receive(who, after, frame))
        return found

    def has_delivery(self, client: Client) -> bool:
        """Whether a frame is on its way to the client."""
        return client.link == UP and client.counts and bool(client.replay or client.live)

    def _receive(self, who: int, client: Client, number: int) -> Move:
        frames = self._cast.frames
        frame, name = frames[number], self._names[who]
        after = client._replace(got=(*client.got, number))
        from_sender = [frames[had] for had in client.got if frames[had].sender == frame.sender]
        fault = ""
        if number in client.got:
            fault = f"{name} receives {frame.name} twice"
        elif any(had.rank > frame.rank for had in from_sender):
            late = next(had for had in from_sender if had.rank > frame.rank)
            fault = f"{name} receives {frame.name} after {late.name}"
        elif frame.exchange >= 0 and not self._has_exchanged(who, client, frame.exchange):
            fault = f"{name} receives {frame.name} before the exchange"
        return Move(f"{name} receives {frame.name}", after, fault)

    def _has_exchanged(self, who: int, client: Client, answer: int) -> bool:
        """Whether this client has given the answer itself, or received it."""
        return answer in client.got or answer in self._cast.programs[who][: client.said]

    def next_frame(self, who: int, client: Client) -> int:
        """Number the frame that the client can send now; -1: none."""
        program = self._cast.programs[who]
        if client.link != UP or client.asked or client.at == len(program):
            return -1
        number = program[client.at]
        heard = self._cast.frames[number].once_heard
        return number if heard < 0 or heard in client.got else -1

    def published(self, client: Client, frame: int, line: int) -> Client:
        """Let a frame for this client reach the broker, from one publisher."""
        design = self._design
        listens = client.counts and client.link in (UP, LISTENING)
        if design.pushed_by == "store":
            is_new = frame not in client.kept
            after = _stored(client, frame)
            return after._replace(live=_add(client.live, 0, frame)) if listens and is_new else after
        if listens:
            client = client._replace(
                live=_add(client.live, line if design.lines == "one a publisher" else 0, frame)
            )
        if design.stored == "later":
            return client._replace(storing=_add(client.storing, line, frame))
        return _stored(client, frame)

    def sends(self, client: Client) -> Client:
        """Let the client send its next frame."""
        return client._replace(asked=True, said=client.at + 1)

    def acknowledged(self, client: Client) -> Client:
        """Let the client receive the ack for the frame it has sent."""
        return client._replace(at=client.at + 1, asked=False)

    def refused(self, who: int, client: Client) -> Client:
        """Let the client learn that the frame it has sent is refused."""
        number = self._cast.programs[who][client.at]
        return self.acknowledged(client)._replace(refused=(*client.refused, number))

    def disconnected(self, client: Client) -> Client:
        """Lose the connection, with everything that was under way to the client on it."""
        return client._replace(asked=False, link=DOWN, counts=False, replay=(), known=frozenset(), live=())

    def _frame(self, number: int) -> str:
        return self._cast.frames[number].name


def _stored(client: Client, frame: int) -> Client:
    return client if frame in client.kept else client._replace(kept=(*client.kept, frame))


def _add(lines: Lines, line: int, frame: int) -> Lines:
    waiting = dict(lines)
    waiting[line] = (*waiting.get(line, ()), frame)
    return tuple(sorted(waiting.items()))


def _put(lines: Lines, line: int, frames: tuple[int, ...]) -> Lines:
    return tuple(
        (name, frames if name == line else waiting) for name, waiting in lines if name != line or frames
    )
