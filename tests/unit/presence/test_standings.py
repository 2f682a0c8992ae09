"""What the backend has decided about users, as it is stored."""

import pytest

from presence.records import Records
from presence.rules import standing as rules
from presence.rules.standing import Standing
from presence.standings import NOTHING_BEFORE, Before, Standings
from presence.store import ABSENT, Conflict, Record, StoreUnavailable
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import RoomId, UserId
from tieline.wire.subjects import Keys

ALICE, HALL = UserId("alice"), RoomId("hall")
FIRST = NOW * 1000
"""The number of an order."""


def standings(process: PresenceProcess) -> Standings:
    return Standings(process.records, process.clock)


async def test_what_is_decided_is_read_again() -> None:
    process = PresenceProcess()
    await standings(process).ban(ALICE, 60.0, FIRST)
    await standings(process).give(ALICE, HALL, FIRST)
    await standings(process).silence(ALICE, FIRST, is_silenced=True)
    orders = (("ban", FIRST), ("room hall", FIRST), ("voice", FIRST))
    assert await standings(process).read(ALICE) == Standing(NOW + 60_000, (HALL,), True, orders=orders)
    assert process.store.contents()[Keys.given(HALL, ALICE)] == str(FIRST).encode()


async def test_a_standing_goes_when_it_says_nothing_any_more() -> None:
    process = PresenceProcess()
    await standings(process).ban(ALICE, 60.0, FIRST)
    assert Keys.standing(ALICE) in process.store.contents()
    process.clock.pass_s(rules.NUMBERS_KEPT_MS / 1000 + 1)
    assert Keys.standing(ALICE) not in process.store.contents()
    number = await process.number()
    await standings(process).silence(ALICE, number, is_silenced=True)
    await standings(process).silence(ALICE, number + 1, is_silenced=False)
    process.clock.pass_s(rules.NUMBERS_KEPT_MS / 1000 + 1)
    assert Keys.standing(ALICE) not in process.store.contents()


async def test_a_standing_that_says_nothing_is_removed() -> None:
    process = PresenceProcess()
    await standings(process).ban(ALICE, 7200.0, FIRST)
    process.clock.pass_s(rules.NUMBERS_KEPT_MS / 1000 + 1)
    await standings(process).change(ALICE, lambda _before, _now: rules.NONE)
    assert Keys.standing(ALICE) not in process.store.contents()


async def test_what_changes_nothing_writes_nothing() -> None:
    process = PresenceProcess()
    await standings(process).give(ALICE, HALL, FIRST)
    before = (await process.store.read(Keys.standing(ALICE)))[Keys.standing(ALICE)]
    await standings(process).give(ALICE, HALL, FIRST)
    assert (await process.store.read(Keys.standing(ALICE)))[Keys.standing(ALICE)] == before


async def test_a_room_that_is_taken_is_in_no_index() -> None:
    process = PresenceProcess()
    await standings(process).give(ALICE, HALL, FIRST)
    after = await standings(process).take(ALICE, HALL, 30.0, FIRST + 1)
    assert after == Standing(kept_out=((HALL, NOW + 30_000),), orders=(("room hall", FIRST + 1),))
    assert Keys.given(HALL, ALICE) not in process.store.contents()


async def test_a_standing_that_cannot_be_read_is_written_anew() -> None:
    process = PresenceProcess()
    await process.store.put(Keys.standing(ALICE), b"?", 60.0)
    assert await standings(process).read(ALICE) == rules.NONE
    await standings(process).give(ALICE, HALL, FIRST)
    assert (await standings(process).read(ALICE)).given == (HALL,)


async def test_an_older_order_changes_nothing_and_leaves_no_index() -> None:
    process = PresenceProcess()
    decided = standings(process)
    await decided.take(ALICE, HALL, 0.0, FIRST + 1)
    assert await decided.give(ALICE, HALL, FIRST) is None
    assert Keys.given(HALL, ALICE) not in process.store.contents()
    await decided.give(ALICE, HALL, FIRST + 2)
    assert await decided.take(ALICE, HALL, 0.0, FIRST + 1) is None
    assert (await decided.read(ALICE)).given == (HALL,)
    assert process.store.contents()[Keys.given(HALL, ALICE)] == str(FIRST + 2).encode()


async def test_an_older_order_keeps_the_index_of_a_later_one() -> None:
    process = PresenceProcess()
    decided = standings(process)
    await process.store.write(Keys.given(HALL, ALICE), str(FIRST + 9).encode(), 0)
    await decided.take(ALICE, HALL, 0.0, FIRST)
    await decided.give(ALICE, HALL, FIRST + 1)
    await decided.take(ALICE, HALL, 0.0, FIRST + 2)
    assert process.store.contents()[Keys.given(HALL, ALICE)] == str(FIRST + 9).encode()


async def test_an_index_that_names_no_order_is_older_than_all() -> None:
    process = PresenceProcess()
    await process.store.write(Keys.given(HALL, ALICE), b"?", 0)
    await standings(process).take(ALICE, HALL, 0.0, FIRST)
    assert Keys.given(HALL, ALICE) not in process.store.contents()


async def test_what_is_given_is_taken_back_if_none_has_come_later() -> None:
    process = PresenceProcess()
    decided = standings(process)
    await decided.take(ALICE, HALL, 30.0, FIRST)
    before = await decided.give(ALICE, HALL, FIRST + 1)
    assert before == Before(FIRST, was_given=False)
    await decided.take_back(ALICE, HALL, FIRST + 1, before)
    assert await decided.read(ALICE) == Standing(orders=(("room hall", FIRST),))
    assert Keys.given(HALL, ALICE) not in process.store.contents()
    await decided.give(ALICE, HALL, FIRST + 2)
    await decided.take_back(ALICE, HALL, FIRST + 1, before)
    assert (await decided.read(ALICE)).given == (HALL,)
    assert Keys.given(HALL, ALICE) in process.store.contents()


async def test_what_an_earlier_order_gave_is_not_taken_back() -> None:
    process = PresenceProcess()
    decided = standings(process)
    await decided.give(ALICE, HALL, FIRST)
    before = await decided.give(ALICE, HALL, FIRST + 1)
    assert before == Before(FIRST, was_given=True)
    await decided.take_back(ALICE, HALL, FIRST + 1, before)
    assert await decided.read(ALICE) == Standing(given=(HALL,), orders=(("room hall", FIRST),))
    assert Keys.given(HALL, ALICE) in process.store.contents()


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
        assert await contested.give(ALICE, HALL, FIRST) == NOTHING_BEFORE
        assert (await contested.read(ALICE)).given == (HALL,)
    else:
        with pytest.raises(StoreUnavailable):
            await contested.ban(ALICE, 60.0, FIRST)
        with pytest.raises(StoreUnavailable):
            await contested.give(ALICE, HALL, FIRST)
    assert ABSENT.revision == 0
