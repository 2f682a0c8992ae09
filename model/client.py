"""One client, the gateway it is connected to, and its mailbox: the receiving half of a state.

    up --(connection or gateway dies)--> down --subscribes--> listening --reads--> up

What a gateway hands to the client and what the client receives is one step: of what is under way between the
two, a death loses the rest, in the model as in the world. Pure.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from model.numbering import Numbering

UP: Final = 0
DOWN: Final = 1
LISTENING: Final = 2
HAS_READ: Final = 3
"""Only when the mailbox is read before listening: a planted bug."""


class Client(NamedTuple):
    """The state of one client."""

    at: int = 0
    """How many of its frames are acknowledged."""
    said: int = 0
    """How many of its frames it has sent at least once."""
    asked: int = 0
    """So many of its frames, the next ones, are what its gateway waits for a router with."""
    refused: tuple[int, ...] = ()
    """Which of its frames were refused."""
    got: tuple[int, ...] = ()
    """What it has received."""
    kept: tuple[int, ...] = ()
    """Its mailbox, in the order of the stream."""
    link: int = UP
    counts: bool = True
    """The subscription of its gateway reaches the node that pushes."""
    replay: tuple[int, ...] = ()
    """What its gateway has read for it and not yet sent."""
    live: tuple[int, ...] = ()
    """What was pushed to its gateway and is not yet sent."""


class Move(NamedTuple):
    """One step of a client and its gateway."""

    label: str
    after: Client
    fault: str = ""
    """What it breaks, if it does."""


class Clients:
    """What clients can do. `who` is always the client's number."""

    def __init__(self, numbering: Numbering) -> None:
        self._numbering = numbering
        self._design = numbering.design
        self._names = numbering.users

    def moves(self, who: int, client: Client) -> list[Move]:
        """List what this client's gateway and the stream can do for it without anybody else."""
        name = self._names[who]
        found = []
        if not client.counts and client.link in (UP, LISTENING):
            found.append(Move(f"the stream hears of {name}'s subscription", client._replace(counts=True)))
        if client.link != UP:
            found.extend(self._reconnecting(name, client))
        elif client.replay or client.live:
            found.append(self._delivery(who, client))
        return found

    def _reconnecting(self, name: str, client: Client) -> Iterator[Move]:
        """Let the gateway to which the client has come back take its next step, if it may."""
        reads_first = self._design.reads == "before listening"
        if client.link == HAS_READ or (client.link == DOWN and not reads_first):
            link = UP if client.link == HAS_READ else LISTENING
            after = client._replace(link=link, counts=self._design.listening == "at once")
            yield Move(f"{name}'s new gateway subscribes", after)
            return
        for length in self._readable(client):
            after = self._read(client, length)._replace(link=HAS_READ if reads_first else UP)
            replayed = ", ".join(self._frame(frame) for frame in after.replay) or "nothing new"
            yield Move(f"{name}'s new gateway reads the mailbox: {replayed}", after)

    def _readable(self, client: Client) -> Iterable[int]:
        """List how much of the mailbox its gateway may read now, for a replica may lag behind.

        The barrier was stored when what is pushed counted already. All that was stored since has been pushed.
        """
        many = len(client.kept)
        match self._design.reads:
            case "after its own barrier":
                return range(many - len(client.live), many + 1) if client.counts else ()
            case "from any replica":
                return range(many + 1) if client.counts else ()
            case _:
                return (many,)

    def _read(self, client: Client, length: int) -> Client:
        """Split the mailbox after the last frame that the client has; what is unknown is all replayed."""
        last = client.got[-1] if client.got else -1
        read = client.kept[:length]
        replay = read[read.index(last) + 1 :] if last in read else read
        if not self._design.drops_overlap:
            return client._replace(replay=replay)
        return client._replace(replay=replay, live=tuple(frame for frame in client.live if frame not in read))

    def _delivery(self, who: int, client: Client) -> Move:
        if client.replay:
            return self._receive(who, client._replace(replay=client.replay[1:]), client.replay[0])
        return self._receive(who, client._replace(live=client.live[1:]), client.live[0])

    def has_delivery(self, client: Client) -> bool:
        """Whether a frame is on its way to the client, and nothing else can happen to the two."""
        return client.link == UP and client.counts and bool(client.replay or client.live)

    def _receive(self, who: int, client: Client, number: int) -> Move:
        frames = self._numbering.frames
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
        return answer in client.got or answer in self._numbering.programs[who][: client.said]

    def next_frames(self, who: int, client: Client) -> tuple[int, ...]:
        """Number what the client can send now: the next frame, or with it as many as may go together.

        A client that was refused says no more, unless what was refused names its call. How many have waited
        for their turn, and so go together, is anybody's guess.
        """
        program, frames = self._numbering.programs[who], self._numbering.frames
        is_refused = any(not frames[number].names_call for number in client.refused)
        if client.link != UP or client.asked or is_refused or client.at == len(program):
            return ()
        heard = frames[program[client.at]].once_heard
        if heard >= 0 and heard not in client.got:
            return ()
        together = self._numbering.together
        ends = range(client.at + 1, len(program) + 1)
        return tuple(
            together[program[client.at : end]] for end in ends if program[client.at : end] in together
        )

    def stored(self, client: Client, frame: int) -> Client:
        """Let a frame reach the stream, which keeps it once, and pushes it when it does."""
        if frame in client.kept:
            return client
        after = client._replace(kept=(*client.kept, frame))
        return self.pushed(after, frame) if self._design.pushed_by == "stream" else after

    def pushed(self, client: Client, frame: int) -> Client:
        """Let a frame go to the gateway that listens, if one does."""
        listens = client.counts and client.link in (UP, LISTENING)
        return client._replace(live=(*client.live, frame)) if listens else client

    def sends(self, client: Client, count: int) -> Client:
        """Let the client send its next frames, which go together."""
        return client._replace(asked=count, said=max(client.said, client.at + count))

    def awaited(self, who: int, client: Client) -> int:
        """Number what the client's gateway waits for a router with; -1: nothing."""
        if not client.asked:
            return -1
        return self._numbering.together[self._numbering.programs[who][client.at : client.at + client.asked]]

    def acknowledged(self, client: Client, count: int) -> Client:
        """Let the client receive the acks for so many of the frames it has sent; the rest is asked anew."""
        return client._replace(at=client.at + count, asked=0)

    def refused(self, who: int, client: Client) -> Client:
        """Let the client learn that the frames it has sent are refused."""
        numbers = self._numbering.programs[who][client.at : client.at + client.asked]
        return self.acknowledged(client, client.asked)._replace(refused=(*client.refused, *numbers))

    def disconnected(self, client: Client) -> Client:
        """Lose the connection, with everything that was under way to the client on it."""
        return client._replace(asked=0, link=DOWN, counts=False, replay=(), live=())

    def _frame(self, number: int) -> str:
        return self._numbering.frames[number].name
