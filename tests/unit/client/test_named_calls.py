"""The names of calls: what a client's messages name, what it believes, and a ringing that has no end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager

import pytest

from tests.support.waiting import within
from tests.unit.client.lists import member
from tests.unit.client.minimal_gateway import Frame, MinimalGateway, event, reply, serving
from tieline.client import (
    Answer,
    Candidate,
    Client,
    Closed,
    ErrorEvent,
    Hangup,
    Info,
    MemberLeft,
    Offer,
    Refused,
    Stats,
    Welcome,
    connect,
)
from tieline.client.calls import RING_MARGIN_S
from tieline.client.dispatcher import Dispatcher
from tieline.client.pending import PendingRequests
from tieline.wire.ids import CallId, SessionId, UserId

BOB = UserId("bob")
NO_MATCH = "没有对应的连接请求"

ENDS_AT_ONCE = -RING_MARGIN_S
"""How long an offer waits where a call rings for no time at all."""


class NamingGateway(MinimalGateway):
    """Ann's gateway: a test answers what she says, and says what Bob does, of whatever call it wants."""

    def __init__(self, offer_timeout_s: float | None = 60) -> None:
        super().__init__()
        self.ignored = {f"WEBRTC_{cmd}" for cmd in ("OFFER", "ANSWER", "ICE_CANDIDATE", "HANGUP")}
        if offer_timeout_s is not None:
            self.welcoming = {"offerTimeout": offer_timeout_s}

    async def heard(self) -> Frame:
        """Wait for her next message."""
        return await within(self.unanswered.get())

    async def acknowledge(self, saying: Awaitable[object], call: str = "", kept_for: float = 0) -> str | None:
        """Acknowledge what she says; returns which call she says it is about."""
        told = {"ack": "held", "keptFor": kept_for} if kept_for else {"ack": "relayed"}
        async with asyncio.TaskGroup() as tasks:
            said = tasks.create_task(_await(saying))
            frame = await self.heard()
            await self.send("ann", reply(frame, None, **told, **({"call": call} if call else {})))
            await within(said)
        named: str | None = frame["data"].get("call")
        return named

    async def says(self, cmd: str, call: str = "", **data: object) -> None:
        """Let Bob say something that Ann is told is of this call."""
        body = {"from": "bob", "to": "ann", "data": data, **({"call": call} if call else {})}
        await self.send("ann", event(f"WEBRTC_{cmd}", body, f"{cmd} {call}"))


async def _await(saying: Awaitable[object]) -> object:
    return await saying


@asynccontextmanager
async def ann_at(gateway: NamingGateway, *, acks: bool = True) -> AsyncIterator[Client]:
    async with serving(gateway.handle) as url, connect(url, "ann", acks=acks) as ann:
        yield ann


async def read(ann: Client) -> object:
    return await within(anext(ann.events()))


async def test_an_answer_is_about_the_offer_that_was_read() -> None:
    gateway = NamingGateway()
    async with ann_at(gateway) as ann:
        await gateway.says("OFFER", "call-1", sdp="1")
        assert await read(ann) == Offer(BOB, {"sdp": "1"}, "OFFER call-1", CallId("call-1"))
        await gateway.says("HANGUP", "call-1", reason="cancel")
        await gateway.says("OFFER", "call-2", sdp="2")
        await ann.ping()  # both have come by now

        assert await gateway.acknowledge(ann.answer("bob", {}), "call-1") == "call-1"
        assert isinstance(await read(ann), Hangup)
        assert isinstance(await read(ann), Offer)
        assert ann.call_with("bob") == "call-2"
        assert await gateway.acknowledge(ann.answer("bob", {}), "call-2") == "call-2"
        assert await gateway.acknowledge(ann.candidate("bob", 1), "call-2") == "call-2"
        assert await gateway.acknowledge(ann.hangup("bob"), "call-2") == "call-2"


async def test_an_answer_is_about_that_offer_though_one_offers_since() -> None:
    gateway = NamingGateway()
    async with ann_at(gateway) as ann:
        await gateway.says("OFFER", "call-1")
        assert isinstance(await read(ann), Offer)
        assert await gateway.acknowledge(ann.call("bob", {}), "call-2") is None
        assert ann.call_with("bob") == "call-2"
        assert await gateway.acknowledge(ann.answer("bob", {}), "call-1") == "call-1"


async def test_ones_own_offer_names_no_call_and_what_follows_does() -> None:
    gateway = NamingGateway()
    async with ann_at(gateway) as ann:
        assert await gateway.acknowledge(ann.call("bob", {}), "call-1") is None
        assert await gateway.acknowledge(ann.candidate("bob", 1)) == "call-1"
        assert await gateway.acknowledge(ann.call("bob", {}, of_call="call-1"), "call-1") == "call-1"
        assert await gateway.acknowledge(ann.hangup("bob"), "call-1") == "call-1"
        assert await gateway.acknowledge(ann.call("bob", {}), "call-2") is None
        assert await gateway.acknowledge(ann.hangup("bob", of_call="call-1")) == "call-1"
        assert await gateway.acknowledge(ann.hangup("bob", of_call="")) is None


async def test_who_is_being_woken_rings_for_so_much_longer() -> None:
    gateway = NamingGateway(ENDS_AT_ONCE)
    async with ann_at(gateway) as ann:
        await gateway.acknowledge(ann.call("bob", {}), "call-1", kept_for=60)
        await gateway.says("ANSWER", "call-1", sdp="2")
        assert isinstance(await read(ann), Answer)


async def test_without_acks_ones_own_call_has_no_name_before_it_is_heard_of() -> None:
    gateway = NamingGateway()
    async with ann_at(gateway, acks=False) as ann:
        await gateway.says("OFFER", "call-1")
        assert isinstance(await read(ann), Offer)
        await ann.call("bob", {})
        await ann.candidate("bob", 1)
        await gateway.says("ANSWER", "call-2")
        assert isinstance(await read(ann), Answer)
        await ann.candidate("bob", 2)
        assert [(await gateway.heard())["data"].get("call") for _ in range(3)] == [None, None, "call-2"]


async def test_a_refusal_says_what_became_of_the_call() -> None:
    gateway = NamingGateway()
    async with ann_at(gateway) as ann:
        refusal = {"code": 1000, "msg": NO_MATCH, "reason": "NO_MATCHING_OFFER"}
        async with asyncio.TaskGroup() as tasks:
            answering = tasks.create_task(_await(_refused(ann.answer("bob", {}, of_call="call-1"))))
            late = {**refusal, "fate": "replaced", "call": "call-2"}
            await gateway.send("ann", reply(await gateway.heard(), None, **late))
            refused = await within(answering)
        assert isinstance(refused, Refused)
        assert (refused.reason, refused.fate, refused.call) == ("NO_MATCHING_OFFER", "replaced", "call-2")
        assert "replaced" in str(refused)
        await gateway.send(
            "ann", reply({"requestId": "?", "cmd": "WEBRTC_HANGUP"}, None, **refusal, fate="ended")
        )
        assert await read(ann) == ErrorEvent(
            1000, NO_MATCH, "NO_MATCHING_OFFER", "WEBRTC_HANGUP", "?", fate="ended"
        )


async def _refused(saying: Awaitable[object]) -> Refused:
    with pytest.raises(Refused) as refused:
        await saying
    return refused.value


async def test_a_server_of_version_one_knows_no_names() -> None:
    gateway = NamingGateway(offer_timeout_s=None)
    async with ann_at(gateway) as ann:
        await gateway.says("OFFER", "of bob's own", sdp="1")
        assert await read(ann) == Offer(BOB, {"sdp": "1"}, "OFFER of bob's own")
        assert await gateway.acknowledge(ann.answer("bob", {}), "another") is None
        assert await gateway.acknowledge(ann.hangup("bob", of_call="another")) is None
        assert ann.call_with("bob") == ""


@pytest.mark.parametrize("is_incoming", [True, False])
async def test_a_ringing_whose_end_does_not_come_ends_by_itself(is_incoming: bool) -> None:
    gateway = NamingGateway(ENDS_AT_ONCE)
    async with ann_at(gateway) as ann:
        if is_incoming:
            await gateway.says("OFFER", "call-1")
            assert isinstance(await read(ann), Offer)
        else:
            await gateway.acknowledge(ann.call("bob", {}), "call-1")
        assert await read(ann) == Hangup(BOB, "timeout", server=False, call=CallId("call-1"))
        said = await gateway.heard()
        assert said["cmd"] == "WEBRTC_HANGUP"
        assert said["data"] == {
            "from": "ann",
            "to": "bob",
            "data": {"reason": "timeout"},
            "call": "call-1",
        }
        over = {"code": 1000, "msg": NO_MATCH, "reason": "NO_MATCHING_OFFER", "fate": "ended"}
        await gateway.send("ann", reply(said, None, **over))
        await gateway.says("OFFER", "call-2")
        assert isinstance(await read(ann), Offer)  # the refusal is nobody's


class StoppedClock(asyncio.SelectorEventLoop):
    """A loop whose clock stands still until a test lets time pass."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__()

    def time(self) -> float:
        """See `asyncio.AbstractEventLoop.time`."""
        return self._now_s

    async def advance(self, seconds: float) -> None:
        """Let time pass, and what is due be called."""
        self._now_s += seconds
        for _ in range(2):  # timers come behind what was to be called soon
            await asyncio.sleep(0)


def run_without_time(test: Callable[[StoppedClock], Coroutine[object, object, None]]) -> None:
    """Run a coroutine on a loop whose clock it has in its hands."""
    clock = StoppedClock()
    with asyncio.Runner(loop_factory=lambda: clock) as runner:
        runner.run(test(clock))


class Line:
    """What comes for Ann; a call rings for a second of a clock that stands still."""

    def __init__(self) -> None:
        welcome = Welcome(UserId("ann"), SessionId("s"), "", False, (), 30, 25, 65_536, ENDS_AT_ONCE + 1)
        stats = Stats()
        self.dispatcher = Dispatcher(welcome, PendingRequests(10, stats), stats, resume=True, rejoin=True)

    def hear(self, cmd: str, call: str) -> None:
        """Let Bob say something of a call."""
        body = {"from": "bob", "to": "ann", "data": {"reason": "hangup"}, "call": call}
        self.dispatcher.dispatch(event(f"WEBRTC_{cmd}", body, f"{cmd} {call}").encode())

    async def events(self, count: int) -> list[tuple[str, object]]:
        """Read so many events: what each is, and of which call."""
        read = [await within(anext(self.dispatcher.inbox)) for _ in range(count)]
        return [(type(each).__name__, getattr(each, "call", None)) for each in read]


@pytest.mark.parametrize(
    ("end", "told"),
    [
        (lambda line: line.dispatcher.acknowledged("bob", "WEBRTC_ANSWER", CallId("call-1")), []),
        (lambda line: line.hear("HANGUP", "call-1"), [("Hangup", "call-1")]),
        (lambda _: None, [("Hangup", "call-1")]),
    ],
    ids=["answered", "hung up", "left alone"],
)
def test_what_was_answered_or_hung_up_does_not_ring_out(
    end: Callable[[Line], object], told: list[tuple[str, object]]
) -> None:
    async def rings(clock: StoppedClock) -> None:
        line = Line()
        line.hear("OFFER", "call-1")
        end(line)
        await clock.advance(1)
        line.hear("OFFER", "call-2")
        assert await line.events(2 + len(told)) == [("Offer", "call-1"), *told, ("Offer", "call-2")]

    run_without_time(rings)


def test_nothing_rings_out_after_the_end() -> None:
    async def rings(clock: StoppedClock) -> None:
        ended, lives = Line(), Line()
        ended.hear("OFFER", "call-1")
        ended.dispatcher.connection_ended(Closed(4500, ""))
        lives.hear("OFFER", "later")
        await clock.advance(1)
        assert await lives.events(2) == [("Offer", "later"), ("Hangup", "later")]
        assert [type(each) async for each in ended.dispatcher.inbox] == [Offer]

    run_without_time(rings)


async def answers(gateway: NamingGateway, asking: Awaitable[object], data: object) -> None:
    """Answer a request of hers."""
    async with asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(_await(asking))
        await gateway.send("ann", reply(await gateway.heard(), data))
        await within(asked)


async def test_who_leaves_the_last_shared_room_hears_that_calls_end() -> None:
    gateway = NamingGateway()
    gateway.ignored |= {"JOIN", "LEAVE"}
    async with ann_at(gateway) as ann:
        for room in ("tea", "other"):
            members = [member("ann"), member("bob")] if room == "tea" else [member("ann")]
            await answers(gateway, ann.join(room), {"room": room, "members": members, "number": 5})
        await gateway.says("OFFER", "first", sdp="x")
        assert isinstance(await read(ann), Offer)
        await answers(gateway, ann.leave("other"), {"room": "other"})
        await gateway.says("ICE_CANDIDATE", "first", candidate="x")
        assert isinstance(await read(ann), Candidate), "they meet in another room"
        await answers(gateway, ann.leave("tea"), {"room": "tea"})
        assert await read(ann) == Hangup(BOB, "left", server=False, call=CallId("first"))


async def test_a_room_left_and_joined_at_once_is_known_anew() -> None:
    gateway = NamingGateway()
    gateway.ignored |= {"JOIN", "LEAVE"}
    async with ann_at(gateway) as ann:
        tea = {"room": "tea", "members": [member("ann"), member("bob")], "number": 5}
        await answers(gateway, ann.join("tea"), tea)
        await gateway.says("OFFER", "first", sdp="x")
        assert isinstance(await read(ann), Offer)
        async with asyncio.TaskGroup() as tasks:
            left = tasks.create_task(ann.leave("tea"))
            leave = await gateway.heard()
            joined = tasks.create_task(ann.join("tea"))
            join = await gateway.heard()
            await gateway.send("ann", reply(leave, {"room": "tea"}))
            await within(left)
            assert await read(ann) == Hangup(BOB, "left", server=False, call=CallId("first"))
            await gateway.send("ann", reply(join, {**tea, "number": 7}))
            assert len((await within(joined)).members) == 2
        old = {"room": "tea", "userId": "bob", "reason": "left", "number": 6}
        await gateway.send("ann", event("MEMBER_LEFT", old, "bob had left before"))
        await gateway.says("OFFER", "second", sdp="x")
        assert isinstance(await read(ann), Offer), "what is older than the list is no news"


async def test_two_who_leave_two_rooms_at_once_are_in_no_call() -> None:
    gateway = NamingGateway()
    gateway.ignored |= {"JOIN"}
    async with ann_at(gateway) as ann:
        members = [member("ann"), member("bob")]
        await answers(gateway, ann.join("tea"), {"room": "tea", "members": members, "number": 5})
        await gateway.says("OFFER", "first", sdp="x")
        assert isinstance(await read(ann), Offer)
        left = {"room": "tea", "userId": "bob", "reason": "left", "number": 6}
        await gateway.send("ann", event("MEMBER_LEFT", left, "bob leaves"))
        assert isinstance(await read(ann), MemberLeft)
        assert await read(ann) == Hangup(BOB, "left", server=False, call=CallId("first"))


async def test_a_client_says_that_it_rings_once_for_each_call() -> None:
    gateway = NamingGateway()
    gateway.ignored.add("WEBRTC_INFO")
    async with ann_at(gateway) as ann:
        await gateway.says("OFFER", "0123", sdp="bob's")
        await gateway.says("OFFER", "0123", sdp="bob's next")
        await gateway.says("OFFER", "4567", sdp="another")
        for call in ("0123", "4567"):
            said = await gateway.heard()
            body = {"from": "ann", "to": "bob", "call": call, "data": {"ringing": True}}
            assert (said["cmd"], said["data"]) == ("WEBRTC_INFO", body)
        assert isinstance(await read(ann), Offer)


async def test_both_ends_say_how_it_is_there() -> None:
    gateway = NamingGateway()
    gateway.ignored.add("WEBRTC_INFO")
    async with ann_at(gateway) as ann:
        await gateway.acknowledge(ann.call("bob", "mine"), "0123")
        assert await gateway.acknowledge(ann.inform("bob", {"muted": True})) == "0123"
        await gateway.says("INFO", "0123", ringing=True)
        info = Info(BOB, {"ringing": True}, "INFO 0123", CallId("0123"))
        assert await read(ann) == info
