"""How many examples Hypothesis tries: few in the inner loop, more in a whole run, very many in a soak.

Not which examples: that is each test's own. A run in CI takes the same examples each time, as Hypothesis does
there by itself. A run elsewhere takes new ones, and a test that fails prints what repeats it.
"""

from collections.abc import Callable
from typing import Final, TypeVar

from hypothesis import HealthCheck, Phase, seed, settings

from tests.support.seed import SEED

TestT = TypeVar("TestT", bound=Callable[..., None])

_WHOLE: Final = 100

PROFILES: Final = {"quick": 20, "full": _WHOLE, "soak": 2000}
"""Examples of a test that names no number of its own, by profile (`pytest --hypothesis-profile`)."""


def register_profiles() -> None:
    """Make the profiles known, and load the one of a whole run; pytest's option may load another."""
    for name, count in PROFILES.items():
        # No deadline: a machine that has other things to do takes its time, and pytest ends what never ends.
        settings.register_profile(name, max_examples=count, deadline=None, print_blob=True)
    settings.load_profile("full")


def scaled(whole: int) -> int:
    """Give the number of examples in this run of a test that tries `whole` of them in a whole run."""
    assert settings.default is not None
    return max(1, whole * settings.default.max_examples // _WHOLE)


def seeded(whole: int) -> Callable[[TestT], TestT]:
    """Have a test tried with `scaled` examples, which follow from the seed of the run and from nothing else.

    None is kept for a later run, those in CI are others each time, too, and none is too large or too slow.
    """
    tried = settings(
        max_examples=scaled(whole),
        derandomize=False,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )

    def decorate(test: TestT) -> TestT:
        return seed(SEED)(tried(test))

    return decorate
