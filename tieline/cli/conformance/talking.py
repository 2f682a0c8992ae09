"""The scenarios about rooms and calls, and the list of all scenarios."""

import json
from collections.abc import Mapping
from typing import Final

from tieline.cli.conformance import scenarios
from tieline.cli.conformance.line import OFFER_TIMEOUT_S, USER, Frame, Line
from tieline.cli.conformance.promises import Broken, NotTried
from tieline.cli.conformance.stage import Scenario, Stage
from tieline.wire import envelope, replies
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import RoomId, UserId
from tieline.wire.replies import Member, Roster

FIRST: Final = "00000000000000a1"
SECOND: Final = "00000000000000a2"
"""Ids of calls, as a server gives them."""

OFFER: Final = {"type": "offer", "sdp": "v=0\r\n"}
ANSWER: Final = {"type": "answer", "sdp": "v=0\r\n"}

POLITE_S: Final = 1.0
"""For a client that gives way at glare to answer before bob does. One that is slower only answers as well."""

RINGS_S: Final = 11
"""docs/protocol.md#calls-have-names: 10 s longer than `offerTimeout`, which is 1 s in that scenario."""


async def connected_for_calls(stage: Stage, *, offer_timeout_s: int = OFFER_TIMEOUT_S) -> Line:
    """Have the client connect; leave a scenario that is about calls to clients that have any."""
    line = await stage.connected(offer_timeout_s=offer_timeout_s)
    if "calls" in stage.driver.cannot:
        raise NotTried("its driver says that the client has no calls")
    return line


async def _asked(stage: Stage, line: Line, cmd: str, do: str) -> Frame:
    _, frame = await stage.asks(line, cmd, "calls", do, to="bob")
    return frame


def _roster(room: str, *users: str, number: int = 1, count: int | None = None, following: str = "") -> Roster:
    members = tuple(Member(user_id=UserId(user), status="online", voice=True, joined_at=1) for user in users)
    return Roster(room=RoomId(room), members=members, number=number, count=count, next=following)


async def rooms(stage: Stage) -> None:
    """It joins two rooms, which are answered the other way round."""
    line = await stage.connected()
    asked = {room: await stage.driver.begin("join", room=room) for room in ("hall", "yard")}
    frames: dict[str, Frame] = {}
    for _ in asked:
        frame = await line.next(stage.patience_s, "JOIN")
        if frame is None:
            break
        assert isinstance(frame.message, envelope.Join)
        frames[frame.message.data.room] = frame
    if len(frames) < len(asked):
        raise NotTried("the client sends nothing while an answer is due")
    for room in ("yard", "hall"):
        await line.event(
            "MEMBER_JOINED", {"room": room, "userId": "carol", "number": 1, "sinceVersion9": True}
        )
        await line.reply(frames[room], _roster(room, USER, f"{room}-keeper", number=2))
    for room, number in asked.items():
        answer = await stage.driver.answer(number, "join")
        members = answer.get("members", [])
        if f"{room}-keeper" not in members:
            raise Broken("answers-by-id", f"for the room {room} its driver says {answer}")


async def pages(stage: Stage) -> None:
    """It joins a large room, of which the server tells in pages."""
    line = await stage.connected()
    if not line.has("roster"):
        raise NotTried("the client does not say `roster=1`")
    asked, frame = await stage.asks(line, "JOIN", "answers-by-id", "join", room="hall")
    await line.reply(frame, _roster("hall", USER, "ann", count=4, following="ann"))
    after = "ann"
    for user, following in (("ben", "ben"), ("cat", "")):
        page = await line.next(stage.patience_s, "MEMBERS")
        if page is None or json.loads(page.raw)["data"].get("after") != after:
            raise Broken("pages", f"it did not ask for the page after {after!r}")
        await line.reply(page, _roster("hall", user, count=4, following=following))
        after = following
    members = (await stage.driver.answer(asked, "join")).get("members")
    if sorted(members or []) != sorted([USER, "ann", "ben", "cat"]):
        raise Broken("pages", f"its application was told that the members are {members}")


async def unknown(stage: Stage) -> None:
    """The server says things that were invented after the client."""
    line = await stage.connected()
    await line.event("MOOD_CHANGED", {"mood": "good"})
    await line.event("WEBRTC_TELEPATHY", {"from": "bob", "to": USER, "data": None})
    await line.send(
        b'{"requestId":"x","module":"HOUSE","cmd":"MOVE","code":200,"msg":"success","data":[1],"new":{}}'
    )
    error = {"requestId": "none", "module": "ROOM", "cmd": "DANCE", "code": 1000, "msg": "?", "data": None}
    await line.send(json.dumps({**error, "reason": "NO_MUSIC", "until": 7}).encode())
    await line.event("MESSAGE", {"data": "known", "urgency": "low"})
    await stage.hears("unknown", "message", data="known")
    if line.ended.is_set():
        raise Broken("unknown", "it closed the connection")


async def refusals(stage: Stage) -> None:
    """A room is refused to it."""
    line = await stage.connected()
    asked, frame = await stage.asks(line, "JOIN", "answers-by-id", "join", room="secret")
    await line.refuse(frame, ErrorCode.ROOM_FORBIDDEN)
    if not await stage.driver.until(lambda: stage.driver.has_answered(asked)):
        raise Broken("refusal-told", "a JOIN was refused, and its application was told nothing")
    answer = await stage.driver.answer(asked, "join")
    if answer.get("failed") != "ROOM_FORBIDDEN":
        raise Broken("refusal-told", f"a JOIN was refused with ROOM_FORBIDDEN; its driver says {answer}")
    await stage.message(line, "still here")
    if not await stage.driver.until(lambda: bool(stage.driver.hears("message"))):
        raise Broken("refusal-stays", "after a refusal it heard nothing over the same connection any more")


async def incoming(stage: Stage) -> None:
    """Bob calls, says that he is muted, is answered, and is hung up on."""
    line = await connected_for_calls(stage)
    await line.say("WEBRTC_OFFER", "bob", OFFER, FIRST)
    await stage.hears("calls", "offer", **{"from": "bob"})
    await _check_ringing(stage, line, FIRST)
    if line.names_calls:  # to others no word of a call is sent
        await line.say("WEBRTC_INFO", "bob", {"muted": True, "sinceVersion9": {}}, FIRST)
    answer = await _asked(stage, line, "WEBRTC_ANSWER", "answer")
    _check_named(line, answer, FIRST)
    await line.acknowledge(answer, FIRST)
    hangup = await _asked(stage, line, "WEBRTC_HANGUP", "hangup")
    _check_named(line, hangup, FIRST)
    await line.acknowledge(hangup, FIRST)


async def _check_ringing(stage: Stage, line: Line, call: str) -> None:
    """Wait for the word of a client with calls=1 that an offer of this call rings there."""
    if not line.names_calls:
        return
    word = await line.next(stage.patience_s, "WEBRTC_INFO")
    if word is None:
        raise Broken("says-ringing", "bob called, and no WEBRTC_INFO came")
    _check_named(line, word, call)
    said = json.loads(word.raw)["data"]["data"]
    if not isinstance(said, dict) or said.get("ringing") is not True:
        raise Broken("says-ringing", f"bob called, and its WEBRTC_INFO says {said}")


def _check_named(line: Line, frame: Frame, call: str) -> None:
    """A client that says calls=1 may leave the name out; it may not name another call."""
    named = json.loads(frame.raw)["data"].get("call")
    if line.names_calls and named not in (None, call):
        raise Broken("names-call", f"its {frame.cmd} names the call {named!r}, and is about {call!r}")


async def glare(stage: Stage) -> None:
    """It calls bob, who calls at the same moment."""
    line = await connected_for_calls(stage)
    offer = await _asked(stage, line, "WEBRTC_OFFER", "call")
    await line.acknowledge(offer, FIRST)
    await line.say("WEBRTC_OFFER", "bob", OFFER, FIRST)
    said = await line.next(POLITE_S, "WEBRTC_ANSWER", "WEBRTC_HANGUP")
    if said is None:  # it waits for bob to give way; or it gives way, and is slow

        def has_heard() -> bool:
            return bool(stage.driver.hears("answer", **{"from": "bob"}))

        await line.say("WEBRTC_ANSWER", "bob", ANSWER, FIRST)
        said = await line.next(stage.patience_s, "WEBRTC_ANSWER", "WEBRTC_HANGUP", unless=has_heard)
        if said is None and not has_heard():
            raise Broken(
                "glare", "its offer and bob's crossed, bob answered, and its application did not hear of it"
            )
        said = said or await line.next(POLITE_S / 2, "WEBRTC_HANGUP")
    if said is not None and said.cmd == "WEBRTC_HANGUP":
        raise Broken("glare", "its offer and bob's crossed, and it hung up")
    if said is not None:
        await line.acknowledge(said, FIRST)


async def late_hangup(stage: Stage) -> None:
    """Bob's first call ends; his second one is on when the end of the first is told once more, late."""
    line = await connected_for_calls(stage)
    if not line.has("calls"):
        raise NotTried("the client does not say `calls=1`: its calls have no names")
    await line.say("WEBRTC_OFFER", "bob", OFFER, FIRST)
    await stage.hears("calls", "offer", **{"from": "bob"})
    end = replies.HangupBody(
        sender=UserId("bob"), to=UserId(USER), data=replies.ServerHangup(reason="disconnected")
    )
    await line.event("WEBRTC_HANGUP", {**_plain(end), "call": FIRST})
    await stage.hears("calls", "hangup", **{"from": "bob"})
    await line.say("WEBRTC_OFFER", "bob", OFFER, SECOND)
    if not await stage.driver.until(lambda: len(stage.driver.hears("offer")) > 1):
        raise Broken("calls", "bob called a second time, and its application heard nothing of it")
    answer = await _asked(stage, line, "WEBRTC_ANSWER", "answer")
    _check_named(line, answer, SECOND)
    await line.acknowledge(answer, SECOND)
    await line.say("WEBRTC_HANGUP", "bob", {"reason": "hangup"}, FIRST)
    await stage.message(line, "behind it")
    await stage.hears("hears", "message", data="behind it")
    ends = stage.driver.hears("hangup")[1:]
    if any(said.get("call") != FIRST for said in ends):
        raise Broken("late-hangup", "the hangup of bob's first call ended the second one")
    await stage.driver.begin("hangup", to="bob")
    hangup = await line.next(stage.patience_s, "WEBRTC_HANGUP")
    if hangup is None:
        raise Broken(
            "late-hangup", "after the hangup of bob's first call the second one could not be hung up"
        )
    _check_named(line, hangup, SECOND)


def _plain(body: replies.HangupBody) -> dict[str, object]:
    return {"from": body.sender, "to": body.to, "data": {"reason": body.data.reason, "server": True}}


async def internal(stage: Stage) -> None:
    """A server could not carry out an offer, or does not know whether it has."""
    line = await connected_for_calls(stage)
    if not line.has("acks"):
        raise NotTried("the client does not say `acks=1`: it does not hear what becomes of its messages")
    asked, first = await stage.asks(line, "WEBRTC_OFFER", "calls", "call", to="bob")
    await line.refuse(first, ErrorCode.INTERNAL)
    again = await line.next(
        stage.patience_s, "WEBRTC_OFFER", unless=lambda: stage.driver.refusal(asked) is not None
    )
    if again is None:
        raise NotTried("the client leaves it to the application to send again what failed")
    if again.raw != first.raw:
        raise Broken("same-bytes", "an offer was answered with INTERNAL, and came again as another message")
    await line.acknowledge(again)


async def moved(stage: Stage) -> None:
    """A backend makes it a member of a room that it has not joined, and puts it out again."""
    line = await stage.connected()
    if line.has("roster"):
        await line.event("ROOM_CHANGED", _roster("attic", USER, "ann", number=7, count=2))
        left = replies.Left(user_id=UserId(USER), reason="kicked")
        change = replies.RoomChanged(room=RoomId("attic"), number=8, joined=[], left=[left], updated=[])
        await line.event("ROOM_CHANGED", change)
    else:
        came = replies.MemberJoined(room=RoomId("attic"), user_id=UserId(USER), number=7)
        went = replies.MemberLeft(room=RoomId("attic"), user_id=UserId(USER), reason="kicked", number=8)
        await line.event("MEMBER_JOINED", came)
        await line.event("MEMBER_LEFT", went)
    await stage.message(line, "behind it")
    if not await stage.driver.until(lambda: bool(stage.driver.hears("message", data="behind it"))):
        raise Broken("moved", "after that its application heard nothing any more")


async def unended(stage: Stage) -> None:
    """Bob calls and goes, and the server's word that the call is over is lost."""
    line = await connected_for_calls(stage, offer_timeout_s=1)
    if not line.has("calls"):
        raise NotTried("the client does not say `calls=1`: it is not told how long an offer waits")
    await line.say("WEBRTC_OFFER", "bob", OFFER, FIRST)
    await stage.hears("calls", "offer", **{"from": "bob"})

    def has_heard() -> bool:
        return bool(stage.driver.hears("hangup", **{"from": "bob"}))

    said = await line.next(RINGS_S + stage.patience_s, "WEBRTC_HANGUP", unless=has_heard)
    if said is None and not has_heard():
        raise Broken("ring-ends", f"it rang still, {stage.patience_s:g} s after that time")


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "greeting": scenarios.greeting,
    "rooms": rooms,
    "pages": pages,
    "unknown": unknown,
    "moved": moved,
    "refusals": refusals,
    "incoming": incoming,
    "glare": glare,
    "late-hangup": late_hangup,
    "unended": unended,
    "internal": internal,
    "unanswered": scenarios.unanswered,
    "resume": scenarios.resume,
    "older": scenarios.older,
    "reset": scenarios.reset,
    "drain": scenarios.drain,
    "restart": scenarios.restart,
    "replaced": scenarios.replaced,
    "kicked": scenarios.kicked,
    "woken": scenarios.woken,
    "refused": scenarios.refused,
    "expiring": scenarios.expiring,
    "expired": scenarios.expired,
}
"""All of them, the simple ones first."""
