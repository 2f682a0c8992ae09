"""How much the ends of many calls read."""

from collections.abc import Mapping

from presence.store import NOTHING_KNOWN, ListedStore, Record
from tests.unit.presence.counting_store import CountingStore
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening


class WeighingStore(CountingStore):
    """A store that weighs what is read of it."""

    def __init__(self, store: ListedStore) -> None:
        super().__init__(store)
        self.bytes = 0
        self.reads = 0

    async def read(
        self, *keys: str, confirmed: bool = False, known: Mapping[str, Record] = NOTHING_KNOWN
    ) -> dict[str, Record]:
        """See `Store.read`."""
        found = await super().read(*keys, confirmed=confirmed, known=known)
        self.reads += len(keys)
        self.bytes += sum(len(record.value) for record in found.values())
        return found


async def with_peers(count: int, *rooms: str) -> tuple[PresenceProcess, WeighingStore]:
    """Alice has called many, all of whom are in the hall and in these rooms with her, with much held."""
    process = PresenceProcess()
    await process.open(opening("alice", "hall", *rooms))
    for number in range(count):
        peer = f"u{number}"
        await process.open(opening(peer, "hall", *rooms))
        await process.signal("alice", peer, "OFFER", f"offer {number}")
        for candidate in range(4):
            frame = f"{number} {candidate}".ljust(2000, ".")
            await process.signal("alice", peer, "ICE_CANDIDATE", frame)
    weighing = WeighingStore(process.store)
    process.over(weighing)
    return process, weighing


async def test_leaving_one_of_two_rooms_reads_no_negotiation() -> None:
    process, weighing = await with_peers(50, "cellar")
    await process.leave("alice", "cellar")
    assert (await process.pair("alice", "u0")).is_active
    assert weighing.bytes < 50 * 1000


async def test_leaving_the_last_common_room_ends_all_calls_of_it() -> None:
    process, _ = await with_peers(6)
    await process.join("u5", "cellar")
    await process.join("alice", "cellar")
    await process.leave("alice", "hall")
    for number in range(5):
        assert not (await process.pair("alice", f"u{number}")).is_active
    assert (await process.pair("alice", "u5")).is_active


async def test_a_negotiation_that_is_over_is_not_asked_about_again() -> None:
    process, weighing = await with_peers(3)
    for number in range(3):
        await process.signal("alice", f"u{number}", "HANGUP", f"hangup {number}")
    weighing.reads = 0
    await process.leave("alice", "hall")
    assert weighing.reads < 12
