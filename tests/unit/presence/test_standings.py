"""What the backend has decided about users, as it is stored."""

import pytest

from presence.records import Records
from presence.rules import standing as rules
from presence.rules.standing import Standing
from presence.standings import Standings
from presence.store import ABSENT, Conflict, Record, StoreUnavailable
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.rules.frames import NOW
from tieline.wire.ids import RoomId, UserId
from tieline.wire.subjects import Keys

ALICE, HALL = UserId("alice"), RoomId("hall")


def standings(process: PresenceProcess) -> Standings:
    return Standings(process.records, process.clock)


async def test_what_is_decided_is_read_again() -> None:
    process = PresenceProcess()
    await standings(process).ban(ALICE, 60.0)
    await standings(process).give(ALICE, HALL)
    await standings(process).silence(ALICE, is_silenced=True)
    assert await standings(process).read(ALICE) == Standing(NOW + 60_000, (HALL,), True)
    assert process.store.contents()[Keys.given(HALL, ALICE)] == b"1"


async def test_a_standing_goes_when_it_says_nothing_any_more() -> None:
    process = PresenceProcess()
    await standings(process).ban(ALICE, 60.0)
    assert Keys.standing(ALICE) in process.store.contents()
    process.clock.pass_s(61)
    assert Keys.standing(ALICE) not in process.store.contents()
    await standings(process).silence(ALICE, is_silenced=True)
    await standings(process).silence(ALICE, is_silenced=False)
    assert Keys.standing(ALICE) not in process.store.contents()


async def test_what_changes_nothing_writes_nothing() -> None:
    process = PresenceProcess()
    await standings(process).give(ALICE, HALL)
    before = (await process.store.read(Keys.standing(ALICE)))[Keys.standing(ALICE)]
    await standings(process).give(ALICE, HALL)
    assert (await process.store.read(Keys.standing(ALICE)))[Keys.standing(ALICE)] == before


async def test_a_room_that_is_taken_is_in_no_index() -> None:
    process = PresenceProcess()
    await standings(process).give(ALICE, HALL)
    after = await standings(process).take(ALICE, HALL, 30.0)
    assert after == Standing(kept_out=((HALL, NOW + 30_000),))
    assert Keys.given(HALL, ALICE) not in process.store.contents()


async def test_a_standing_that_cannot_be_read_is_written_anew() -> None:
    process = PresenceProcess()
    await process.store.put(Keys.standing(ALICE), b"?", 60.0)
    assert await standings(process).read(ALICE) == rules.NONE
    await standings(process).give(ALICE, HALL)
    assert (await standings(process).read(ALICE)).given == (HALL,)


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
        assert (await contested.give(ALICE, HALL)).given == (HALL,)
    else:
        with pytest.raises(StoreUnavailable):
            await contested.give(ALICE, HALL)
    assert ABSENT.revision == 0
