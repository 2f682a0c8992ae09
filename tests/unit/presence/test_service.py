"""Requests as they come off the broker: answered one by one, whatever another one is."""

import asyncio

import pytest

from presence.service import SIZE, UNKNOWN, PresenceService
from tests.support.metrics import value_of
from tests.support.waiting import until
from tests.unit.presence.changing import WatchedStore, process_of
from tests.unit.presence.lifetime import HeldUpStore, Sent
from tests.unit.presence.presence_process import SUBJECTS, PresenceProcess
from tests.unit.presence.requests import opening
from tieline import metrics
from tieline.runtime import metrics as runtime_metrics
from tieline.runtime.message import Message, block
from tieline.runtime.pool import PoolSize
from tieline.wire.digests import digest
from tieline.wire.ids import GatewayId, RoomId, SessionId, UserId
from tieline.wire.internal import codec
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.directions import OPERATIONS
from tieline.wire.internal.rooms import JoinRoom, LeaveRoom, ListMembers, RoomMembers
from tieline.wire.internal.sessions import KeepLease, LeaseKept, Opened
from tieline.wire.internal.signals import Check
from tieline.wire.subjects import Keys

GATEWAYS = f"{SUBJECTS.gateway(GatewayId('g1'), 'reply')}."
CHECK = Check(UserId("alice"), SessionId("s-1"), UserId("bob"), "WEBRTC_OFFER", digest(b"{}"), b"")
ROUTERS = f"{SUBJECTS.replies('router', 'r1')}."


def asking(op: str, data: bytes, name: str) -> Message:
    return Message(SUBJECTS.presence(op), GATEWAYS + name, data, b"")


async def answers(process: PresenceProcess, *messages: Message, size: PoolSize = SIZE) -> dict[str, object]:
    """Let a service answer these; returns what came, by the last word of where it was to go."""
    async with asyncio.TaskGroup() as tasks:
        service = PresenceService(process.recorder, SUBJECTS, tasks, process.operations, size)
        for message in messages:
            service.on_request(message)
    asked = {message.reply for message in messages}
    return {
        sent.subject.rpartition(".")[2]: codec.decode_presence_reply(sent.payload)
        for sent in process.recorder.sent
        if sent.subject in asked
    }


async def test_each_request_is_answered_where_it_says() -> None:
    process = PresenceProcess()
    found = await answers(process, asking("open", codec.encode(opening("alice", "hall")), "a"))
    alice, session, hall = UserId("alice"), SessionId("alice-s1"), RoomId("hall")
    found |= await answers(
        process,
        asking("members", codec.encode(ListMembers(alice, session, hall)), "b"),
        asking("join", codec.encode(JoinRoom(UserId("bob"), session, hall)), "c"),
    )
    assert isinstance(found["a"], Opened)
    assert isinstance(found["b"], RoomMembers)
    assert [member.user_id for member in found["b"].members] == [alice]
    assert not isinstance(found["c"], RoomMembers | Refused)


async def test_candidates_and_comers_wait_for_no_crowd_that_calls() -> None:
    process = PresenceProcess()
    for user in ("alice", "bob", "carol"):
        await process.open(opening(user, "hall"))
    await process.signal("alice", "bob", "OFFER", "offer")
    await process.signal("bob", "alice", "ANSWER", "answer")
    checks = {
        "first": await process.check("carol", "bob", "OFFER", "first"),
        "second": await process.check("bob", "carol", "OFFER", "second"),
        "candidate": await process.check("alice", "bob", "ICE_CANDIDATE", "candidate"),
    }
    held_up = HeldUpStore(process.store, Keys.pair(UserId("bob"), UserId("carol")))
    process.over(held_up)
    async with asyncio.TaskGroup() as tasks:
        few = PoolSize(under_way=1, of_one=1)
        service = PresenceService(process.recorder, SUBJECTS, tasks, process.operations, SIZE, few)
        for name, check in checks.items():
            service.on_request(Message(SUBJECTS.presence("check"), ROUTERS + name, codec.encode(check), b""))
        service.on_request(asking("open", codec.encode(opening("dave", "hall")), "dave"))
        answered = ("candidate", "dave")
        await until(lambda: all(answers_to(process, name) for name in answered))
        assert not answers_to(process, "first") + answers_to(process, "second")
        assert value_of(runtime_metrics.JOBS_WAITING) == 1
        held_up.may_go_on.set()
    assert answers_to(process, "first")
    assert answers_to(process, "second")


async def test_an_offer_is_answered_before_its_users_are_looked_at_again() -> None:
    process = await process_of("alice", "bob")
    watched = WatchedStore(process.store)
    offer = await process.check("alice", "bob", "OFFER", "offer")
    answered: list[int] = []
    look = f"read {Keys.user(UserId('alice'))} {Keys.user(UserId('bob'))}"

    async def note() -> None:
        answered.append(len(answers_to(process, "offer")))

    watched.before[look] = note
    process.over(watched)
    async with asyncio.TaskGroup() as tasks:
        service = PresenceService(process.recorder, SUBJECTS, tasks, process.operations)
        service.on_request(Message(SUBJECTS.presence("check"), ROUTERS + "offer", codec.encode(offer), b""))
    assert answered == [1]


def answers_to(process: PresenceProcess, name: str) -> list[Sent]:
    """List what was answered to a request."""
    return [sent for sent in process.recorder.sent if sent.subject.rpartition(".")[2] == name]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"not msgpack",
        b"\x92\xa9SaidToDie\x01",
        b"\x92\xa9KeepLease\xa1\xff",  # text that is not UTF-8
        codec.encode([1, 2, 3]),
    ],
)
async def test_what_cannot_be_read_is_counted_and_takes_no_other_along(data: bytes) -> None:
    failed = metrics.PRESENCE_REQUESTS.labels(UNKNOWN, "failed")
    before = value_of(failed)
    found = await answers(
        PresenceProcess(),
        asking("replaced", data, "a"),
        asking("open", codec.encode(opening("alice", "hall")), "b"),
    )
    assert found.keys() == {"b"}
    assert value_of(failed) == before + 1


async def test_a_request_on_the_subject_of_another_stays_unanswered() -> None:
    assert await answers(PresenceProcess(), asking("join", codec.encode(opening("alice", "hall")), "a")) == {}


async def test_garbage_is_a_line_a_second_and_not_one_each(caplog: pytest.LogCaptureFixture) -> None:
    await answers(PresenceProcess(), *(asking("open", b"garbage", str(number)) for number in range(1000)))
    assert caplog.messages == ["request unanswered: of another version, or none"]


async def test_more_than_fits_is_dropped_and_the_others_are_answered() -> None:
    process, dropped = PresenceProcess(), runtime_metrics.JOBS_DROPPED.labels("full")
    before = value_of(dropped)
    flood = [
        asking("join", codec.encode(JoinRoom(UserId("mallory"), SessionId("s"), RoomId("hall"))), f"m{n}")
        for n in range(50)
    ]
    honest = [asking("open", codec.encode(opening(name, "hall")), name) for name in ("alice", "bob", "carol")]
    found = await answers(process, *flood, *honest, size=PoolSize(under_way=2, of_one=1, waiting=8))
    assert {"alice", "bob", "carol"} <= found.keys()
    assert value_of(dropped) - before == len(flood) + len(honest) - len(found) == 43


async def test_what_is_not_waited_for_any_more_is_not_carried_out() -> None:
    process, late = PresenceProcess(), runtime_metrics.JOBS_DROPPED.labels("late")
    before = value_of(late)
    patient, gone = (
        Message(
            SUBJECTS.presence("open"),
            GATEWAYS + name,
            codec.encode(opening(name, "hall")),
            block({"Tieline-Patience": patience_ms}),
        )
        for name, patience_ms in (("patient", "3000"), ("gone", "0"))
    )
    first = asking("open", codec.encode(opening("alice", "hall")), "alice")
    found = await answers(process, first, gone, patient, size=PoolSize(under_way=1, of_one=1))
    assert found.keys() == {"alice", "patient"}
    assert value_of(late) == before + 1


async def test_a_gateway_s_lease_has_its_turn_among_many_users() -> None:
    process = PresenceProcess()
    many = [asking("open", codec.encode(opening(f"u{n}", "hall")), f"u{n}") for n in range(30)]
    lease = asking("lease", codec.encode(KeepLease(GatewayId("g1"))), "lease")
    found = await answers(process, *many, lease, size=PoolSize(under_way=1, of_one=1))
    assert isinstance(found["lease"], LeaseKept)
    assert len(found) == 31


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "$KV.t.user.bob",
        "t.user.bob.s-1",
        "$JS.API.STREAM.UPDATE.KV_t",
        "t.gateway.g1.close",
        "t.gateway.g1.reply",
        "t.gateway.g1.reply.",
        "t.gateway.g1.reply.*",
        "t.gateway.g1.reply.1.2",
        "t.gateway.g.1.reply.1",
        "t.gateway.*.reply.1",
        "t.presence.p1.reply.1",
        "t.presence.p1.inbox.1",
        "other.gateway.g1.reply.1",
        "t.gateway.g1.reply.1\n",
        f"t.gateway.{'g' * 400}.reply.1",
    ],
)
async def test_nothing_is_answered_anywhere_else(reply: str) -> None:
    process, dropped = PresenceProcess(), metrics.UNREADABLE_MESSAGES.labels("request")
    before = value_of(dropped)
    asked = Message(
        SUBJECTS.presence("open"), reply.replace("t.", f"{SUBJECTS.namespace}.", 1), opened(), b""
    )
    assert await answers(process, asked) == {}
    assert not process.recorder.sent
    assert value_of(dropped) == before + 1


def opened() -> bytes:
    return codec.encode(opening("alice", "hall"))


async def test_a_check_is_answered_to_routers_and_all_else_to_gateways() -> None:
    check = codec.encode(CHECK)
    asked = [
        Message(SUBJECTS.presence("check"), GATEWAYS + "a", check, b""),
        Message(SUBJECTS.presence("check"), ROUTERS + "b", check, b""),
        Message(SUBJECTS.presence("open"), GATEWAYS + "c", opened(), b""),
        Message(SUBJECTS.presence("open"), ROUTERS + "d", opened(), b""),
    ]
    assert (await answers(PresenceProcess(), *asked)).keys() == {"b", "c"}


@pytest.mark.parametrize(
    "request_",
    [
        LeaveRoom(UserId("alice"), SessionId("s-1\r\nPUB t.user.bob.s 1\r\nx\r\n"), RoomId("hall")),
        LeaveRoom(UserId("alice"), SessionId("=ZZ.b.c"), RoomId("hall")),
        LeaveRoom(UserId("alice"), SessionId(""), RoomId("hall")),
        LeaveRoom(UserId("a" * 5_000), SessionId("s-1"), RoomId("hall")),
        LeaveRoom(UserId("alice"), SessionId("s-1"), RoomId("a\nb")),
        KeepLease(GatewayId("*")),
    ],
)
async def test_an_id_that_no_process_makes_is_refused(request_: LeaveRoom | KeepLease) -> None:
    process, dropped = PresenceProcess(), metrics.UNREADABLE_MESSAGES.labels("request")
    before = value_of(dropped)
    op = OPERATIONS[type(request_)]
    assert await answers(process, asking(op, codec.encode(request_), "a")) == {}
    assert value_of(dropped) == before + 1
