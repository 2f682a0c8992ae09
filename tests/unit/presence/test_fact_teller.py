"""Facts are told by the process that has written them: in order, once, and not late."""

import asyncio
from collections.abc import Callable

import msgspec
import pytest

from presence import fact_teller as module
from presence.fact_teller import LATE_MS, FactTeller
from presence.rules.fact import CallFact, MemberFact
from presence.rules.negotiated import Negotiation
from presence.rules.user import User
from tests.support.waiting import until
from tests.unit.presence.lifetime import Clock
from tests.unit.presence.rules.people import online
from tieline.wire.cloud_events import CloudEvent
from tieline.wire.ids import CallId, RoomId, SessionId, UserId

PAIR = "pair.alice.bob"
OTHER = "pair.carol.dave"
PERSON = "user.alice"

Done = Callable[[str | None], None]


class Stream:
    """A stream of events that stores when it is told to."""

    def __init__(self) -> None:
        self.under_way: list[tuple[CloudEvent, Done]] = []
        self.has: list[str] = []
        self.has_a_bug = False

    def tell(self, event: CloudEvent, done: Done) -> None:
        if self.has_a_bug:
            raise AssertionError("a bug")
        self.under_way.append((event, done))

    def comes(self) -> list[str]:
        """What is on its way, by subject and kind."""
        return [_name(event) for event, _ in self.under_way]

    def store(self, most: int = 100) -> None:
        """Store what comes, so many at most, and what comes after it."""
        while self.under_way and most:
            most -= 1
            event, done = self.under_way.pop(0)
            self.has.append(_name(event))
            done(None)

    def fail(self) -> None:
        """Answer the first one with a failure."""
        _, done = self.under_way.pop(0)
        done("no answer")


def _name(event: CloudEvent) -> str:
    return f"{event.subject} {event.type.removeprefix('tieline.')}"


def call(*kinds: str, name: str = "c") -> Negotiation:
    facts = tuple(
        CallFact(kind, at, CallId(name), UserId("alice"))  # type: ignore[arg-type]
        for at, kind in enumerate(kinds)
    )
    return Negotiation(facts=facts)


OFFERED = call("call.offered")
ANSWERED = call("call.offered", "call.answered", "call.established")
ALL = ["call/c call.offered", "call/c call.answered", "call/c call.established"]


@pytest.fixture
async def stream() -> Stream:
    return Stream()


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
async def teller(stream: Stream, clock: Clock) -> FactTeller:
    return FactTeller("t", stream.tell, clock)


async def written(teller: FactTeller, key: str, record: User | Negotiation, revision: int, at: int) -> None:
    """Let a record be written, and its facts be told that can be."""
    teller.tell_soon(key, record, revision, at)
    await teller.finish(0.0)


async def test_facts_are_told_by_themselves_a_moment_later(
    teller: FactTeller, stream: Stream, clock: Clock
) -> None:
    teller.tell_soon(PAIR, OFFERED, 1, clock())
    assert not stream.under_way  # the answer leaves first
    teller.tell_soon(PAIR, ANSWERED, 2, clock())
    await until(lambda: bool(stream.under_way))
    stream.store()
    assert stream.has == ALL


async def test_each_waits_for_the_one_before_it(teller: FactTeller, stream: Stream, clock: Clock) -> None:
    await written(teller, PAIR, ANSWERED, 1, clock())
    await written(teller, OTHER, call("call.offered", name="d"), 2, clock())
    assert stream.comes() == ["call/c call.offered", "call/d call.offered"]
    stream.store()
    assert [name for name in stream.has if name.startswith("call/c")] == ALL


async def test_the_facts_of_a_user_are_told_too(teller: FactTeller, stream: Stream, clock: Clock) -> None:
    fact = MemberFact("member.joined", clock(), SessionId("s"), 1, (RoomId("hall"), RoomId("cellar")))
    record = msgspec.structs.replace(online(SessionId("s")), facts=(fact,))
    await written(teller, PERSON, record, 1, clock())
    stream.store()
    assert stream.has == ["room/hall member.joined", "room/cellar member.joined"]
    assert teller.has_told(PERSON, record)


async def test_what_is_under_way_is_not_told_once_more(
    teller: FactTeller, stream: Stream, clock: Clock
) -> None:
    await written(teller, PAIR, OFFERED, 1, clock())
    await written(teller, PAIR, ANSWERED, 2, clock())
    assert stream.comes() == ALL[:1]
    assert not teller.has_told(PAIR, OFFERED)
    stream.store()
    assert stream.has == ALL
    assert teller.is_told(PAIR, 2)
    assert not teller.is_told(PAIR, 1)
    await written(teller, PAIR, ANSWERED, 3, clock())
    assert not stream.under_way
    assert teller.is_told(PAIR, 3)


async def test_a_record_without_facts_is_told(teller: FactTeller, stream: Stream, clock: Clock) -> None:
    teller.tell_soon(PAIR, OFFERED, 1, clock())
    teller.tell_soon(PAIR, Negotiation(), 2, clock())
    assert teller.is_told(PAIR, 2)
    await teller.finish(0.0)
    assert not stream.under_way


async def test_a_broker_that_comes_back_may_count_anew(
    teller: FactTeller, stream: Stream, clock: Clock
) -> None:
    await written(teller, PAIR, OFFERED, 1, clock())
    stream.store()
    assert teller.is_told(PAIR, 1)
    teller.forget()
    assert not teller.is_told(PAIR, 1)
    assert not teller.has_told(PAIR, OFFERED)


async def test_behind_what_is_not_stored_nothing_is_told(
    teller: FactTeller, stream: Stream, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REST_S", 0.0)
    await written(teller, PAIR, ANSWERED, 1, clock())
    stream.store(1)
    stream.fail()
    assert not stream.under_way
    assert teller.failed.is_set()
    assert not teller.is_told(PAIR, 1)
    await written(teller, PAIR, ANSWERED, 2, clock())
    stream.store()
    assert stream.has == ALL


async def test_a_stream_that_fails_is_left_in_peace_for_a_while(
    teller: FactTeller, stream: Stream, clock: Clock
) -> None:
    await written(teller, PAIR, OFFERED, 1, clock())
    stream.fail()
    await written(teller, PAIR, ANSWERED, 2, clock())
    assert not stream.under_way
    told: list[bool | None] = []
    teller.tell(PAIR, ANSWERED, 2, clock(), told.append)  # it is handed out, and told all the same
    stream.store()
    assert stream.has == ALL
    assert told == [True]


async def test_who_has_stood_still_tells_nothing(teller: FactTeller, stream: Stream, clock: Clock) -> None:
    told: list[bool | None] = []
    clock.pass_s(LATE_MS / 1000 + 1)
    teller.tell(PAIR, OFFERED, 1, clock() - LATE_MS - 1, told.append)
    assert not stream.under_way
    assert told == [False]
    assert not teller.is_told(PAIR, 1)


async def test_who_stands_still_amid_telling_tells_no_more(
    teller: FactTeller, stream: Stream, clock: Clock
) -> None:
    told: list[bool | None] = []
    teller.tell(PAIR, ANSWERED, 1, clock(), told.append)
    clock.pass_s(LATE_MS / 1000 + 1)
    stream.store()
    assert stream.has == ALL[:1]
    assert told == [False]


async def test_who_waits_is_told_when_all_of_the_newest_is(
    teller: FactTeller, stream: Stream, clock: Clock
) -> None:
    told: list[str] = []
    await written(teller, PAIR, OFFERED, 2, clock())
    teller.tell(PAIR, ANSWERED, 3, clock(), lambda is_told: told.append(f"new {is_told}"))
    teller.tell(PAIR, OFFERED, 1, clock(), lambda is_told: told.append(f"old {is_told}"))
    stream.store(2)
    assert not told
    stream.store()
    assert stream.has == ALL
    assert told == ["new True", "old True"]
    assert teller.is_told(PAIR, 3)


async def test_a_bug_harms_no_other_record(teller: FactTeller, stream: Stream, clock: Clock) -> None:
    told: list[bool | None] = []
    teller.tell("pair.no.pair.at.all", OFFERED, 1, clock(), told.append)
    stream.has_a_bug = True
    teller.tell(PAIR, OFFERED, 1, clock(), told.append)
    assert told == [None, None]
    stream.has_a_bug = False
    teller.tell(PAIR, OFFERED, 1, clock(), told.append)
    stream.store()
    assert told == [None, None, True]


async def test_who_stops_tells_what_is_written_and_waits(
    teller: FactTeller, stream: Stream, clock: Clock
) -> None:
    teller.tell_soon(PAIR, ANSWERED, 1, clock())
    finishing = asyncio.create_task(teller.finish(60.0))
    await until(lambda: bool(stream.under_way))
    stream.store(2)
    assert not finishing.done()
    stream.store()
    await finishing
    assert stream.has == ALL


async def test_only_so_much_is_remembered(
    teller: FactTeller, stream: Stream, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_TOLD", 1)
    await written(teller, PAIR, OFFERED, 1, clock())
    await written(teller, OTHER, call("call.offered", name="d"), 2, clock())
    stream.store()
    assert not teller.is_told(PAIR, 1)
    assert teller.is_told(OTHER, 2)
