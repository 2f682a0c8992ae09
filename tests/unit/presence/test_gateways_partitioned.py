"""Gateways where the bucket is in partitions: each has their leases, and the sessions of its own users."""

import msgspec
import pytest

from presence.store import StoreUnavailable
from tests.unit.presence.presence_process import PresenceProcess
from tests.unit.presence.requests import opening
from tieline.wire.ids import GatewayId, SessionId
from tieline.wire.internal.sessions import KeepLease
from tieline.wire.partitions import Partitions
from tieline.wire.subjects import Keys

G1 = GatewayId("g1")
PLACES = Partitions(4)


def partitioned() -> PresenceProcess:
    """Make a presence process whose keys lie in partitions, of a store that has them all."""
    process = PresenceProcess()
    process.records.partitions = PLACES
    return process


LEASES = [Keys.lease_timer(G1, at) for at in PLACES]


async def test_a_lease_is_kept_in_each_partition() -> None:
    process = partitioned()
    kept = await process.gateways.keep_lease(KeepLease(G1))
    found = await process.store.read(*LEASES)
    assert {record.value.decode() for record in found.values()} == {kept.run}
    assert kept.revisions == tuple(found[key].revision for key in LEASES)
    assert kept.revision == kept.revisions[0]
    assert (await process.gateways.keep_lease(KeepLease(G1))).run == kept.run


@pytest.mark.parametrize("at", [*PLACES])
async def test_a_lease_that_ran_out_in_one_partition_is_another_run(at: int) -> None:
    process = partitioned()
    first = await process.gateways.keep_lease(KeepLease(G1))
    lost = (await process.store.read(LEASES[at]))[LEASES[at]]
    await process.store.delete(LEASES[at], lost.revision)
    again = await process.gateways.keep_lease(KeepLease(G1))
    assert again.run != first.run
    found = await process.store.read(*LEASES)
    assert {record.value.decode() for record in found.values()} == {again.run}


async def test_a_session_that_lies_beside_its_user_alone_begins() -> None:
    process = partitioned()
    names = (f"s-{number}" for number in range(1_000))
    ask = opening("alice", "hall")
    good = PLACES.session_for("alice", lambda: next(names))
    bad = next(SessionId(name) for name in names if PLACES.of(name) != PLACES.of("alice"))
    with pytest.raises(StoreUnavailable, match="another partition"):
        await process.ask(msgspec.structs.replace(ask, session=bad))
    await process.ask(msgspec.structs.replace(ask, session=good))
    record = await process.user("alice")
    assert record is not None
    assert record.session.id == good
