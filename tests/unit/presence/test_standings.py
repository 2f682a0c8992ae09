"""What the backend has decided about users, as it is stored."""

from collections.abc import Awaitable, Callable

import pytest

from presence.records import Records
from presence.rules import standing as rules
from presence.rules.orders import BAN, OVERTAKEN, VOICE, Named, Place, encode_named, of_room
from presence.rules.standing import Gift, Standing
from presence.standings import AsOf, Standings
from presence.store import ABSENT, Conflict, Record, StoreUnavailable
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import RoomId, UserId
from tieline.wire.subjects import Keys

ALICE, HALL = UserId("alice"), RoomId("hall")
FIRST = NOW * 1000
"""The number of an order."""

MOST = 10


def hall(number: int, claim: int = 0, once: str = "") -> Place:
    """Where an order about the hall has its place, or a copy of one."""
    return Place(ALICE, of_room(HALL), number, once, claim)


def about(what: str, number: int) -> Place:
    return Place(ALICE, what, number)


def standings(process: PresenceProcess) -> Standings:
    return Standings(process.records, process.clock)


async def test_what_is_decided_is_read_again() -> None:
    process = PresenceProcess()
    await standings(process).ban(about(BAN, FIRST), 60.0)
    await standings(process).give(HALL, hall(FIRST), MOST)
    await standings(process).silence(about(VOICE, FIRST), is_silenced=True)
    orders = (("ban", FIRST), ("room hall", FIRST), ("voice", FIRST))
    gifts = (Gift(HALL, FIRST, 0, 0, was_given=False),)
    decided = Standing(NOW + 60_000, (HALL,), True, orders=orders, gifts=gifts)
    assert await standings(process).read(ALICE) == decided
    assert await standings(process).members_in(HALL) == {ALICE: AsOf(FIRST, 0)}


async def test_a_standing_goes_when_it_says_nothing_any_more() -> None:
    process = PresenceProcess()
    await standings(process).ban(about(BAN, FIRST), 60.0)
    assert Keys.standing(ALICE) in process.store.contents()
    process.clock.pass_s(rules.NUMBERS_KEPT_MS / 1000 + 1)
    assert Keys.standing(ALICE) not in process.store.contents()
    number = await process.number()
    await standings(process).silence(about(VOICE, number), is_silenced=True)
    await standings(process).silence(about(VOICE, number + 1), is_silenced=False)
    process.clock.pass_s(rules.NUMBERS_KEPT_MS / 1000 + 1)
    assert Keys.standing(ALICE) not in process.store.contents()


async def test_a_standing_that_says_nothing_is_removed() -> None:
    process = PresenceProcess()
    await standings(process).ban(about(BAN, FIRST), 7200.0)
    process.clock.pass_s(rules.NUMBERS_KEPT_MS / 1000 + 1)
    await standings(process).change(ALICE, lambda _before, _now: rules.NONE)
    assert Keys.standing(ALICE) not in process.store.contents()


async def test_what_changes_nothing_writes_nothing() -> None:
    process = PresenceProcess()
    await standings(process).give(HALL, hall(FIRST), MOST)
    before = (await process.store.read(Keys.standing(ALICE)))[Keys.standing(ALICE)]
    await standings(process).give(HALL, hall(FIRST), MOST)
    assert (await process.store.read(Keys.standing(ALICE)))[Keys.standing(ALICE)] == before


async def test_a_room_that_is_taken_is_in_no_index() -> None:
    process = PresenceProcess()
    await standings(process).give(HALL, hall(FIRST), MOST)
    after = await standings(process).take(HALL, hall(FIRST + 1), NOW + 30_000)
    assert after == Standing(kept_out=((HALL, NOW + 30_000),), orders=(("room hall", FIRST + 1),))
    assert Keys.given(HALL, ALICE) not in process.store.contents()


async def test_a_standing_that_cannot_be_read_is_written_anew() -> None:
    process = PresenceProcess()
    await process.store.put(Keys.standing(ALICE), b"?", 60.0)
    assert await standings(process).read(ALICE) == rules.NONE
    await standings(process).give(HALL, hall(FIRST), MOST)
    assert (await standings(process).read(ALICE)).given == (HALL,)


async def test_an_older_order_changes_nothing_and_leaves_no_index() -> None:
    process = PresenceProcess()
    decided = standings(process)
    await decided.take(HALL, hall(FIRST + 1), 0)
    assert await decided.give(HALL, hall(FIRST), MOST) == OVERTAKEN
    assert Keys.given(HALL, ALICE) not in process.store.contents()
    await decided.give(HALL, hall(FIRST + 2), MOST)
    assert await decided.take(HALL, hall(FIRST + 1), 0) is None
    assert (await decided.read(ALICE)).given == (HALL,)
    assert await decided.members_in(HALL) == {ALICE: AsOf(FIRST + 2, 0)}


async def test_an_older_order_keeps_the_index_of_a_later_one() -> None:
    process = PresenceProcess()
    decided = standings(process)
    await process.store.write(Keys.given(HALL, ALICE), str(FIRST + 9).encode(), 0)
    await decided.take(HALL, hall(FIRST), 0)
    await decided.give(HALL, hall(FIRST + 1), MOST)
    await decided.take(HALL, hall(FIRST + 2), 0)
    assert process.store.contents()[Keys.given(HALL, ALICE)] == str(FIRST + 9).encode()


async def test_an_index_that_names_no_order_is_older_than_all() -> None:
    process = PresenceProcess()
    await process.store.write(Keys.given(HALL, ALICE), b"?", 0)
    await standings(process).take(HALL, hall(FIRST), 0)
    assert Keys.given(HALL, ALICE) not in process.store.contents()


async def test_what_is_given_is_taken_back_if_none_has_come_later() -> None:
    process = PresenceProcess()
    decided = standings(process)
    await decided.take(HALL, hall(FIRST), NOW + 30_000)
    assert await decided.give(HALL, hall(FIRST + 1), MOST) is None
    await decided.take_back(HALL, hall(FIRST + 1))
    assert await decided.read(ALICE) == Standing(orders=(("room hall", FIRST),))
    assert Keys.given(HALL, ALICE) not in process.store.contents()
    await decided.give(HALL, hall(FIRST + 2), MOST)
    await decided.take_back(HALL, hall(FIRST + 1))
    assert await decided.members_in(HALL) == {ALICE: AsOf(FIRST + 2, 0)}


async def test_what_another_copy_has_given_is_not_taken_back() -> None:
    process = PresenceProcess()
    decided = standings(process)
    await decided.give(HALL, hall(FIRST, claim=1), MOST)
    await decided.give(HALL, hall(FIRST, claim=2), MOST)
    await decided.take_back(HALL, hall(FIRST, claim=1))
    assert await decided.members_in(HALL) == {ALICE: AsOf(FIRST, 2)}
    await decided.take_back(HALL, hall(FIRST, claim=2))
    assert Keys.given(HALL, ALICE) not in process.store.contents()


Meanwhile = Callable[[Standings], Awaitable[object]]


async def nothing(_other: Standings) -> None:
    """Let it be as it is."""


async def the_earlier_is_taken_back(other: Standings) -> None:
    await other.take_back(HALL, hall(FIRST))


async def a_later_gives_it(other: Standings) -> None:
    await other.give(HALL, hall(FIRST + 2), MOST)


@pytest.mark.parametrize(
    ("meanwhile", "left"),
    [(nothing, AsOf(FIRST, 0)), (the_earlier_is_taken_back, None), (a_later_gives_it, AsOf(FIRST + 2, 0))],
)
async def test_of_orders_that_are_taken_back_no_index_is_left(
    meanwhile: Meanwhile, left: AsOf | None
) -> None:
    """Whichever ends first: what a later one has entered an earlier one does not remove."""
    process = PresenceProcess()
    decided, other, write = standings(process), standings(process), process.store.write
    await decided.give(HALL, hall(FIRST), MOST)
    await decided.give(HALL, hall(FIRST + 1), MOST)

    async def late(key: str, value: bytes, revision: int, *rest: float | None) -> int:
        if key == Keys.given(HALL, ALICE):
            process.store.write = write  # type: ignore[method-assign]
            await meanwhile(other)
        return await write(key, value, revision, *rest)

    process.store.write = late  # type: ignore[method-assign, assignment]
    await decided.take_back(HALL, hall(FIRST + 1))
    assert await decided.entered_in(HALL) == ({} if left is None else {ALICE: left})
    await decided.take_back(HALL, hall(FIRST + 2))
    await decided.take_back(HALL, hall(FIRST))
    assert Keys.given(HALL, ALICE) not in process.store.contents()


async def test_a_copy_that_is_taken_over_keeps_the_index_of_its_gift() -> None:
    process = PresenceProcess()
    decided = standings(process)
    claim = encode_named(Named(b"", b"", NOW, FIRST))
    first = await process.store.write(Keys.once("0a"), claim, 0, 60.0)
    await decided.give(HALL, hall(FIRST, first, "0a"), MOST)
    await process.store.write(Keys.once("0a"), claim, first, 60.0)
    assert await decided.give(HALL, hall(FIRST, first, "0a"), MOST) == OVERTAKEN
    assert await decided.members_in(HALL) == {ALICE: AsOf(FIRST, first)}
    await decided.take_back(HALL, hall(FIRST, first, "0a"))
    assert Keys.given(HALL, ALICE) not in process.store.contents()


async def test_a_copy_that_has_begun_before_the_last_changes_nothing() -> None:
    process = PresenceProcess()
    decided = standings(process)
    claim = encode_named(Named(b"", b"", NOW, FIRST))
    revision = await process.store.write(Keys.once("0a"), claim, 0, 60.0)
    assert await decided.give(HALL, hall(FIRST, revision + 1, "0a"), MOST) == OVERTAKEN
    assert Keys.given(HALL, ALICE) not in process.store.contents()
    assert await decided.take(HALL, hall(FIRST, revision + 1, "0a"), 0) is None
    assert await decided.give(HALL, hall(FIRST, revision, "0a"), MOST) is None


async def test_an_index_without_a_standing_makes_nobody_a_member() -> None:
    process = PresenceProcess()
    await process.store.write(Keys.given(HALL, ALICE), f"{FIRST} 7".encode(), 0)
    assert await standings(process).members_in(HALL) == {}
    assert await standings(process).entered_in(HALL) == {ALICE: AsOf(FIRST, 7)}


async def test_who_is_given_a_room_while_its_index_goes_is_entered_again() -> None:
    process = PresenceProcess()
    decided, other = standings(process), standings(process)
    assert await decided.give(HALL, hall(FIRST + 1), MOST) is None
    delete = process.store.delete

    async def late(key: str, revision: int) -> None:
        if key == Keys.given(HALL, ALICE):  # an earlier order, which the later one has not overtaken now
            assert await other.give(HALL, hall(FIRST), MOST) is None
        await delete(key, revision)

    process.store.delete = late  # type: ignore[method-assign]
    await decided.take_back(HALL, hall(FIRST + 1))
    assert await decided.members_in(HALL) == {ALICE: AsOf(FIRST + 1, 0)}


async def test_who_gives_a_room_while_its_index_goes_enters_it_again() -> None:
    process = PresenceProcess()
    decided, write = standings(process), process.store.write

    async def late(key: str, value: bytes, revision: int, *rest: float | None) -> int:
        if key == Keys.standing(ALICE):
            await process.store.delete(Keys.given(HALL, ALICE), process.store.last_revision())
        return await write(key, value, revision, *rest)

    process.store.write = late  # type: ignore[method-assign, assignment]
    assert await decided.give(HALL, hall(FIRST), MOST) is None
    assert await decided.members_in(HALL) == {ALICE: AsOf(FIRST, 0)}


class Contested:
    """A store in which somebody else wins so many races first."""

    def __init__(self, process: PresenceProcess, lost: int) -> None:
        self._store = process.store
        self._lost = lost

    async def read(self, *keys: str, confirmed: bool = False) -> dict[str, Record]:
        return await self._store.read(*keys, confirmed=confirmed)

    async def write(self, key: str, value: bytes, revision: int, ttl_s: float | None = None) -> int:
        if self._lost:
            self._lost -= 1
            raise Conflict(key)
        return await self._store.write(key, value, revision, ttl_s)


@pytest.mark.parametrize(("lost", "is_given"), [(1, True), (3, True), (1_000, False)])
async def test_who_loses_a_race_decides_anew(lost: int, is_given: bool) -> None:
    process = PresenceProcess()
    records = Records(Contested(process, lost), 300.0)  # type: ignore[arg-type]
    contested = Standings(records, process.clock)
    if is_given:
        assert await contested.give(HALL, hall(FIRST), MOST) is None
        assert (await contested.read(ALICE)).given == (HALL,)
    else:
        with pytest.raises(StoreUnavailable):
            await contested.ban(about(BAN, FIRST), 60.0)
        with pytest.raises(StoreUnavailable):
            await contested.give(HALL, hall(FIRST), MOST)
    assert ABSENT.revision == 0
