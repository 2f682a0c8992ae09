"""What the mailbox of a real broker holds for a session, split where the client's memory ends."""

import json
from collections.abc import AsyncIterator

import pytest

from gateway.delivery.barriers import Mark, Marks
from gateway.delivery.mailbox import MAX_MISSED, Mailbox, Missed, News
from presence.mailbox import make_mailbox
from tests.broker.runtime.watching import happens, watch
from tests.support.nats_server import NatsServer
from tests.unit.gateway.client.stage import event
from tests.unit.wire.samples import HOSTILE_IDS
from tieline.runtime.broker import Broker, BrokerAway, connect
from tieline.runtime.requests import NoAnswer, Requests
from tieline.wire import internal
from tieline.wire.ids import GatewayId, SessionId, UserId
from tieline.wire.subjects import Subjects

SUBJECTS = Subjects("t")
ALICE, BOB = UserId("alice"), UserId("bob")
SESSION, OTHER = SessionId("s-1"), SessionId("s-2")
MARK = Mark(SUBJECTS.mark(GatewayId("g")), 1)


class Post:
    """A broker with a mailbox, a sender and a reader."""

    def __init__(self, broker: Broker, requests: Requests) -> None:
        self.broker = broker
        self.mailbox = Mailbox(requests, SUBJECTS)
        self.marks = Marks(broker, SUBJECTS, GatewayId("g"))

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
            self.broker.send(subject, frame, headers={"Nats-Msg-Id": internal.message_id(user, frame)})
        await jetstream.publish(SUBJECTS.mailbox_question(), b"")  # is kept when all before it are

    async def missed(self, last: str, user: UserId = ALICE, session: SessionId = SESSION) -> Missed:
        """Read what a session missed, wherever in the stream it stands."""
        mark = await self.marks.passed()
        return (await self.mailbox.missed(user, session, last, mark))._replace(newest=0)

    async def news(self, known: dict[str, int]) -> dict[str, News]:
        """Read what is kept under each subject beyond a sequence."""
        return await self.mailbox.news(known, await self.marks.passed())


@pytest.fixture
async def bare_post(pip_nats: NatsServer) -> AsyncIterator[Post]:
    """A broker that has no mailbox yet."""
    broker = await connect(pip_nats.url, "test")
    requests = Requests(broker, SUBJECTS.replies("test", "1"))
    await requests.start()
    bare = Post(broker, requests)
    await bare.marks.start()
    yield bare
    await broker.close()


@pytest.fixture
async def post(bare_post: Post) -> Post:
    """A broker with an empty mailbox."""
    await bare_post.make()
    return bare_post


def events(*names: str) -> list[bytes]:
    return [event(name) for name in names]


# Where it is split. ---------------------------------------------------------------------------------


async def test_who_was_sent_nothing_has_missed_nothing(post: Post) -> None:
    for last in ("", "unknown"):
        assert await post.missed(last) == Missed([], [], is_whole=True)


async def test_what_came_after_the_last_message_is_fresh_and_the_rest_is_known(post: Post) -> None:
    await post.send(*events("a", "b", "c"))

    assert await post.missed("a") == Missed(events("a"), events("b", "c"), is_whole=True)
    assert await post.missed("b") == Missed(events("a", "b"), events("c"), is_whole=True)
    assert await post.missed("c") == Missed(events("a", "b", "c"), [], is_whole=True)


async def test_without_a_last_message_or_with_an_unknown_one_everything_is_fresh(post: Post) -> None:
    await post.send(*events("a", "b"))

    for last in ("", "unknown", "A", "a "):
        assert await post.missed(last) == Missed([], events("a", "b"), is_whole=True)


async def test_of_several_messages_of_one_name_the_latest_is_the_last(post: Post) -> None:
    frames = [event("a"), event("a") + b" ", event("b"), event("a") + b"\n", event("c")]
    await post.send(*frames)

    assert await post.missed("a") == Missed(frames[:4], frames[4:], is_whole=True)
    assert await post.missed("b") == Missed(frames[:3], frames[3:], is_whole=True)


async def test_frames_come_back_byte_for_byte_and_a_name_is_read_however_it_was_written(post: Post) -> None:
    odd = [
        b'{"data":"\\ud800","requestId":"\\u7528"}',
        '{"requestId" : "用户 😀"}'.encode(),
        json.dumps({"requestId": "x" * 128, "data": "\x00\x7f"}).encode(),
        b" \n{}",
        b"",
    ]
    await post.send(*odd)

    assert await post.missed("用") == Missed(odd[:1], odd[1:], is_whole=True)
    assert await post.missed("用户 😀") == Missed(odd[:2], odd[2:], is_whole=True)
    assert await post.missed("x" * 128) == Missed(odd[:3], odd[3:], is_whole=True)
    assert (await post.missed("")).fresh == odd


# Whose it is. ---------------------------------------------------------------------------------------


async def test_what_others_or_other_sessions_were_sent_is_not_among_it(post: Post) -> None:
    await post.send(*events("a"))
    await post.send(*events("b"), session=OTHER)
    await post.send(*events("c"), user=BOB)
    await post.send(*events("d"))

    assert (await post.missed("")).fresh == events("a", "d")
    assert (await post.missed("", session=OTHER)).fresh == events("b")
    assert (await post.missed("", user=BOB)).fresh == events("c")


async def test_nobody_reads_what_others_were_sent_by_a_name_that_is_a_pattern(post: Post) -> None:
    for name in HOSTILE_IDS:
        await post.send(*events(f"for {name}"), user=UserId(name))

    for name in HOSTILE_IDS:
        assert (await post.missed("", user=UserId(name))).fresh == events(f"for {name}")


# How much it holds. ---------------------------------------------------------------------------------


async def test_what_is_sent_twice_is_kept_once(post: Post) -> None:
    await post.send(*events("a", "b", "a"))
    await post.send(*events("b", "c"))
    await post.send(*events("a"), user=BOB)

    assert (await post.missed("")).fresh == events("a", "b", "c")
    assert (await post.missed("", user=BOB)).fresh == events("a")


async def test_as_many_as_may_be_missed_are_whole_and_one_more_is_not(post: Post) -> None:
    names = [f"e-{number}" for number in range(MAX_MISSED)]
    await post.send(*events(*names))

    assert await post.missed("") == Missed([], events(*names), is_whole=True)
    await post.send(event("one more"))
    assert not (await post.missed("")).is_whole
    assert await post.missed("e-0") == Missed(events("e-0"), events(*names[1:], "one more"), is_whole=True)


async def test_who_missed_so_much_that_the_last_message_is_not_kept_any_more_missed_too_much(
    post: Post,
) -> None:
    names = [f"e-{number}" for number in range(MAX_MISSED + 10)]
    await post.send(*events(*names))

    assert not (await post.missed("e-0")).is_whole
    kept = await post.missed("e-9")
    assert (len(kept.known), len(kept.fresh), kept.is_whole) == (1, MAX_MISSED, True)


async def test_all_of_it_is_read_however_big_it_is(post: Post) -> None:
    frames = [b"%d" % number + b"x" * 65_000 for number in range(MAX_MISSED)]
    for start in range(0, MAX_MISSED, 64):  # no more may wait to be written at once
        await post.send(*frames[start : start + 64])

    assert (await post.missed("")).fresh == frames


# What is new. ---------------------------------------------------------------------------------------

MINE = SUBJECTS.user(ALICE, SESSION)


async def test_what_is_new_comes_with_the_sequence_of_its_last(post: Post) -> None:
    await post.send(*events("a", "b"))
    first = (await post.news({MINE: 0}))[MINE]
    assert first.frames == events("a", "b")

    assert await post.news({MINE: first.newest}) == {}

    await post.send(*events("c"))
    second = (await post.news({MINE: first.newest}))[MINE]
    assert second.frames == events("c")
    assert second.newest > first.newest


async def test_what_is_missed_comes_with_the_sequence_of_its_last_too(post: Post) -> None:
    await post.send(*events("a", "b"))
    newest = (await post.news({MINE: 0}))[MINE].newest

    missed = await post.mailbox.missed(ALICE, SESSION, "a", await post.marks.passed())

    assert missed == Missed(events("a"), events("b"), is_whole=True, newest=newest)


async def test_everybody_s_news_are_read_however_many_they_are(post: Post) -> None:
    subjects = [SUBJECTS.user(UserId(f"用户 {number}"), SESSION) for number in range(300)]
    for number in range(0, 300, 2):
        await post.send(*events(f"e-{number}"), user=UserId(f"用户 {number}"))

    news = await post.news(dict.fromkeys(subjects, 0))

    assert {subject: found.frames for subject, found in news.items()} == {
        subjects[number]: events(f"e-{number}") for number in range(0, 300, 2)
    }


async def test_who_has_more_news_than_are_kept_gets_those_that_are_kept(post: Post) -> None:
    names = [f"e-{number}" for number in range(MAX_MISSED + 10)]
    await post.send(*events(*names))

    assert (await post.news({MINE: 0}))[MINE].frames == events(*names[9:])


async def test_a_mailbox_that_was_lost_and_begun_anew_is_all_news(post: Post) -> None:
    await post.send(*events("a", "b", "c"))
    before = (await post.news({MINE: 0}))[MINE].newest
    await post.lose()
    assert await post.news({MINE: before}) == {}

    await post.send(*events("d"))

    assert (await post.news({MINE: before}))[MINE].frames == events("d")


# When it does not answer. ---------------------------------------------------------------------------


async def test_without_a_mailbox_there_is_no_answer(bare_post: Post) -> None:
    with pytest.raises(NoAnswer):
        await bare_post.missed("")
    with pytest.raises(NoAnswer):
        await bare_post.mailbox.missed(ALICE, SESSION, "", MARK)
    with pytest.raises(NoAnswer):
        await bare_post.mailbox.news({MINE: 0}, MARK)


async def test_a_mailbox_that_does_not_have_the_mark_yet_is_no_answer(post: Post) -> None:
    await post.send(*events("a"))
    mark = await post.marks.passed()
    later = mark._replace(sequence=mark.sequence + 1)

    with pytest.raises(NoAnswer):
        await post.mailbox.missed(ALICE, SESSION, "", later)
    with pytest.raises(NoAnswer):
        await post.mailbox.news({MINE: 0}, later)


async def test_without_a_broker_there_is_no_answer(post: Post, pip_nats: NatsServer) -> None:
    away, _ = watch(post.broker)
    pip_nats.kill()
    await happens(away)

    with pytest.raises(BrokerAway):
        await post.missed("")
    with pytest.raises(NoAnswer):
        await post.mailbox.missed(ALICE, SESSION, "", MARK)
    with pytest.raises(NoAnswer):
        await post.mailbox.news({MINE: 0}, MARK)
