"""Offers that a router stores arbitrarily late, when their calls may be over. Pure.

Presence allows an offer, and a router stores it at any later step; meanwhile the call ends, by the backend or
by its time, and that is stored. Calls follow one another. The gateway of who is called delivers what the
mailbox has, in its order, and its connection may be lost at any step, and come back with its place. What the
gateway stops, and what it knows when a client comes back, is its own code (`gateway.delivery`).
"""

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from gateway.client.mail import Mail
from gateway.delivery.over import Over
from gateway.delivery.replay import Replay
from model.explore import Found, visit

Kind = Literal["OFFER", "HANGUP"]


class Event(NamedTuple):
    """What is stored of a call, which the mailbox keeps once."""

    kind: Kind
    call: str


class State(NamedTuple):
    """All there is."""

    begun: int = 0
    """Calls that presence has allowed to begin."""
    is_over: bool = True
    """The newest one is."""
    waiting: tuple[Event, ...] = ()
    """Offers that routers are about to store."""
    mailbox: tuple[Event, ...] = ()
    heard: tuple[Event, ...] = ()
    """What the client has had."""
    had: int = 0
    """How much of the mailbox has been delivered, or stopped."""
    over: tuple[str, ...] = ()
    """Calls of which the gateway knows that they are over."""
    losses: int = 0


class Offers(NamedTuple):
    """How many calls follow one another, and what the gateway does."""

    calls: int = 3
    losses: int = 2
    stops: bool = True
    """It stops offers of calls that are over."""
    knows: bool = True
    """When a client comes back, it reads what ends that one has had before."""
    breaks: str = ""
    """Words of the promise that must break; "": none may."""

    def explore(self) -> Found:
        """Visit every state, nearest first, or all up to the first in which a promise breaks."""
        return visit(State(), self._steps, _fault, self.breaks)

    def _steps(self, state: State) -> Iterator[tuple[str, State]]:
        call = f"call{state.begun}"
        if state.is_over and state.begun < self.calls:
            offer = Event("OFFER", f"call{state.begun + 1}")
            allowed = state._replace(begun=state.begun + 1, is_over=False, waiting=(*state.waiting, offer))
            yield f"presence allows {offer.call}", allowed
        if not state.is_over:
            ended = state._replace(is_over=True, mailbox=(*state.mailbox, Event("HANGUP", call)))
            yield f"{call} ends, and that is stored", ended
        for offer in state.waiting:
            others = tuple(each for each in state.waiting if each != offer)
            stored = state._replace(waiting=others, mailbox=(*state.mailbox, offer))
            yield f"a router stores the offer of {offer.call}", stored
        if state.had < len(state.mailbox):
            event = state.mailbox[state.had]
            yield f"the gateway is pushed {event.kind} of {event.call}", self._delivered(state, [event])
        if state.losses < self.losses:
            yield "the connection is lost, and comes back", self._back(state)

    def _delivered(self, state: State, events: list[Event]) -> State:
        over, heard = Over(), list(state.heard)
        for call in state.over:
            over.add(call)
        for event in events:
            is_late = over.stops(_mail(event), event.call)
            if not (is_late and self.stops):
                heard.append(event)
        return state._replace(heard=tuple(heard), over=tuple(over), had=state.had + len(events))

    def _back(self, state: State) -> State:
        """Let another gateway read the mailbox for the client, which names its place."""
        replay = Replay(has_had=state.had)
        for number, event in enumerate(state.mailbox, 1):
            replay.add(_mail(event), number, int)
        assert replay.fresh == [_mail(event) for event in state.mailbox[state.had :]]
        known = tuple(replay.over) if self.knows else ()
        again = state._replace(over=known, losses=state.losses + 1)
        return self._delivered(again, [*state.mailbox[state.had :]])


def _mail(event: Event) -> Mail:
    frame = Mail(f'{{"cmd":"WEBRTC_{event.kind}","requestId":"{event.kind} {event.call}"}}'.encode())
    frame.call = event.call
    return frame


def _fault(state: State) -> str:
    """Say whether the client was told last of a call that has ended that it begins."""
    ended = set[str]()
    for event in state.heard:
        if event.kind == "HANGUP":
            ended.add(event.call)
        elif event.call in ended:
            return f"{event.call} rings, and is over"
    return ""


OFFER_PROOFS: Final = {"offers: stored when their calls may be over": Offers()}
"""No call rings whose end the client was told before."""

OFFER_PLANTED: Final = {
    "late-offers-delivered": Offers(stops=False, losses=0, breaks="rings"),
    "ends-had-before-forgotten": Offers(knows=False, breaks="rings"),
}
"""One thing left out each. Each must be found."""
