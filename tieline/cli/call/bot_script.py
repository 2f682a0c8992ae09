"""What one bot is to do: the options of `tieline call --answer` or `--to`, read. `bot` carries it out."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tieline.cli.call.sound import Source
from tieline.client import TokenSource


class BotScript(NamedTuple):
    """The duties of one bot."""

    room: str
    to: str | None
    """Ring this user instead of waiting to be rung."""
    once: bool
    """End after the first call."""
    sound: Callable[[], Source]
    """Makes the sound that one call sends."""
    record: Path | None
    """The file in which the first call is recorded; the next ones get a number."""
    hang_up_after_s: float | None
    """Hang up when sound has flowed for so long; None: never."""
    fresh_token: TokenSource | None
    """Makes a newer token before the one in use expires; None: the token is never refreshed."""

    @property
    def is_for_one_call(self) -> bool:
        """Whether the bot ends after its first call."""
        return self.once or self.to is not None
