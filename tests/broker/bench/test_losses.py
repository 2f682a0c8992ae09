"""`bench.losses`: the references lose a gateway, and their clients come back to the other one."""

from bench.losses import measure_losses
from bench.rounds import STORM, Results
from bench.systems import NO_STORM, STARTERS

WORDS = ("handrolled", "stored")
CLIENTS = 5


async def test_the_clients_of_a_reference_connect_anew() -> None:
    results = Results()
    await measure_losses({word: STARTERS[word] for word in WORDS}, CLIENTS, 1, results)
    assert list(results.found[STORM]) == ["hand-rolled relay", "hand-rolled relay that stores"]
    for (figures,) in results.found[STORM].values():
        assert figures.count == CLIENTS
        assert figures.more["resumed"] == 0
        assert set(figures.cpu) == {"gateways", "broker", "load generator"}


def test_only_known_systems_are_left_out() -> None:
    assert set(NO_STORM) < set(STARTERS)
