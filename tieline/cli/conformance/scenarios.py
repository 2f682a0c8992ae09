"""What the scripted servers do: a function for each scenario, which says in a sentence what happens.

Those about connections are here, those about rooms and calls in `talking`, which lists all (`SCENARIOS`).
"""

import asyncio
import time
from typing import Final

from tieline.cli.conformance.line import Line
from tieline.cli.conformance.promises import Broken, NotTried
from tieline.cli.conformance.stage import SESSION, STAYS_AWAY_S, Stage, now
from tieline.wire.codes import CloseCode, HandshakeError
from tieline.wire.replies import Reconnect, TokenExpiring, TokenRefreshed

NEXT_SESSION: Final = "session-2"

AFTER_MS: Final = 2_000
"""Longer than it takes a busy machine to show that a client has connected at once."""

JITTER_MS: Final = 500

EARLY_S: Final = 0.05
"""Timers of clients may be that coarse."""

RETRY_AFTER_S: Final = 3

EXPIRES_MS: Final = 4_000
"""What is left of a token that is about to end."""


def needs_resume(line: Line) -> None:
    """Leave a scenario that is about resuming to clients that say they can."""
    if not line.can_resume:
        raise NotTried("the client does not say `resume=` when it connects")


async def greeting(stage: Stage) -> None:
    """It connects, is pinged, and is closed by its application."""
    line = await stage.connected()
    await line.check_pong()
    asked = await stage.driver.begin("close")
    try:
        async with asyncio.timeout(stage.patience_s):
            await line.ended.wait()
    except TimeoutError:
        raise Broken("goodbye", "its application closed it, and the connection stays") from None
    if line.code != CloseCode.NORMAL:
        raise Broken("goodbye", f"its application closed it, and the close code was {line.code}")
    await stage.driver.answer(asked, "close")


async def resume(stage: Stage) -> None:
    """The connection is cut, and what it missed is replayed, some of it once more."""
    line = await stage.connected()
    needs_resume(line)
    await stage.message(line, "one")
    two = await line.event("MESSAGE", {"data": "two"}, request_id="m2")
    await stage.hears("hears", "message", data="two")
    place = stage.place
    line.cut()
    again = await stage.returns("the connection was cut", "reconnects")
    _check_resumes(again, SESSION, "m2", place)
    await again.welcome(session=SESSION, resumed=True)
    await again.mail(two)
    await again.event("MESSAGE", {"data": "like two"}, request_id="m2")
    await stage.message(again, "three")
    await stage.hears("hears", "message", data="three")
    heard = [said["data"] for said in stage.driver.hears("message")]
    if heard.count("two") > 1:
        raise Broken("once", "a message that came again was told to the application again")
    if "like two" not in heard:
        raise Broken("by-bytes", "a message with the requestId of another one, and other data, was dropped")
    if heard != ["one", "two", "like two", "three"]:
        raise Broken("hears", f"its application heard {heard}")


async def older(stage: Stage) -> None:
    """The server is of version 0.1: it names neither places nor calls. The connection is cut."""
    line = await stage.connected(is_older=True)
    needs_resume(line)
    if not line.has("place"):
        raise NotTried("the client does not say `place=1`: it names what it had last in any case")
    await line.event("MESSAGE", {"data": "one"}, request_id="m1")
    await stage.hears("hears", "message", data="one")
    line.cut()
    again = await stage.returns("the connection was cut")
    _check_resumes(again, SESSION, "m1", "", "older-server")
    await again.welcome(session=SESSION, resumed=True)


def _check_token(line: Line, token: str) -> None:
    named = line.options.get("resume")
    if named == SESSION != token:
        raise Broken(
            "newest-session",
            f"it came back with the resumeToken {named!r}, which was that of an older session",
        )
    if named != token:
        raise Broken("resumes", f"it came back with resume={named!r}, not with its resumeToken")


def _check_resumes(line: Line, token: str, last: str, place: str, promise: str = "names-last") -> None:
    """`place` is "" where the server has named none."""
    if line.options.get("resume") != token:
        raise Broken(
            "resumes", f"it came back with resume={line.options.get('resume')!r}, not its resumeToken"
        )
    option, due = ("lastPlace", place) if place and line.has("place") else ("last", last)
    named = line.options.get(option)
    if named != due:
        raise Broken(promise, f"it came back with {option}={named!r}; what it had last is {due!r}")


async def reset(stage: Stage) -> None:
    """The session is gone when it comes back; the new one is lost, too, and resumed."""
    line = await stage.connected()
    needs_resume(line)
    await _join(stage, line, "hall")
    line.cut()
    again = await stage.returns("the connection was cut")
    await again.welcome(session=NEXT_SESSION)
    frame = await again.next(stage.patience_s, "JOIN", unless=lambda: bool(stage.driver.hears("reset")))
    if frame is not None:
        await again.reply(frame, {"room": "hall", "members": [], "number": 1})
    elif not stage.driver.hears("reset"):
        raise Broken(
            "reset-told", "a new session began; it joined no room, and its application heard nothing"
        )
    again.cut()
    third = await stage.returns("the new connection was cut")
    _check_token(third, NEXT_SESSION)


async def _join(stage: Stage, line: Line, room: str) -> None:
    asked, frame = await stage.asks(line, "JOIN", "answers-by-id", "join", room=room)
    member = {"userId": "me", "status": "online", "voice": True, "joinedAt": 1}
    await line.reply(frame, {"room": room, "members": [member], "number": 1})
    await stage.driver.answer(asked, "join")


async def unanswered(stage: Stage) -> None:
    """The connection is lost before two messages are answered."""
    line = await stage.connected()
    needs_resume(line)
    asked = [await stage.driver.begin("join", room=room) for room in ("hall", "yard")]
    frames = [await line.next(stage.patience_s, "JOIN") for _ in asked]
    sent = [frame.raw for frame in frames if frame is not None]
    if len(sent) < len(asked):
        raise NotTried("the client sends nothing while an answer is due")
    line.cut()
    again = await stage.returns("the connection was cut")
    await again.welcome(session=SESSION, resumed=True)

    def is_left_to_the_application() -> bool:
        return all(stage.driver.has_answered(each) for each in asked)

    resent = [await again.next(stage.patience_s, "JOIN", unless=is_left_to_the_application) for _ in asked]
    found = [frame.raw for frame in resent if frame is not None]
    if not found and is_left_to_the_application():
        raise NotTried("the client leaves it to the application to send again what had no answer")
    if not set(found) <= set(sent):
        raise Broken(
            "same-bytes", "two messages had no answer, and came over the new connection as other ones"
        )
    if len(found) < len(sent):
        seen = f"two messages had no answer, {len(found)} of them came over the new connection"
        raise Broken("unanswered-first", f"{seen}, and its application heard of no failure")
    if found != sent:
        raise Broken("unanswered-first", "what had no answer came in another order over the new connection")


async def drain(stage: Stage) -> None:
    """The server goes away, and says so before."""
    line = await stage.connected()
    needs_resume(line)
    asked_at = now()
    await line.event("RECONNECT", Reconnect(after_ms=AFTER_MS, jitter_ms=JITTER_MS))
    again = await stage.returns("the server said RECONNECT", "drain")
    waited_s = stage.attempts[-1] - asked_at
    if waited_s < AFTER_MS / 1000 - EARLY_S:
        raise Broken("drain", f"it connected anew after {waited_s * 1000:.0f} ms; `afterMs` was {AFTER_MS}")
    if line.ended.is_set() and line.code == CloseCode.NORMAL:
        raise Broken("keeps-session", "at RECONNECT it closed with 1000, which ends the session")
    if again.options.get("resume") != SESSION:
        raise Broken("resumes", "at RECONNECT it connected anew without its resumeToken")
    await again.welcome(session=SESSION, resumed=True)
    await stage.message(again, "here")
    await stage.hears("hears", "message", data="here")
    try:
        async with asyncio.timeout(stage.patience_s):
            await line.ended.wait()
    except TimeoutError:
        await line.close(CloseCode.REPLACED)
    if line.code == CloseCode.NORMAL:
        raise Broken("keeps-session", "it left the old connection with 1000, which ends the session")


async def restart(stage: Stage) -> None:
    """It is closed with codes after which a client connects again."""
    line = await stage.connected()
    needs_resume(line)
    for code in (CloseCode.SERVICE_RESTART, CloseCode.SLOW_CONSUMER):
        await line.close(code)
        line = await stage.returns(f"it was closed with {code.value}")
        await line.welcome(session=SESSION, resumed=True)
    await stage.message(line, "here")
    await stage.hears("hears", "message", data="here")


async def replaced(stage: Stage) -> None:
    """Another connection of the same user replaces it."""
    await _closed_for_good(stage, CloseCode.REPLACED)


async def kicked(stage: Stage) -> None:
    """A backend disconnects it."""
    await _closed_for_good(stage, CloseCode.KICKED)


async def _closed_for_good(stage: Stage, code: CloseCode) -> None:
    line = await stage.connected()
    await line.close(code)
    await _stays_away(stage, f"it was closed with {code.value}")


async def _stays_away(stage: Stage, because: str) -> None:
    if await stage.arrives(STAYS_AWAY_S) is not None:
        raise Broken("stays-away", f"{because}, and connected again")
    await stage.hears("end-told", "closed")


async def woken(stage: Stage) -> None:
    """It comes back, and another device has the session's place: 4500 instead of a WELCOME."""
    line = await stage.connected()
    needs_resume(line)
    line.cut()
    again = await stage.returns("the connection was cut")
    await again.close(CloseCode.REPLACED)
    await _stays_away(stage, "it was closed with 4500 when it came back")


async def refused(stage: Stage) -> None:
    """It comes back, and is told to come later."""
    line = await stage.connected()
    needs_resume(line)
    stage.refuse_next(HandshakeError.FULL, RETRY_AFTER_S)
    line.cut()
    again = await stage.returns("it was refused with 503")
    if "retry-after" not in stage.driver.cannot:
        waited_s = stage.attempts[2] - stage.attempts[1]
        if waited_s < RETRY_AFTER_S - EARLY_S:
            raise Broken(
                "retry-after", f"it tried again after {waited_s:.1f} s; Retry-After was {RETRY_AFTER_S}"
            )
    await again.welcome(session=SESSION, resumed=True)


async def expiring(stage: Stage) -> None:
    """Its token is about to end, and its application has a newer one."""
    line = await stage.connected()
    newer = stage.new_token()
    await stage.driver.tell("token", token=newer)
    await line.event("TOKEN_EXPIRING", TokenExpiring(expires_at=wall_ms() + EXPIRES_MS))
    frame = await line.next(stage.patience_s, "REFRESH_TOKEN")
    if frame is None:
        raise Broken("refreshes", "no REFRESH_TOKEN came")
    if f'"{newer}"'.encode() not in frame.raw:
        raise Broken("refreshes", "REFRESH_TOKEN has another token than the application's newest")
    await line.reply(frame, TokenRefreshed(expires_at=wall_ms() + 3_600_000))


async def expired(stage: Stage) -> None:
    """Its token has ended, and its application has a newer one."""
    line = await stage.connected()
    needs_resume(line)
    newer = stage.new_token()
    await stage.driver.tell("token", token=newer)
    await line.close(CloseCode.TOKEN_EXPIRED)
    again = await stage.arrives()
    if again is not None and again.token != newer:
        raise Broken("newer-token", "it was closed with 4501, and came back with the token that has ended")
    if again is None:
        await stage.hears("end-told", "closed")


def wall_ms() -> int:
    """The clock on the wall, in Unix milliseconds."""
    return time.time_ns() // 1_000_000
