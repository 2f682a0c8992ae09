"""A bot that waits in a room and answers whoever calls, or rings one user: `tieline call --answer`, `--to`.

It does one thing at a time, in the order in which it hears of things: what the server says and what becomes
of the media come through one queue. While it talks to one user others are told
that it is busy. Its connection resumes; a session that is lost ends the talk, not the bot.
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from tieline.cli.call.bot_call import News, PeerFound, PeerLost, Talk
from tieline.cli.call.peer import Description, Peer, PeerFailed
from tieline.cli.call.sound import Source
from tieline.cli.call.trickle import read_candidate
from tieline.client import (
    Answer,
    Candidate,
    Client,
    ClientError,
    ErrorEvent,
    Event,
    Hangup,
    MemberJoined,
    MemberLeft,
    Offer,
    Reconnecting,
    Refused,
    Rejoined,
    Resumed,
    RoomLost,
    SessionReset,
    TokenExpiring,
    TokenSource,
)
from tieline.wire.replies import Roster


class Ended(NamedTuple):
    """The connection has ended for good, for this reason."""

    why: str


class HangUpNow(NamedTuple):
    """A talk has lasted as long as it may."""

    talk: Talk


class Part(NamedTuple):
    """What the bot is to do."""

    room: str
    to: str | None
    """Ring this user instead of waiting to be rung."""
    once: bool
    """End after the first talk."""
    sound: Callable[[], Source]
    """Makes what one talk sends."""
    record: Path | None
    """Where the first talk is recorded; the next ones get a number."""
    hang_up_after_s: float | None
    fresh_token: TokenSource | None
    """Where a newer token comes from before the one in use ends."""


_Input = Event | News | Ended | HangUpNow

OVER: Final = frozenset(("NO_MATCHING_OFFER", "TARGET_OFFLINE", "NOT_IN_SAME_ROOM"))
"""Refusals of a candidate that mean that the call has ended meanwhile; an event says so, too, and why."""

GOODBYE_S: Final = 3.0
"""For the last hang-up to be heard; a bot that is to end while it has no connection does not wait for one."""


class Bot:
    """One bot on one connection. `say` takes a line without its end."""

    def __init__(self, client: Client, part: Part, say: Callable[[str], None]) -> None:
        self._client = client
        self._part = part
        self._say = say
        self._me = str(client.welcome.user_id)
        self._inbox: asyncio.Queue[_Input] = asyncio.Queue()
        self._talk: Talk | None = None
        self._talks = 0
        self._result: bool | None = None
        """How it went, as soon as it is over."""

    async def run(self, stopping: asyncio.Event) -> bool:
        """Do all there is to do, or what can be done before `stopping`; says whether it went well.

        One talk went well if any sound came. A bot for many talks went well if it was stopped.

        Raises:
            ClientError: the room cannot be joined.
        """
        roster = await self._client.join(self._part.room)
        async with asyncio.TaskGroup() as self._tasks:
            running = [
                self._tasks.create_task(task) for task in (self._serve(roster), self._pump(), stopping.wait())
            ]
            serving, _, stopped = running
            await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            if self._talk is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE_S):
                        await self._over(self._talk, "hangup")
        return not self._is_for_one_talk if self._result is None else self._result

    async def _serve(self, roster: Roster) -> None:
        await self._begin(roster)
        while self._result is None:
            await self._take(await self._inbox.get())

    async def _pump(self) -> None:
        async for event in self._client.events():
            self._inbox.put_nowait(event)
        self._inbox.put_nowait(Ended(str(self._client.closed)))

    async def _begin(self, roster: Roster) -> None:
        others = [str(member.user_id) for member in roster.members if member.user_id != self._me]
        who = ", ".join(others) or "nobody else"
        if self._part.to is None:
            self._say(f"{self._me} waits in the room {self._part.room} to be called; with {who}")
        elif self._part.to in others:
            await self._ring(self._part.to)
        else:
            self._say(f"{self._me} waits for {self._part.to} to join the room {self._part.room}; with {who}")

    async def _take(self, came: _Input) -> None:
        talk = self._talk
        match came:
            case Offer(sender=sender, description=offer):
                await self._hear_offer(str(sender), offer)
            case Answer(sender=sender, description=answer) if talk and talk.user == sender:
                await self._hear_answer(talk, answer)
            case Candidate(sender=sender, candidate=said) if talk and talk.user == sender:
                candidate = read_candidate(said)
                if candidate is not None and talk.peer is not None:
                    await talk.peer.add(candidate)
            case Hangup(sender=sender, reason=reason, server=server) if talk and talk.user == sender:
                self._say(
                    f"{'the server' if server else sender} ended the call: {reason or 'no reason given'}"
                )
                await self._over(talk)
            case MemberJoined(user_id=user) if user == self._part.to and talk is None:
                await self._ring(str(user))
            case PeerFound(talk=about, path=path) if about is talk:
                self._say(f"{about.user}: sound flows, {path}")
                if self._part.hang_up_after_s is not None:
                    loop = asyncio.get_running_loop()
                    loop.call_later(self._part.hang_up_after_s, self._inbox.put_nowait, HangUpNow(about))
            case PeerLost(talk=about, reason=reason) if about is talk:
                self._say(f"{about.user}: no sound comes any more")
                await self._over(about, reason)
            case HangUpNow(talk=about) if about is talk:
                await self._over(about, "hangup")
            case SessionReset() if talk:
                self._say("the session is lost, and the call with it")
                await self._over(talk)
            case TokenExpiring() if self._part.fresh_token is not None:
                await self._refresh(self._part.fresh_token)
            case Reconnecting(reason=reason, code=code):
                self._say(f"the connection is lost ({code} {reason}), and being made again")
            case Resumed(away_s=away_s):
                self._say(f"the connection is back after {away_s:.1f} s, with nothing lost")
            case Rejoined(roster=roster) if talk is None:
                await self._begin(roster)
            case MemberLeft(user_id=user, room=room) if user == self._me and room == self._part.room:
                self._finish(False, f"was made to leave the room {room}")
            case RoomLost(room=room, reason=reason):
                self._finish(False, f"cannot be in the room {room} any more: {reason}")
            case ErrorEvent(cmd=cmd, code=code, msg=msg, reason=reason):
                self._say(f"{cmd or 'a message'} was refused: {code} {msg} ({reason})")
            case Ended(why=why):
                self._finish(False, why)

    async def _refresh(self, fresh_token: TokenSource) -> None:
        try:
            await self._client.refresh_token(await fresh_token())
        except ClientError as problem:  # at its end the connection is closed, and made again with a newer one
            self._say(f"the token could not be refreshed: {problem}")

    @property
    def _is_for_one_talk(self) -> bool:
        return self._part.once or self._part.to is not None

    # Calling ----------------------------------------------------------------------------------------

    async def _ring(self, user: str) -> None:
        talk = self._start(user)
        self._say(f"rings {user}")
        try:
            peer = await self._new_peer(talk)
            await self._describe(talk, await peer.offer())
        except ClientError as problem:
            self._say(f"{user} cannot be rung: {problem}")
            await self._over(talk)

    async def _hear_answer(self, talk: Talk, answer: object) -> None:
        if talk.peer is None or talk.is_answered:
            return
        self._say(f"{talk.user} answers")
        try:
            await talk.peer.accept(_sdp(answer))
        except PeerFailed as problem:
            self._say(f"{talk.user}: {problem}")
            await self._over(talk, "failed")
            return
        talk.answered()

    # Being called -----------------------------------------------------------------------------------

    async def _hear_offer(self, user: str, offer: object) -> None:
        talk = self._talk
        if talk is not None and talk.user != user:
            self._say(f"{user} calls, and is told that this end is busy")
            await self._tell_end(user, "busy")
            return
        if talk is not None and not talk.is_answered and not self._gives_way_to(user):
            return  # two offers have crossed, and ours counts
        if talk is None and self._part.to not in (None, user):
            await self._tell_end(user, "busy")
            return
        if talk is None:
            self._say(f"{user} calls")
            talk = self._start(user)
        try:
            await self._agree(talk, _sdp(offer))
        except (PeerFailed, ClientError) as problem:
            self._say(f"{user} cannot be answered: {problem}")
            await self._over(talk, "failed")

    def _gives_way_to(self, user: str) -> bool:
        """Whose offer counts when two cross: that of the greater user id, by its bytes, as in the browser."""
        return self._me.encode() < user.encode()

    async def _agree(self, talk: Talk, offer: dict[str, str]) -> None:
        peer, is_new = talk.peer, False
        if peer is None or not peer.is_meant_for_this(offer):
            if talk.is_answered:
                self._say(f"{talk.user} looks for another path")
            peer, is_new = await self._new_peer(talk), True
        await self._describe(talk, await peer.answer(offer), only_description=not is_new)
        talk.answered()

    # Both -------------------------------------------------------------------------------------------

    def _start(self, user: str) -> Talk:
        self._talks += 1
        record = self._part.record
        if record is not None and self._talks > 1:
            record = record.with_stem(f"{record.stem}-{self._talks}")
        self._talk = Talk(user, record, self._tasks, self._inbox.put_nowait)
        return self._talk

    async def _new_peer(self, talk: Talk) -> Peer:
        servers = (await self._client.ice_servers()).ice_servers
        peer = Peer(self._part.sound(), servers)
        await talk.use(peer)
        return peer

    async def _describe(self, talk: Talk, sent: Description, *, only_description: bool = False) -> None:
        """Send a description, then its candidates one by one."""
        is_offer = sent.description["type"] == "offer"
        await (self._client.call if is_offer else self._client.answer)(talk.user, sent.description)
        try:
            for candidate in () if only_description else sent.candidates:
                await self._client.candidate(talk.user, candidate)
        except Refused as refused:
            if refused.reason not in OVER:
                raise

    async def _over(self, talk: Talk, tell: str | None = None) -> None:
        """Conclude a talk; `tell`: the other end does not know yet, and is told this reason."""
        self._talk = None
        await talk.close()
        if tell is not None:
            await self._tell_end(talk.user, tell)
        self._say(f"{talk.user}: {talk.summary}")
        if self._is_for_one_talk and self._result is None:
            self._result = talk.has_heard

    async def _tell_end(self, user: str, reason: str) -> None:
        try:
            await self._client.hangup(user, reason)
        except ClientError as problem:
            if not isinstance(problem, Refused) or problem.reason not in OVER:
                self._say(f"{user} could not be told {reason}: {problem}")

    def _finish(self, result: bool, why: str) -> None:
        self._say(why)
        self._result = result


def _sdp(said: object) -> dict[str, str]:
    """Read a description; what else stands in it is the application's.

    Raises:
        PeerFailed: it is none.
    """
    match said:
        case {"type": str(kind), "sdp": str(sdp)}:
            return {"type": kind, "sdp": sdp}
        case _:
            raise PeerFailed("what came is no session description")
