"""What the mailbox of a real broker holds for a session, split where the client's memory ends."""

import json

import pytest

from gateway.client.deliveries import Missed
from gateway.client.duplicates import name_of
from gateway.delivery.barriers import Barrier, Barriers
from gateway.delivery.mailbox import Mailbox, News
from presence.mailbox import make_mailbox
from tests.broker.runtime.watching import happens, watch
from tests.support.metrics import value_of
from tests.support.nats_server import NatsServer
from tests.unit.gateway.client.harness import event, signal
from tests.unit.wire.samples import HOSTILE_IDS
from tieline import metrics
from tieline.runtime.broker import Broker, BrokerAway
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire.digests import message_id
from tieline.wire.ids import GatewayId, SessionId, UserId
from tieline.wire.limits import MAX_MISSED, MAX_MISSED_BYTES
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")
ALICE, BOB = UserId("alice"), UserId("bob")
SESSION, OTHER = SessionId("s-1"), SessionId("s-2")
BARRIER = Barrier(SUBJECTS.mark(GatewayId("g")), 1)


class Setup:
    """A broker with a mailbox, a sender and a reader."""

    def __init__(self, broker: Broker, requests: Requests) -> None:
        self.broker = broker
        self.mailbox = Mailbox(requests, SUBJECTS)
        self.barriers = Barriers(broker, SUBJECTS, GatewayId("g"))

    async def make(self) -> None:
        """Make the stream."""
        await make_mailbox(self.broker, SUBJECTS, "memory", 1, 30)

    async def lose(self) -> None:
        """Delete the stream, and make it anew."""
        await self.broker.client.jetstream().delete_stream(SUBJECTS.mailbox())
        await self.make()

    async def send(self, *frames: bytes, user: UserId = ALICE, session: SessionId = SESSION) -> None:
        """Send frames to a session, and wait until all of them are kept."""
        jetstream, subject = self.broker.client.jetstream(), SUBJECTS.user(user, session)
        for frame in frames:
            self.broker.send(subject, frame, headers={"Nats-Msg-Id": message_id(user, frame)})
        await jetstream.publish(SUBJECTS.mailbox_question(), b"")  # is kept when all before it are

    async def missed(self, last: str, user: UserId = ALICE, session: SessionId = SESSION) -> Missed:
        """Read what a session missed, wherever in the stream it stands."""
        barrier = await self.barriers.passed()
        missed = await self.mailbox.missed(user, session, last, barrier)
        assert len(missed.numbers) == len(missed.fresh)
        return missed._replace(newest=0, numbers=(), position=None)

    async def news(self, known: dict[str, int]) -> dict[str, News]:
        """Read what is kept under each subject beyond a sequence."""
        return await self.mailbox.news(known, await self.barriers.passed())


@pytest.fixture
async def bare(broker: Broker) -> Setup:
    """A broker that has no mailbox yet."""
    requests = Requests(broker, SUBJECTS.replies("test", "1"))
    await requests.start()
    bare = Setup(broker, requests)
    await bare.barriers.start()
    return bare


@pytest.fixture
async def setup(bare: Setup) -> Setup:
    """A broker with an empty mailbox."""
    await bare.make()
    return bare


def split(known: list[bytes], fresh: list[bytes], newest: int = 0) -> Missed:
    """What is missed when a client has had the one and not the other."""
    return Missed([name_of(frame) for frame in known], fresh, newest)


def events(*names: str) -> list[bytes]:
    return [event(name) for name in names]


# Where it is split.


async def test_a_session_that_was_sent_nothing_has_missed_nothing(setup: Setup) -> None:
    for last in ("", "unknown"):
        assert await setup.missed(last) == split([], [])


async def test_what_came_after_the_last_message_is_fresh(setup: Setup) -> None:
    await setup.send(*events("a", "b", "c"))

    assert await setup.missed("a") == split(events("a"), events("b", "c"))
    assert await setup.missed("b") == split(events("a", "b"), events("c"))
    assert await setup.missed("c") == split(events("a", "b", "c"), [])


async def test_without_a_last_message_that_is_known_all_is_fresh(setup: Setup) -> None:
    await setup.send(*events("a", "b"))

    for last in ("", "unknown", "A", "a "):
        assert await setup.missed(last) == split([], events("a", "b"))


async def test_of_messages_of_one_name_the_oldest_is_the_last(setup: Setup) -> None:
    frames = [event("a"), event("a") + b" ", event("b"), event("a") + b"\n", event("c")]
    await setup.send(*frames)

    assert await setup.missed("a") == split(frames[:1], frames[1:])
    assert await setup.missed("b") == split(frames[:3], frames[3:])


async def test_frames_come_back_byte_for_byte_however_names_are_written(setup: Setup) -> None:
    odd = [
        b'{"data":"\\ud800","requestId":"\\u7528"}',
        '{"requestId" : "用户 😀"}'.encode(),
        json.dumps({"requestId": "x" * 128, "data": "\x00\x7f"}).encode(),
        b" \n{}",
        b"",
    ]
    await setup.send(*odd)

    assert await setup.missed("用") == split(odd[:1], odd[1:])
    assert await setup.missed("用户 😀") == split(odd[:2], odd[2:])
    assert await setup.missed("x" * 128) == split(odd[:3], odd[3:])
    assert (await setup.missed("")).fresh == odd


# Whose it is.


async def test_what_other_sessions_were_sent_is_not_among_it(setup: Setup) -> None:
    await setup.send(*events("a"))
    await setup.send(*events("b"), session=OTHER)
    await setup.send(*events("c"), user=BOB)
    await setup.send(*events("d"))

    assert (await setup.missed("")).fresh == events("a", "d")
    assert (await setup.missed("", session=OTHER)).fresh == events("b")
    assert (await setup.missed("", user=BOB)).fresh == events("c")


async def test_a_user_id_that_is_a_pattern_reads_nothing_of_others(setup: Setup) -> None:
    for name in HOSTILE_IDS:
        await setup.send(*events(f"for {name}"), user=UserId(name))

    for name in HOSTILE_IDS:
        assert (await setup.missed("", user=UserId(name))).fresh == events(f"for {name}")


# How much it holds.


async def test_what_is_sent_twice_is_kept_once(setup: Setup) -> None:
    await setup.send(*events("a", "b", "a"))
    await setup.send(*events("b", "c"))
    await setup.send(*events("a"), user=BOB)

    assert (await setup.missed("")).fresh == events("a", "b", "c")
    assert (await setup.missed("", user=BOB)).fresh == events("a")


async def test_as_many_as_may_be_missed_come_and_of_more_the_newest(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"e-{number}" for number in range(MAX_MISSED)]
    await setup.send(*events(*names))

    assert await setup.missed("") == split([], events(*names))
    assert caplog.messages == []
    left_out = value_of(metrics.LEFT_OUT)
    await setup.send(event("one more"))
    assert await setup.missed("") == split([], events(*names[1:], "one more"))
    assert caplog.messages == ["a session missed too much"]
    assert value_of(metrics.LEFT_OUT) == left_out + 1
    assert await setup.missed("e-0") == split(events("e-0"), events(*names[1:], "one more"))
    assert value_of(metrics.LEFT_OUT) == left_out + 1


async def test_after_a_lost_last_message_all_that_is_kept_comes(setup: Setup) -> None:
    names = [f"e-{number}" for number in range(MAX_MISSED + 10)]
    await setup.send(*events(*names))

    assert (await setup.missed("e-0")).fresh == events(*names[10:])
    assert await setup.missed("e-9") == split(events("e-9"), events(*names[10:]))


async def test_a_flood_leaves_what_others_sent_whole_and_is_named(
    setup: Setup, caplog: pytest.LogCaptureFixture
) -> None:
    flood = [signal(f"f-{number}", "WEBRTC_OFFER", 64_000) for number in range(300)]
    honest = events(*(f"e-{number}" for number in range(50)))
    for number in range(50):
        await setup.send(*flood[6 * number : 6 * number + 6], honest[number])

    missed = await setup.missed("")

    assert [frame for frame in missed.fresh if frame in honest] == honest
    kept = [frame for frame in missed.fresh if frame not in honest]
    assert kept == flood[-len(kept) :]
    assert MAX_MISSED_BYTES - 64_000 - 200 < missed.size <= MAX_MISSED_BYTES
    (record,) = caplog.records
    assert (record.__dict__["sender"], record.__dict__["left_out"]) == ("alice", 300 - len(kept))


async def test_all_of_it_is_read_however_big_it_is(setup: Setup) -> None:
    frames = [b"%d" % number + b"x" * 64_000 for number in range(MAX_MISSED_BYTES // 65_000)]
    for start in range(0, len(frames), 64):  # no more may wait to be written at once
        await setup.send(*frames[start : start + 64])

    assert (await setup.missed("")).fresh == frames


# What is new.

MINE = SUBJECTS.user(ALICE, SESSION)


async def test_what_is_new_comes_with_the_sequence_of_its_last(setup: Setup) -> None:
    await setup.send(*events("a", "b"))
    first = (await setup.news({MINE: 0}))[MINE]
    assert first.frames == events("a", "b")

    assert await setup.news({MINE: first.newest}) == {}

    await setup.send(*events("c"))
    second = (await setup.news({MINE: first.newest}))[MINE]
    assert second.frames == events("c")
    assert second.newest > first.newest


async def test_what_is_missed_comes_with_the_sequence_of_its_last_too(setup: Setup) -> None:
    await setup.send(*events("a", "b"))
    newest = (await setup.news({MINE: 0}))[MINE].newest

    missed = await setup.mailbox.missed(ALICE, SESSION, "a", await setup.barriers.passed())

    assert missed.position is not None
    assert missed.position < newest
    expected = split(events("a"), events("b"), newest=newest)
    assert missed == expected._replace(numbers=(newest,), position=missed.position)


async def test_the_news_of_any_number_of_sessions_are_read(setup: Setup) -> None:
    subjects = [SUBJECTS.user(UserId(f"用户 {number}"), SESSION) for number in range(300)]
    for number in range(0, 300, 2):
        await setup.send(*events(f"e-{number}"), user=UserId(f"用户 {number}"))

    news = await setup.news(dict.fromkeys(subjects, 0))

    assert {subject: found.frames for subject, found in news.items()} == {
        subjects[number]: events(f"e-{number}") for number in range(0, 300, 2)
    }


async def test_of_more_news_than_are_stored_those_that_are_come(setup: Setup) -> None:
    names = [f"e-{number}" for number in range(MAX_MISSED + 10)]
    await setup.send(*events(*names))

    assert (await setup.news({MINE: 0}))[MINE].frames == events(*names[10:])


async def test_a_mailbox_that_was_lost_and_begun_anew_is_all_news(setup: Setup) -> None:
    await setup.send(*events("a", "b", "c"))
    before = (await setup.news({MINE: 0}))[MINE].newest
    await setup.lose()
    assert await setup.news({MINE: before}) == {}

    await setup.send(*events("d"))

    assert (await setup.news({MINE: before}))[MINE].frames == events("d")


# When it does not answer.


async def test_without_a_mailbox_there_is_no_answer(bare: Setup) -> None:
    with pytest.raises(NoAnswer):
        await bare.missed("")
    with pytest.raises(NoAnswer):
        await bare.mailbox.missed(ALICE, SESSION, "", BARRIER)
    with pytest.raises(NoAnswer):
        await bare.mailbox.news({MINE: 0}, BARRIER)


async def test_a_mailbox_that_does_not_have_the_barrier_is_no_answer(setup: Setup) -> None:
    await setup.send(*events("a"))
    barrier = await setup.barriers.passed()
    later = barrier._replace(sequence=barrier.sequence + 1)

    with pytest.raises(NoAnswer):
        await setup.mailbox.missed(ALICE, SESSION, "", later)
    with pytest.raises(NoAnswer):
        await setup.mailbox.news({MINE: 0}, later)


async def test_without_a_broker_there_is_no_answer(setup: Setup, pip_nats: NatsServer) -> None:
    away, _ = watch(setup.broker)
    pip_nats.kill()
    await happens(away)

    with pytest.raises(BrokerAway):
        await setup.missed("")
    with pytest.raises(NoAnswer):
        await setup.mailbox.missed(ALICE, SESSION, "", BARRIER)
    with pytest.raises(NoAnswer):
        await setup.mailbox.news({MINE: 0}, BARRIER)
