"""A room is closed however many are in it: at once for who comes, and by and by for who is there."""

import functools

import pytest

from presence.closings import AT_ONCE, SLICE_S
from presence.once import Once
from presence.rules.closing import Closing, read, with_more, write
from presence.store import StoreUnavailable
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.codes import ErrorCode
from tieline.wire.ids import GatewayId, RoomId, UserId
from tieline.wire.internal.answers import Refused
from tieline.wire.internal.backend import AddMember, Affected, CloseRoom, RemoveMember
from tieline.wire.internal.directions import BackendOrder, PresenceReply
from tieline.wire.subjects import Keys

HALL = RoomId("hall")
ORDER = CloseRoom("1", 3600.0, HALL)
MEMBERS = 3 * AT_ONCE


class Crowd(PresenceProcess):
    """A hall with many members, of whom some are put out in the time of a slice."""

    def __init__(self, in_time: int) -> None:
        self.in_time = in_time
        super().__init__()

    async def fill(self) -> None:
        """Let all come, and have time pass with each who is put out."""
        self.living_gateways.add(GatewayId("g1"))
        for number in range(MEMBERS):
            await self.open(opening(f"user{number}", "hall"))
        put_out = self.closings._put_out

        async def in_time(room: RoomId, kept_out_until: int, number: int, user: UserId) -> object:
            self.monotonic_s += SLICE_S / self.in_time
            return await put_out(room, kept_out_until, number, user)

        self.closings._put_out = in_time  # type: ignore[assignment]

    async def there(self) -> int:
        """Count who is in the hall."""
        users = [await self.user(f"user{number}") for number in range(MEMBERS)]
        return sum(HALL in user.rooms for user in users if user is not None and user.is_reachable)

    async def closing(self) -> Closing | None:
        """Read what is under way."""
        found = await self.store.read(Keys.closing(HALL))
        closing = read(found[Keys.closing(HALL)].value) if found else None
        return None if closing is None or closing.is_done else closing


async def crowd(in_time: int) -> Crowd:
    process = Crowd(in_time)
    await process.fill()
    return process


async def test_a_room_of_many_is_closed_in_slices() -> None:
    process = await crowd(in_time=AT_ONCE)
    left = MEMBERS
    while left:
        reply = await process.ask(ORDER)
        assert isinstance(reply, Affected)
        assert reply.left < left
        assert reply.count == MEMBERS - reply.left
        left = reply.left
        assert await process.there() == left
    assert await process.closing() is None
    assert await process.ask(ORDER) == Affected(MEMBERS)


async def test_nobody_comes_in_while_a_room_is_being_closed() -> None:
    process = await crowd(in_time=1)
    await process.open(opening("late"))
    await process.ask(ORDER)
    assert await process.join("late", "hall") == Refused(ErrorCode.ROOM_FORBIDDEN.name)
    opened = await process.open(opening("later", "hall", "cellar"))
    assert set(opened.rooms) == {RoomId("cellar")}
    away = await process.open(opening("away", secret="away"))
    assert not away.resumed
    await process.end("away", resumable=True)
    refused = Refused(ErrorCode.ROOM_FORBIDDEN.name)
    assert await process.ask(AddMember("2", 60.0, UserId("away"), HALL)) == refused
    assert not [key for key in process.store.contents() if key.startswith("given.")]
    process.in_time = MEMBERS * 2
    await process.ask(ORDER)
    assert not isinstance(await process.join("late", "hall"), Refused)


async def test_a_timer_goes_on_where_nobody_asks() -> None:
    process = await crowd(in_time=1)
    reply = await process.ask(ORDER)
    assert isinstance(reply, Affected)
    assert reply.left
    assert Keys.close_timer(HALL) in process.store.contents()
    process.in_time = MEMBERS * 2
    await process.closings.go_on(HALL)
    assert await process.there() == 0
    assert await process.ask(ORDER) == Affected(MEMBERS)


async def test_who_came_when_all_were_out_stays_whatever_is_asked_again() -> None:
    process = await crowd(in_time=1)
    await process.ask(ORDER)
    process.in_time = MEMBERS * 2
    await process.closings.go_on(HALL)
    await process.join("user0", "hall")
    await process.closings.go_on(HALL)
    assert await process.ask(ORDER) == Affected(MEMBERS)
    assert await process.there() == 1


async def test_whom_a_later_order_gives_the_room_holds_nothing_up() -> None:
    process = await crowd(in_time=MEMBERS * 2)
    later = str(await process.number() + 10**9).encode()
    await process.store.write(Keys.given(HALL, UserId("zoe")), later, 0)
    assert await process.ask(ORDER) == Affected(MEMBERS)
    assert await process.closing() is None
    assert Keys.given(HALL, UserId("zoe")) in process.store.contents()


async def test_a_process_that_died_at_it_is_followed_by_another_one() -> None:
    process = await crowd(in_time=1)
    other = PresenceProcess(beside=process)
    await process.ask(ORDER)
    assert await other.ask(ORDER) == Affected(MEMBERS)


async def test_what_a_second_order_says_counts_for_those_who_are_left() -> None:
    process = await crowd(in_time=1)
    await process.ask(ORDER)
    process.in_time = MEMBERS * 2
    reply = await process.ask(CloseRoom("2", 60.0, HALL, kept_out_s=30.0))
    assert isinstance(reply, Affected)
    assert not reply.left
    refused = [
        user for user in range(MEMBERS) if isinstance(await process.join(f"user{user}", "hall"), Refused)
    ]
    assert len(refused) == reply.count > 0


async def test_who_was_put_out_meanwhile_is_not_counted() -> None:
    process = await crowd(in_time=1)
    await process.ask(ORDER)
    closing = await process.closing()
    assert closing is not None
    before = closing.out
    for number in range(MEMBERS):
        await process.ask(RemoveMember(f"out {number}", 60.0, UserId(f"user{number}"), HALL))
    assert await process.ask(ORDER) == Affected(before)


async def test_another_process_may_find_that_nobody_is_left() -> None:
    process = await crowd(in_time=MEMBERS * 2)
    other = PresenceProcess(beside=process)
    put_out = process.closings._put_out

    async def overtaken(room: RoomId, kept_out_until: int, number: int, user: UserId) -> object:
        process.closings._put_out = put_out
        await other.closings.go_on(room)
        return await put_out(room, kept_out_until, number, user)

    process.closings._put_out = overtaken  # type: ignore[assignment]
    reply = await process.ask(ORDER)
    assert isinstance(reply, Affected)
    assert not reply.left
    assert await process.there() == 0
    assert await process.closing() is None
    assert await other.ask(ORDER) == reply


@pytest.mark.parametrize("order", [b"?", b""])
async def test_what_cannot_be_understood_is_finished_all_the_same(order: bytes) -> None:
    process = await crowd(in_time=MEMBERS * 2)
    await process.store.write(Keys.closing(HALL), write(Closing(order, 0)), 0)
    await process.closings.go_on(HALL)
    assert await process.there() == 0
    assert await process.closing() is None


async def test_that_a_room_is_closed_is_said_when_it_is_open_again(monkeypatch: pytest.MonkeyPatch) -> None:
    process = await crowd(in_time=1)
    await process.ask(ORDER)
    process.in_time = MEMBERS * 2
    write = process.store.write
    added: list[PresenceReply] = []

    async def write_and_add(
        key: str, value: bytes, revision: int, ttl_s: float | None = None, *, confirm: bool = True
    ) -> int:
        revision = await write(key, value, revision, ttl_s, confirm=confirm)
        if key == Keys.once(ORDER.once) and not added:  # whoever asks once more is answered now
            added.append(await process.ask(AddMember("2", 60.0, UserId("zoe"), HALL)))
        return revision

    monkeypatch.setattr(process.store, "write", write_and_add)
    await process.closings.go_on(HALL)
    assert added == [Affected(0)]


class Dying(Once):
    """It dies before it keeps how a room was closed."""

    async def settle(self, order: BackendOrder, reply: Affected) -> None:
        """See `Once.settle`."""
        del order, reply
        raise StoreUnavailable("dead")


async def test_who_finds_it_done_by_another_says_how_many_are_out() -> None:
    process = await crowd(in_time=1)
    other = PresenceProcess(beside=process)
    other.closings._once = Dying(other.store, other.clock)
    await process.ask(ORDER)
    process.in_time = MEMBERS * 2
    put_out = process.closings._put_out

    async def last(room: RoomId, kept_out_until: int, number: int, user: UserId) -> PresenceReply:
        process.closings._put_out = put_out
        with pytest.raises(StoreUnavailable):
            await other.closings.go_on(HALL)
        return await put_out(room, kept_out_until, number, user)

    process.closings._put_out = last
    assert await process.ask(ORDER) == Affected(MEMBERS)
    assert await process.there() == 0


async def test_a_room_is_open_when_it_is_answered_whoever_was_at_it() -> None:
    process = await crowd(in_time=MEMBERS * 2)
    other = PresenceProcess(beside=process)
    left = process.closings._left

    async def nobody(room: RoomId, number: int) -> list[UserId]:
        users = await left(room, number)
        process.closings._left = left  # type: ignore[method-assign]
        await other.closings._change(HALL, functools.partial(with_more, 5))
        return users

    process.closings._left = nobody  # type: ignore[method-assign]
    assert await process.ask(ORDER) == Affected(MEMBERS + 5)
    assert await process.closing() is None
    assert await process.ask(AddMember("2", 60.0, UserId("user0"), HALL)) == Affected(1)
