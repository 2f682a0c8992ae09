"""Signals travel in packs, over a real broker, to a router that answers as a test wants."""

import asyncio
import functools
from collections.abc import AsyncIterator

import pytest

from gateway.sessions.signals import MAX_BYTES, MAX_SIGNALS, Signals
from tests.broker.runtime.watching import PATIENCE_S as WATCH_S
from tests.broker.runtime.watching import Inbox
from tests.support.nats_server import NatsServer
from tieline.runtime.broker import Broker, connect
from tieline.runtime.requests import Requests
from tieline.wire.ids import SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.directions import RouterReply
from tieline.wire.internal.signals import Accepted, Signal
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")
CANDIDATE, OFFER = "WEBRTC_ICE_CANDIDATE", "WEBRTC_OFFER"
RELAYED, HELD = Accepted("relayed"), Accepted("held")


class Routers:
    """A router that answers as told, and a gateway that asks."""

    def __init__(self, gateway: Broker, router: Broker) -> None:
        self._router = router
        self._gateway = gateway
        self._requests = Requests(gateway, "t.gateway.g.reply")
        self.signals = Signals(gateway, self._requests, SUBJECTS)
        self.packs = Inbox()
        self.heard: list[tuple[str, RouterReply | None]] = []
        self._something_heard = asyncio.Event()

    def have_patience(self, seconds: float) -> None:
        self.signals = Signals(self._gateway, self._requests, SUBJECTS, seconds)

    async def open(self) -> None:
        await self._requests.start()
        await self._router.subscribe(SUBJECTS.signals(), self.packs.put, queue="router")
        await self._router.flush()

    def ask(self, *names: str, cmd: str = CANDIDATE, size: int = 0) -> None:
        """Ask about signals, all in this turn of the loop."""
        for name in names:
            self.signals.ask(cmd, signal(name, size), functools.partial(self._hear, name))

    def _hear(self, name: str, reply: RouterReply | None) -> None:
        self.heard.append((name, reply))
        self._something_heard.set()

    async def next(self) -> tuple[str, list[str], str]:
        """Return the next pack: its command, the names of what is in it, and where to answer."""
        message = await self.packs.next()
        inside = codec.decode_signals(message.data)
        names = ["-" if one is None else one.frame.rstrip(b".").decode() for one in inside]
        return message.subject.rpartition(".")[2], names, message.reply

    def answer(self, reply: str, *answers: tuple[int, RouterReply]) -> None:
        self._router.send(reply, codec.encode(answers))

    def say(self, reply: str, data: bytes) -> None:
        self._router.send(reply, data)

    async def until_heard(self, count: int) -> None:
        async with asyncio.timeout(WATCH_S):
            while len(self.heard) < count:
                self._something_heard.clear()
                await self._something_heard.wait()


def signal(name: str, size: int = 0) -> Signal:
    frame = name.encode().ljust(size, b".")
    return Signal(UserId("alice"), SessionId("s"), UserId("bob"), frame, stored=False)


@pytest.fixture
async def routers(pip_nats: NatsServer) -> AsyncIterator[Routers]:
    gateway, router = await connect(pip_nats.url, "gateway"), await connect(pip_nats.url, "router")
    routers = Routers(gateway, router)
    await routers.open()
    yield routers
    await gateway.close()
    await router.close()


async def test_signals_of_one_moment_travel_together_each_has_its_answer(routers: Routers) -> None:
    routers.ask("a", "b", "c")
    cmd, names, reply = await routers.next()
    routers.answer(reply, (2, HELD), (0, RELAYED), (1, Refused("ROOM_FULL")))
    await routers.until_heard(3)

    assert (cmd, names) == (CANDIDATE, ["a", "b", "c"])
    assert routers.heard == [("c", HELD), ("a", RELAYED), ("b", Refused("ROOM_FULL"))]


async def test_each_command_and_each_moment_has_a_pack_of_its_own(routers: Routers) -> None:
    routers.ask("a")
    routers.ask("b", cmd=OFFER)
    routers.ask("c")
    packs = [await routers.next() for _ in range(2)]
    routers.ask("d")
    packs.append(await routers.next())

    assert [(cmd, names) for cmd, names, _ in packs] == [
        (CANDIDATE, ["a", "c"]),
        (OFFER, ["b"]),
        (CANDIDATE, ["d"]),
    ]


async def test_answers_may_come_singly_and_the_rest_is_asked_again(routers: Routers) -> None:
    routers.ask("a", "b", "c")
    _, _, reply = await routers.next()
    routers.answer(reply, (1, RELAYED))
    await routers.until_heard(1)

    _, names, again = await routers.next()
    routers.answer(again, (0, RELAYED))
    # Late, and of the first attempt: what is new in it counts.
    routers.answer(reply, (0, HELD), (1, HELD), (2, HELD))
    await routers.until_heard(3)

    assert names == ["a", "-", "c"]
    assert routers.heard == [("b", RELAYED), ("a", RELAYED), ("c", HELD)]


async def test_a_signal_without_an_answer_in_time_is_told_once(routers: Routers) -> None:
    routers.have_patience(0.2)
    routers.ask("a", "b", "c")
    _, _, reply = await routers.next()
    routers.answer(reply, (1, RELAYED))
    await routers.until_heard(3)

    assert routers.heard == [("b", RELAYED), ("a", None), ("c", None)]


@pytest.mark.parametrize(("count", "size"), [(MAX_SIGNALS + 1, 0), (3, MAX_BYTES // 2)])
async def test_no_pack_is_too_long(routers: Routers, count: int, size: int) -> None:
    names = [f"s{number}" for number in range(count)]
    routers.ask(*names, size=size)

    packs = [(await routers.next())[1] for _ in range(2)]

    assert packs == [names[:-1], names[-1:]]


async def test_a_frame_that_is_longer_than_a_pack_travels_alone(routers: Routers) -> None:
    routers.ask("a")
    routers.ask("b", size=2 * MAX_BYTES)
    routers.ask("c")

    assert [(await routers.next())[1] for _ in range(3)] == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("nonsense", [b"", b"\xc1", codec.encode([(0, "x")]), b"\x91\x92\x00\x91\xa1\xff"])
async def test_an_answer_that_cannot_be_read_is_none(
    routers: Routers, caplog: pytest.LogCaptureFixture, nonsense: bytes
) -> None:
    routers.ask("a")
    _, _, reply = await routers.next()
    routers.say(reply, nonsense)
    routers.answer(reply, (0, RELAYED))
    await routers.until_heard(1)

    assert routers.heard == [("a", RELAYED)]
    assert [record.exc_info for record in caplog.records] == [None]


async def test_an_answer_to_what_is_in_no_place_is_nobodys(routers: Routers) -> None:
    routers.ask("a", "b")
    _, _, reply = await routers.next()
    routers.answer(reply, (-1, Refused("ROOM_FULL")), (2, Refused("ROOM_FULL")), (1 << 40, RELAYED))
    routers.answer(reply, (0, RELAYED), (1, HELD))
    await routers.until_heard(2)

    assert routers.heard == [("a", RELAYED), ("b", HELD)]
