"""Read the mailbox: what was published for users, kept in a JetStream stream for about a minute.

A direct get may be answered by a replica that lags a moment behind. Whoever relies on having read everything
therefore also asks the leader what the last message is, at the same time, and reads again until it was among
those read.
"""

import asyncio
import datetime
import json
from typing import Final, NamedTuple

import msgspec

from tieline.runtime.message import Message
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import envelope
from tieline.wire.ids import SessionId, UserId
from tieline.wire.subjects import Subjects

TIMEOUT_S: Final = 2.0
"""For one read: a leader election takes about one second."""

TRIES: Final = 5
"""Reads until a replica has caught up with its leader, which takes milliseconds, or a leader is elected."""

MAX_MISSED: Final = 256
"""Messages a session may miss and still be resumed (PROTOCOL, "Losing the connection"). The stream keeps one
more, which tells "just as many" from "more"."""

_PAGE: Final = 1000


class Missed(NamedTuple):
    """What the mailbox holds for a session that is resumed, in order."""

    known: list[bytes]
    """What the client has had: only to be remembered, for its senders may yet retry it."""
    fresh: list[bytes]
    """What it has not had."""
    is_whole: bool
    """Nothing in between is lost; else it missed too much to be resumed."""


class _LastMessage(msgspec.Struct, frozen=True):
    class Message(msgspec.Struct, frozen=True):
        seq: int

    class Error(msgspec.Struct, frozen=True):
        code: int = 0

    message: Message | None = None
    error: Error | None = None


class _StreamInfo(msgspec.Struct, frozen=True):
    class State(msgspec.Struct, frozen=True):
        last_seq: int

    state: State | None = None


_last_message = msgspec.json.Decoder(_LastMessage)
_stream_info = msgspec.json.Decoder(_StreamInfo)


class Mailbox:
    """The mailbox of one namespace, for reading. Raises `NoAnswer` when it does not answer."""

    def __init__(self, requests: Requests, subjects: Subjects) -> None:
        self._requests = requests
        self._subjects = subjects
        stream = subjects.mailbox()
        self._get = f"$JS.API.DIRECT.GET.{stream}"
        self._get_from_leader = f"$JS.API.STREAM.MSG.GET.{stream}"
        self._info = f"$JS.API.STREAM.INFO.{stream}"

    async def missed(self, user: UserId, session: SessionId, last: str) -> Missed:
        """Read what a session was sent, split after the last message called `last`.

        Listen to the session's subject, and flush, before: what is published later comes live.
        """
        subject = self._subjects.user(user, session)
        ask = {"seq": 1, "batch": MAX_MISSED + 1, "next_by_subj": subject}
        for _ in range(TRIES):
            replies, newest = await asyncio.gather(self._read(ask), self._newest(subject))
            if newest == 0 or (replies and _sequence(replies[-1]) >= newest):
                return _split([reply.data for reply in replies], last)
        raise NoAnswer(subject)

    async def since(self, seconds_ago: float) -> list[tuple[SessionId, bytes]]:
        """Read everything published for any user in the last so many seconds, by this machine's clock."""
        start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=seconds_ago)
        answer = await self._requests.ask_once(self._info, b"", TIMEOUT_S)
        state = _stream_info.decode(answer.data).state
        if state is None:
            raise NoAnswer(self._info)
        frames: list[tuple[SessionId, bytes]] = []
        where: dict[str, object] = {"start_time": start.isoformat()}
        for _ in range(TRIES + state.last_seq // _PAGE):
            replies = await self._read({"batch": _PAGE, "next_by_subj": self._subjects.users()} | where)
            frames.extend((_session(reply), reply.data) for reply in replies)
            reached = _sequence(replies[-1]) if replies else state.last_seq
            if reached >= state.last_seq or len(replies) < _PAGE:
                return frames
            where = {"seq": reached + 1}
        raise NoAnswer(self._get)

    async def _read(self, ask: dict[str, object]) -> list[Message]:
        replies = await self._requests.gather(self._get, json.dumps(ask).encode(), TIMEOUT_S)
        if replies[-1].status not in ("204", "404"):
            raise NoAnswer(f"{self._get}: {replies[-1].headers!r}")
        return replies[:-1]

    async def _newest(self, subject: str) -> int:
        """The sequence of the last message on a subject, by the leader's word; 0 if there is none."""
        ask = json.dumps({"last_by_subj": subject}).encode()
        answer = await self._requests.ask_once(self._get_from_leader, ask, TIMEOUT_S)
        last = _last_message.decode(answer.data)
        if last.message is not None:
            return last.message.seq
        if last.error is not None and last.error.code == 404:
            return 0
        raise NoAnswer(self._get_from_leader)


def _split(frames: list[bytes], last: str) -> Missed:
    for index in range(len(frames) - 1, -1, -1) if last else ():
        if envelope.request_id_of(frames[index]) == last:
            return Missed(frames[: index + 1], frames[index + 1 :], is_whole=True)
    return Missed([], frames, is_whole=len(frames) <= MAX_MISSED)


def _sequence(reply: Message) -> int:
    return int(reply.header(b"Nats-Sequence"))


def _session(reply: Message) -> SessionId:
    return SessionId(reply.header(b"Nats-Subject").rpartition(".")[2])
