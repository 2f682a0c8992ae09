"""How many examples Hypothesis tries: few in the inner loop, more in a whole run, very many in a soak.

Not which examples: that is each test's own. A run in CI takes the same examples each time, as Hypothesis does
there by itself. A run elsewhere takes new ones, and a test that fails prints what repeats it.
"""

from typing import Final

from hypothesis import settings

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
