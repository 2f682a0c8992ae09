"""What a bot is to do."""

import pytest

from tieline.cli.call.bot_script import BotScript
from tieline.cli.call.sound import tones


@pytest.mark.parametrize(
    ("to", "once", "is_for_one_call"),
    [(None, False, False), (None, True, True), ("ann", False, True), ("ann", True, True)],
)
def test_a_bot_that_rings_or_answers_once_is_for_one_call(
    to: str | None, once: bool, is_for_one_call: bool
) -> None:
    script = BotScript("r", to, once, lambda: tones(440), None, None, None)
    assert script.is_for_one_call is is_for_one_call
