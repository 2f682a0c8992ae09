"""A bot that waits in a room and answers every caller, or rings one user: `tieline call --answer`, `--to`.

Events of the server and of the media come through one queue, and the bot handles them one after the other.
While it is in a call with one user, other callers are told that it is busy. Its connection resumes; a lost
session ends the call, not the bot. `bot_script` says what a bot is to do, `bot_call` is one of its calls.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final, NamedTuple

from tieline.cli.call.bot_call import BotCall, MediaEvent, MediaFlows, MediaStopped
from tieline.cli.call.bot_script import BotScript
from tieline.cli.call.peer import Description, Peer, PeerFailed
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
from tieline.client.english import of_message
from tieline.wire.replies import Roster


class ConnectionEnded(NamedTuple):
    """The connection has ended for good, for this reason."""

    why: str


class CallTimeUp(NamedTuple):
    """A call has lasted as long as it may."""

    call: BotCall


_Input = Event | MediaEvent | ConnectionEnded | CallTimeUp

CALL_IS_OVER: Final = frozenset(("NO_MATCHING_OFFER", "TARGET_OFFLINE", "NOT_IN_SAME_ROOM"))
"""Refusals of a candidate that mean that the call has ended meanwhile; an event says the same, and why."""

GOODBYE_S: Final = 3.0
"""For the server to take the last hang-up; a bot that ends without a connection does not wait for one."""


class Bot:
    """One bot on one connection. `say` takes a line without its end."""

    def __init__(self, client: Client, script: BotScript, say: Callable[[str], None]) -> None:
        self._client = client
        self._script = script
        self._say = say
        self._me = str(client.welcome.user_id)
        self._inputs: asyncio.Queue[_Input] = asyncio.Queue()
        self._call: BotCall | None = None
        self._calls = 0
        self._result: bool | None = None
        """Whether it went well, once the bot is done."""

    async def run(self, stopping: asyncio.Event) -> bool:
        """Carry out the script, or what can be done before `stopping`; returns whether it went well.

        One call went well if any sound came. A bot for many calls went well if it was stopped.

        Raises:
            ClientError: the room cannot be joined.
        """
        roster = await self._client.join(self._script.room)
        async with asyncio.TaskGroup() as self._tasks:
            running = [
                self._tasks.create_task(task) for task in (self._serve(roster), self._pump(), stopping.wait())
            ]
            serving, _, stopped = running
            await asyncio.wait((serving, stopped), return_when=asyncio.FIRST_COMPLETED)
            for task in running:
                task.cancel()
            await asyncio.wait(running)
            if self._call is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE_S):
                        await self._end_call(self._call, "hangup")
        return not self._script.is_for_one_call if self._result is None else self._result

    async def _serve(self, roster: Roster) -> None:
        await self._announce(roster)
        while self._result is None:
            await self._handle(await self._inputs.get())

    async def _pump(self) -> None:
        async for event in self._client.events():
            self._inputs.put_nowait(event)
        self._inputs.put_nowait(ConnectionEnded(str(self._client.closed)))

    async def _announce(self, roster: Roster) -> None:
        others = [str(member.user_id) for member in roster.members if member.user_id != self._me]
        who = ", ".join(others) or "nobody else"
        if self._script.to is None:
            self._say(f"{self._me} waits in the room {self._script.room} to be called; with {who}")
        elif self._script.to in others:
            await self._ring(self._script.to)
        else:
            self._say(
                f"{self._me} waits for {self._script.to!r} to join the room {self._script.room!r}; with {who}"
            )

    async def _handle(self, input_: _Input) -> None:
        call = self._call
        match input_:
            case Offer(sender=sender, description=offer):
                await self._handle_offer(str(sender), offer)
            case Answer() | Candidate() | Hangup() if self._is_late(input_):
                pass
            case Answer(sender=sender, description=answer) if call and call.user == sender:
                await self._handle_answer(call, answer)
            case Candidate(sender=sender, candidate=sent) if call and call.user == sender:
                candidate = read_candidate(sent)
                if candidate is not None and call.peer is not None:
                    await call.peer.add(candidate)
            case Hangup(sender=sender, reason=reason, server=server) if call and call.user == sender:
                self._say(
                    f"{'the server' if server else sender} ended the call: {reason or 'no reason given'}"
                )
                await self._end_call(call, is_summed_up=call.is_answered)
            case MemberJoined(user_id=user) if user == self._script.to and call is None:
                await self._ring(str(user))
            case MediaFlows(call=about, path=path) if about is call:
                self._say(f"{about.user}: sound flows, {path}")
                if self._script.hang_up_after_s is not None:
                    loop = asyncio.get_running_loop()
                    loop.call_later(self._script.hang_up_after_s, self._inputs.put_nowait, CallTimeUp(about))
            case MediaStopped(call=about, reason=reason) if about is call:
                self._say(f"{about.user}: no sound comes any more")
                await self._end_call(about, reason)
            case CallTimeUp(call=about) if about is call:
                await self._end_call(about, "hangup")
            case SessionReset() if call:
                self._say("the session is lost, and the call with it")
                await self._end_call(call)
            case TokenExpiring() if self._script.fresh_token is not None:
                await self._refresh(self._script.fresh_token)
            case Reconnecting(reason=reason, code=code):
                self._say(f"the connection is lost ({code} {reason}), and being made again")
            case Resumed(away_s=away_s):
                self._say(f"the connection is back after {away_s:.1f} s, with nothing lost")
            case Rejoined(roster=roster) if call is None:
                await self._announce(roster)
            case MemberLeft(user_id=user, room=room) if user == self._me and room == self._script.room:
                self._finish(False, f"was made to leave the room {room}")
            case RoomLost(room=room, reason=reason):
                self._finish(False, f"cannot be in the room {room} any more: {reason}")
            case ErrorEvent(cmd=cmd, code=code, msg=msg, reason=reason):
                self._say(f"{cmd or 'a message'} was refused: {of_message(code, msg, reason)}")
            case ConnectionEnded(why=why):
                self._finish(False, why)

    def _is_late(self, event: Answer | Candidate | Hangup) -> bool:
        """Whether it is about an earlier call with its sender than this end's."""
        return event.call not in ("", self._client.call_with(event.sender))

    async def _refresh(self, fresh_token: TokenSource) -> None:
        try:
            await self._client.refresh_token(await fresh_token())
        except ClientError as problem:  # at its end the connection is closed, and made again with a newer one
            self._say(f"the token could not be refreshed: {problem}")

    async def _ring(self, user: str) -> None:
        call = self._start(user)
        self._say(f"rings {user}")
        try:
            peer = await self._new_peer(call)
            await self._describe(call, await peer.offer())
        except ClientError as problem:
            self._say(f"{user} cannot be rung: {problem}")
            await self._end_call(call)

    async def _handle_answer(self, call: BotCall, answer: object) -> None:
        if call.peer is None or call.is_answered:
            return
        self._say(f"{call.user} answers")
        try:
            await call.peer.accept(_sdp(answer))
        except PeerFailed as problem:
            self._say(f"{call.user}: {problem}")
            await self._end_call(call, "failed")
            return
        call.answered()

    async def _handle_offer(self, user: str, offer: object) -> None:
        call = self._call
        if call is not None and call.user != user:
            self._say(f"{user} calls, and is told that this end is busy")
            await self._send_hangup(user, "busy")
            return
        if call is not None and not call.is_answered and not self._yields_to(user):
            return  # two offers have crossed, and this end's counts
        if call is None and self._script.to not in (None, user):
            await self._send_hangup(user, "busy")
            return
        if call is None:
            self._say(f"{user} calls")
            call = self._start(user)
        try:
            await self._accept_offer(call, _sdp(offer))
        except (PeerFailed, ClientError) as problem:
            self._say(f"{user} cannot be answered: {problem}")
            await self._end_call(call, "failed")

    def _yields_to(self, user: str) -> bool:
        """When two offers cross, the one of the greater user id (by bytes) counts, as in the browser."""
        return self._me.encode() < user.encode()

    async def _accept_offer(self, call: BotCall, offer: dict[str, str]) -> None:
        peer, is_new = call.peer, False
        if peer is None or not peer.is_meant_for_this(offer):
            if call.is_answered:
                self._say(f"{call.user} looks for another path")
            peer, is_new = await self._new_peer(call), True
        await self._describe(call, await peer.answer(offer), only_description=not is_new)
        call.answered()

    def _start(self, user: str) -> BotCall:
        self._calls += 1
        record = self._script.record
        if record is not None and self._calls > 1:
            record = record.with_stem(f"{record.stem}-{self._calls}")
        self._call = BotCall(user, record, self._tasks, self._inputs.put_nowait)
        return self._call

    async def _new_peer(self, call: BotCall) -> Peer:
        servers = (await self._client.ice_servers()).ice_servers
        peer = Peer(self._script.sound(), servers)
        await call.use(peer)
        return peer

    async def _describe(self, call: BotCall, sent: Description, *, only_description: bool = False) -> None:
        """Send a description, then its candidates one by one."""
        is_offer = sent.description["type"] == "offer"
        await (self._client.call if is_offer else self._client.answer)(call.user, sent.description)
        try:
            for candidate in () if only_description else sent.candidates:
                await self._client.candidate(call.user, candidate)
        except Refused as refused:
            if refused.reason not in CALL_IS_OVER:
                raise

    async def _end_call(self, call: BotCall, reason: str | None = None, *, is_summed_up: bool = True) -> None:
        """Conclude a call; `reason`: the other end does not know yet, and is sent this reason.

        Not summed up is a call that the other end declined: to have heard nothing is no fault of it.
        """
        self._call = None
        await call.close()
        if reason is not None:
            await self._send_hangup(call.user, reason)
        if is_summed_up:
            self._say(f"{call.user}: {call.summary}")
        if self._script.is_for_one_call and self._result is None:
            self._result = call.has_heard

    async def _send_hangup(self, user: str, reason: str) -> None:
        try:
            await self._client.hangup(user, reason)
        except ClientError as problem:
            if not isinstance(problem, Refused) or problem.reason not in CALL_IS_OVER:
                self._say(f"{user} could not be told {reason}: {problem}")

    def _finish(self, result: bool, why: str) -> None:
        self._say(why)
        self._result = result


def _sdp(sent: object) -> dict[str, str]:
    """Read a description; other fields in it are the application's.

    Raises:
        PeerFailed: it is not a description.
    """
    match sent:
        case {"type": str(kind), "sdp": str(sdp)}:
            return {"type": kind, "sdp": sdp}
        case _:
            raise PeerFailed("what came is no session description")
