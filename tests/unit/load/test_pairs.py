"""`tieline.load.pairs`: who is connected where, and told of."""

from tests.unit.load.small_relay import relaying
from tieline.load.client import leave
from tieline.load.pairs import make_pairs, new_name


def test_no_two_runs_share_a_name() -> None:
    assert new_name() != new_name()


async def test_each_pair_that_is_ready_is_told() -> None:
    told: list[int] = []
    async with relaying() as target:
        pairs = await make_pairs(target, 3, told.append)
        await leave([client for pair in pairs for client in pair])
    assert told == [1, 2, 3]
    assert len({client.user for pair in pairs for client in pair}) == 6
    assert all(
        sender.user.removesuffix("_a") == receiver.user.removesuffix("_b") for sender, receiver in pairs
    )
