"""One end of a call: its connection to the system, its peer, and what it has received.

It checks that it receives what the other end sent, complete and in order. The steps of the two ends are in
`conversation`.
"""

import asyncio
from contextlib import AbstractContextManager
from typing import NamedTuple

from tieline.cli.call.peer import Description, Peer, PeerFailed
from tieline.cli.call.timeline import Step, StepFailed, Timeline
from tieline.cli.call.trickle import END_OF_CANDIDATES, IceCandidate
from tieline.client import Answer, Candidate, Client, ErrorEvent, Event, Hangup, MemberJoined, Offer


class EndConfig(NamedTuple):
    """What one end uses: a gateway, a token, the tone it sends and the tone it expects."""

    who: str
    url: str
    token: str
    sends_hz: float
    expects_hz: float


class CallEnd:
    """One end. Set `other` before `follow` runs."""

    other: "CallEnd"

    def __init__(self, config: EndConfig, client: Client, peer: Peer, timeline: Timeline) -> None:
        loop = asyncio.get_running_loop()
        self.config = config
        self.client = client
        self.peer = peer
        self.user = client.welcome.user_id
        self.joined: asyncio.Future[None] = loop.create_future()
        """The other end came into the room."""
        self.description: asyncio.Future[dict[str, str]] = loop.create_future()
        """The session description of the other peer."""
        self.hung_up: asyncio.Future[str] = loop.create_future()
        """With which reason."""
        self.may_be_hung_up = False
        self._timeline = timeline
        self._sent = Description({}, [])
        self._arrived: list[IceCandidate] = []
        self._all_arrived = asyncio.Event()

    def step(self, what: str) -> AbstractContextManager[Step]:
        """Begin a step of this end on the timeline."""
        return self._timeline.step(self.config.who, what)

    async def describe(self, sent: Description) -> None:
        """Send a description, then its candidates one by one."""
        self._sent = sent
        client, to = self.client, self.other.user
        is_offer = sent.description["type"] == "offer"
        with self.step(f"send the {sent.description['type']}") as step:
            step.result = str(await (client.call if is_offer else client.answer)(to, sent.description))
        for number, candidate in enumerate(sent.candidates, 1):
            is_end = candidate["candidate"] == END_OF_CANDIDATES
            with self.step("send the end of candidates" if is_end else f"send candidate {number}") as step:
                step.result = str(await client.candidate(to, candidate))

    async def candidates(self) -> list[IceCandidate]:
        """Wait until all candidates of the other end have arrived.

        Raises:
            PeerFailed: some are missing, or in another order.
        """
        await self._all_arrived.wait()
        if self._arrived != self.other._sent.candidates:
            raise PeerFailed("they are not the ones that were sent, in their order")
        return self._arrived

    async def follow(self) -> None:
        """Handle every event. Never returns: the connection is not expected to end.

        Raises:
            StepFailed: an event came that should not have, or the connection ended.
        """
        async for event in self.client.events():
            await self._handle(event)
        raise StepFailed(self.config.who, "stay connected", str(self.client.closed))

    async def _handle(self, event: Event) -> None:
        match event:
            case MemberJoined(user_id=user):
                if user == self.other.user and not self.joined.done():
                    self.joined.set_result(None)
            case Offer() | Answer() | Candidate() | Hangup() if event.sender != self.other.user:
                pass  # a room of the user's own choice may have other people in it
            case Offer(description=description) | Answer(description=description):
                self._check(
                    description == self.other._sent.description, event, "the other end has not sent it"
                )
                self._check(not self.description.done(), event, "there was one before")
                self.description.set_result(description)
            case Candidate(candidate=candidate):
                self._check(candidate in self.other._sent.candidates, event, "the other end has not sent it")
                self._arrived.append(candidate)
                await self.peer.add(candidate)
                if candidate["candidate"] == END_OF_CANDIDATES:
                    self._all_arrived.set()
            case Hangup(reason=reason) if self.may_be_hung_up:
                self.hung_up.set_result(reason)
            case Hangup(reason=reason, server=server):
                raise self._call_broken(f"the {'server' if server else 'other end'} ended it: {reason}")
            case ErrorEvent(code=code, msg=msg, reason=reason):
                raise self._call_broken(f"an error came: {code} {msg} ({reason})")

    def _check(self, is_right: bool, event: Event, otherwise: str) -> None:
        if not is_right:
            raise StepFailed(self.config.who, f"use the {type(event).__name__} that came", otherwise)

    def _call_broken(self, why: str) -> StepFailed:
        return StepFailed(self.config.who, "stay in the call", why)
