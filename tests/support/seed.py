"""The seed of what tests do at random: another one in each run, and the same for who names it.

That is for fuzzing and for whole systems. What Hypothesis makes up elsewhere goes by its own (`examples`).
"""

import os
import random
from typing import Final

SEED_VARIABLE: Final = "TIELINE_FUZZ_SEED"

SEED: Final = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().randrange(1 << 31))

SAME_AGAIN: Final = f"{SEED_VARIABLE}={SEED}"
"""What a test prints, or says of what has failed: with it in the environment all of it is the same again."""
