"""The scenarios about rooms and calls, and the list of all scenarios."""

import json
from collections.abc import Mapping
from typing import Final

from tieline.cli.conformance import scenarios
from tieline.cli.conformance.line import USER, Frame, Line
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
"""For a client that gives way at glare to answer."""


async def _asked(stage: Stage, line: Line, cmd: str, why: str) -> Frame:
    frame = await line.next(stage.patience_s, cmd)
    if frame is None:
        raise Broken("calls", f"{why}, and no {cmd} came")
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
        frame = await line.next(2 if frames else stage.patience_s, "JOIN")
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
    asked = await stage.driver.begin("join", room="hall")
    frame = await _asked(stage, line, "JOIN", "its application joined a room")
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
    asked = await stage.driver.begin("join", room="secret")
    frame = await _asked(stage, line, "JOIN", "its application joined a room")
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
    """Bob calls, is answered, and is hung up on."""
    line = await stage.connected()
    await line.say("WEBRTC_OFFER", "bob", OFFER, FIRST)
    await stage.hears("calls", "offer", **{"from": "bob"})
    await stage.driver.begin("answer", to="bob")
    answer = await _asked(stage, line, "WEBRTC_ANSWER", "its application answered bob")
    _check_named(line, answer, FIRST)
    await line.acknowledge(answer, FIRST)
    await stage.driver.begin("hangup", to="bob")
    hangup = await _asked(stage, line, "WEBRTC_HANGUP", "its application hung up on bob")
    _check_named(line, hangup, FIRST)
    await line.acknowledge(hangup, FIRST)


def _check_named(line: Line, frame: Frame, call: str) -> None:
    """A client that says calls=1 may leave the name out; it may not name another call."""
    named = json.loads(frame.raw)["data"].get("call")
    if line.has("calls") and named not in (None, call):
        raise Broken("names-call", f"its {frame.cmd} names the call {named!r}, and is about {call!r}")


async def glare(stage: Stage) -> None:
    """It calls bob, who calls at the same moment."""
    line = await stage.connected()
    await stage.driver.begin("call", to="bob")
    offer = await _asked(stage, line, "WEBRTC_OFFER", "its application called bob")
    await line.acknowledge(offer, FIRST)
    await line.say("WEBRTC_OFFER", "bob", OFFER, FIRST)
    said = await line.next(POLITE_S, "WEBRTC_ANSWER", "WEBRTC_HANGUP")
    if said is None:
        await line.say("WEBRTC_ANSWER", "bob", ANSWER, FIRST)
        await stage.hears("glare", "answer", **{"from": "bob"})
        said = await line.next(POLITE_S / 2, "WEBRTC_HANGUP")
    if said is not None and said.cmd == "WEBRTC_HANGUP":
        raise Broken("glare", "its offer and bob's crossed, and it hung up")
    if said is not None:
        await line.acknowledge(said, FIRST)


async def late_hangup(stage: Stage) -> None:
    """Bob's first call ends; his second one is on when the end of the first is told once more, late."""
    line = await stage.connected()
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
    await stage.driver.begin("answer", to="bob")
    answer = await _asked(stage, line, "WEBRTC_ANSWER", "its application answered bob")
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
    line = await stage.connected()
    if not line.has("acks"):
        raise NotTried("the client does not say `acks=1`: it does not hear what becomes of its messages")
    await stage.driver.begin("call", to="bob")
    first = await line.next(stage.patience_s, "WEBRTC_OFFER")
    if first is None:
        raise Broken("calls", "its application called bob, and no WEBRTC_OFFER came")
    await line.refuse(first, ErrorCode.INTERNAL)
    again = await line.next(3, "WEBRTC_OFFER")
    if again is None:
        raise NotTried("the client leaves it to the application to send again what failed")
    if again.raw != first.raw:
        raise Broken("same-bytes", "an offer was answered with INTERNAL, and came again as another message")
    await line.acknowledge(again)


SCENARIOS: Final[Mapping[str, Scenario]] = {
    "greeting": scenarios.greeting,
    "rooms": rooms,
    "pages": pages,
    "unknown": unknown,
    "refusals": refusals,
    "incoming": incoming,
    "glare": glare,
    "late-hangup": late_hangup,
    "internal": internal,
    "unanswered": scenarios.unanswered,
    "resume": scenarios.resume,
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
