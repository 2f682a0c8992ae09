"""From one number of partitions to another, on a real broker: refused while anything is stored."""

import pytest
from nats.js.errors import NotFoundError

from presence.mailbox import OtherNumber
from presence.moving import StillStored, number_there, remove_empty
from presence.settings import PresenceSettings
from presence.store import StoreUnavailable
from presence.streams import make_streams
from tests.support.nats_server import NatsServer
from tieline.runtime.broker import Broker, connect
from tieline.wire import jetstream
from tieline.wire.ids import RoomId, SessionId, UserId
from tieline.wire.subjects import Keys, Subjects

SETTINGS = PresenceSettings(storage="memory")
KEEP_S = 40.0
NUMBERS = [(1, 4), (4, 1), (4, 3), (2, 4)]

moving = pytest.mark.parametrize(("before", "after"), NUMBERS)


async def made(broker: Broker, number: int) -> Subjects:
    """Make the streams of so many partitions."""
    subjects = Subjects("t", number)
    await make_streams(broker, subjects, SETTINGS, KEEP_S)
    return subjects


async def streams(broker: Broker) -> set[str]:
    """Name all streams that are there."""
    return {info.config.name or "" for info in await broker.client.jetstream().streams_info()}


def names(subjects: Subjects) -> set[str]:
    """Name the streams that should be there."""
    buckets = {jetstream.bucket_stream(part.bucket()) for part in subjects.parts()}
    return buckets | {part.mailbox() for part in subjects.parts()}


@pytest.mark.parametrize("number", [1, 2, 4])
async def test_the_streams_of_a_number_are_made_and_found(broker: Broker, number: int) -> None:
    assert await number_there(broker, Subjects("t")) is None
    subjects = await made(broker, number)
    await made(broker, number)
    assert await streams(broker) == names(subjects)
    assert await number_there(broker, Subjects("t", 7)) == number


async def test_all_partitions_together_have_the_room_of_one(broker: Broker) -> None:
    one = await make_streams(broker, Subjects("one"), SETTINGS, KEEP_S)
    assert await make_streams(broker, Subjects("four", 4), SETTINGS, KEEP_S) == one


@moving
async def test_another_number_is_refused_with_the_one_that_is_there(
    broker: Broker, before: int, after: int
) -> None:
    there = await made(broker, before)
    with pytest.raises(OtherNumber, match=f"TIELINE_PARTITIONS is {after}, but .* is in {before} "):
        await made(broker, after)
    assert await streams(broker) == names(there)


@moving
async def test_a_bucket_alone_keeps_another_number_out(broker: Broker, before: int, after: int) -> None:
    there = await made(broker, before)
    for part in there.parts():
        await broker.client.jetstream().delete_stream(part.mailbox())
    with pytest.raises(OtherNumber, match="in another number"):
        await made(broker, after)


@moving
async def test_a_mailbox_alone_keeps_another_number_out(broker: Broker, before: int, after: int) -> None:
    there = await made(broker, before)
    for part in there.parts():
        await broker.client.jetstream().delete_stream(jetstream.bucket_stream(part.bucket()))
    with pytest.raises(OtherNumber):
        await made(broker, after)


@moving
async def test_what_is_empty_gives_way(broker: Broker, before: int, after: int) -> None:
    there = await made(broker, before)
    for part in there.parts():  # which is nothing that anybody would miss
        await broker.client.jetstream().publish(part.mailbox_question(), b"")
        await broker.client.jetstream().publish(f"$KV.{part.bucket()}.{Keys.probe()}", b"")
    await remove_empty(broker, there)
    subjects = await made(broker, after)
    assert await streams(broker) == names(subjects)


@moving
@pytest.mark.parametrize("what", ["a frame", "a change of a room", "a record", "a timer"])
async def test_nothing_is_removed_while_anything_is_stored(
    broker: Broker, before: int, after: int, what: str
) -> None:
    there = await made(broker, before)
    user = UserId("alice")
    last = there.parts()[-1]
    subject = {
        "a frame": there.user(user, SessionId("s")),
        "a change of a room": last.room(RoomId("r"), user),
        "a record": f"$KV.{last.bucket()}.{Keys.user(user)}",
        "a timer": f"$KV.{last.bucket()}.timer.lease.g",
    }[what]
    await broker.client.jetstream().publish(subject, b"x")
    with pytest.raises(StillStored, match=r"is not empty \(\S+ has 1\)"):
        await remove_empty(broker, there)
    assert await streams(broker) == names(there)
    with pytest.raises(OtherNumber):
        await made(broker, after)


@moving
@pytest.mark.parametrize(
    "key",
    [
        Keys.standing(UserId("alice")),
        Keys.given(RoomId("hall"), UserId("alice")),
        Keys.once("an order"),
        Keys.closing(RoomId("hall")),
        Keys.last_number(),
    ],
)
async def test_what_backends_decided_goes_only_for_who_says_so(
    broker: Broker, before: int, after: int, key: str
) -> None:
    there = await made(broker, before)
    part = there.parts()[there.partitions.of_key(key) or 0]
    await broker.client.jetstream().publish(f"$KV.{part.bucket()}.{key}", b"x")
    with pytest.raises(StillStored, match=r"has 1 records of what backends .* --forget-decisions"):
        await remove_empty(broker, there)
    assert await streams(broker) == names(there)
    await remove_empty(broker, there, forgets_decisions=True)
    assert await streams(broker) == set()
    await made(broker, after)


async def test_with_what_was_decided_goes_nothing_else(broker: Broker) -> None:
    there = await made(broker, 2)
    part = there.parts()[0]
    for key in (Keys.standing(UserId("alice")), Keys.user(UserId("alice"))):
        await broker.client.jetstream().publish(f"$KV.{part.bucket()}.{key}", b"x")
    with pytest.raises(StillStored, match=r"is not empty \(KV_t-0-of-2 has 1\)"):
        await remove_empty(broker, there, forgets_decisions=True)
    assert await streams(broker) == names(there)


async def test_what_is_gone_already_is_as_well(broker: Broker) -> None:
    there = await made(broker, 2)
    await broker.client.jetstream().delete_stream(there.parts()[1].mailbox())
    await remove_empty(broker, there)
    assert await streams(broker) == set()
    with pytest.raises(NotFoundError):
        await broker.client.jetstream().stream_info("MAILBOX_t-0-of-2")


async def test_without_an_answer_nothing_is_known(pip_nats: NatsServer) -> None:
    broker = await connect(pip_nats.url, "test")
    await made(broker, 1)
    pip_nats.kill()
    with pytest.raises(StoreUnavailable):
        await remove_empty(broker, Subjects("t"))
    await broker.close()
