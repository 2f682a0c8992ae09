"""The seed of a run: other bytes each time, and the same ones for who names it."""

import os
import random
from typing import Final

import pytest

SEED_VARIABLE: Final = "TIELINE_FUZZ_SEED"

SEED: Final = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(1 << 32))


def pytest_report_header() -> str:
    return f"fuzzing: {SEED_VARIABLE}={SEED} has the same bytes again"


@pytest.fixture
def fuzz_seed() -> int:
    return SEED
