"""Whether all gateways hear the logs of rooms, as presence knows it from their leases."""

from presence.listeners import DOUBT_MS, LISTENER_TTL_S, LOOK_EVERY_MS, Listeners
from tests.unit.presence.lifetime import Clock, Life, MortalStore
from tieline.wire.ids import GatewayId
from tieline.wire.subjects import Keys

G1, G2 = GatewayId("g.1"), GatewayId("g2")
LONG_S = 10_000.0


class Hall:
    """A few gateways, and what presence knows of them."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MortalStore(Life(), self.clock)
        self.listeners = Listeners(self.store, self.clock)

    async def lives(self, gateway: GatewayId, *, hears: bool) -> None:
        """Let a gateway take its lease."""
        await self.store.put(Keys.lease_timer(gateway), b"run", LONG_S)
        if hears:
            await self.listeners.note(gateway)


async def test_while_no_gateway_is_known_none_is_taken_to_hear() -> None:
    hall = Hall()
    assert not await hall.listeners.are_all()
    await hall.lives(G1, hears=True)
    assert await hall.listeners.are_all()


async def test_one_gateway_that_does_not_hear_is_enough() -> None:
    hall = Hall()
    await hall.lives(G1, hears=True)
    await hall.lives(G2, hears=False)
    assert not await hall.listeners.are_all()


async def test_a_gateway_that_does_not_hear_is_remembered_for_a_while() -> None:
    hall = Hall()
    await hall.lives(G1, hears=False)
    assert not await hall.listeners.are_all()
    await hall.listeners.note(G1)
    hall.clock.now_ms += DOUBT_MS - 1
    assert not await hall.listeners.are_all()
    hall.clock.now_ms += 1
    await hall.listeners.note(G1)
    assert await hall.listeners.are_all()


async def test_that_all_hear_is_believed_for_a_moment_only() -> None:
    hall = Hall()
    await hall.lives(G1, hears=True)
    assert await hall.listeners.are_all()
    await hall.lives(G2, hears=False)
    hall.clock.now_ms += LOOK_EVERY_MS - 1
    assert await hall.listeners.are_all()
    hall.clock.now_ms += 1
    assert not await hall.listeners.are_all()


async def test_a_gateway_that_no_longer_says_so_is_taken_for_an_older_one() -> None:
    hall = Hall()
    await hall.lives(G1, hears=True)
    hall.clock.pass_s(LISTENER_TTL_S)
    assert not await hall.listeners.are_all()


async def test_while_no_lease_is_renewed_what_was_known_last_is_so() -> None:
    hall = Hall()
    await hall.lives(G1, hears=True)
    assert await hall.listeners.are_all()
    hall.clock.pass_s(LONG_S)
    assert await hall.listeners.are_all()

    await hall.lives(G2, hears=False)
    hall.clock.now_ms += LOOK_EVERY_MS
    assert not await hall.listeners.are_all()
    hall.clock.pass_s(LONG_S)
    assert not await hall.listeners.are_all()
