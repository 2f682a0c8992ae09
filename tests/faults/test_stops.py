"""Processes stand still and go on: what they carry out late changes nothing. `make soak` has 50 rounds."""

import os
import random
from collections.abc import Iterator

import pytest

from tests.faults.stops import QUICK, one
from tests.support.dev_processes import DevProcesses, running_dev
from tests.support.running_dev import RunningDev

SEED_VARIABLE = "TIELINE_STOPS_SEED"
"""To have the same stops once more."""

ROUNDS = (("presence", 2.5), ("presence", 1.0), ("gateway", 5.0), ("router", 1.5), ("nats", 1.0))
"""Each kind, and presence for longer than a request and than a retry."""


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDev]:
    with running_dev(tmp_path_factory.mktemp("stops"), QUICK) as running:
        yield running


@pytest.mark.parametrize(("kind", "seconds"), ROUNDS)
async def test_what_is_carried_out_late_changes_nothing(dev: RunningDev, kind: str, seconds: float) -> None:
    seed = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(10_000))
    print(f"{SEED_VARIABLE}={seed}")
    chance = random.Random(seed)
    which = 0 if kind == "nats" else chance.randrange(2)
    assert not await one(DevProcesses(dev), kind, which, seconds, chance)
