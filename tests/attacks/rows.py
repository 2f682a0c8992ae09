"""All attacks, in the order in which they are done: those of one system's settings together."""

from collections.abc import Mapping, Sequence
from typing import Final

from tests.attacks import (
    on_api,
    on_calls,
    on_connecting,
    on_frames,
    on_messages,
    on_processes,
    on_rooms,
    on_sockets,
    on_words,
)
from tests.attacks.scene import Attack

ROWS: Final[Sequence[Attack]] = sorted(
    (
        *on_frames.ROWS,
        *on_messages.ROWS,
        *on_calls.ROWS,
        *on_rooms.ROWS,
        *on_sockets.ROWS,
        *on_connecting.ROWS,
        *on_processes.ROWS,
        *on_api.ROWS,
        *on_words.ROWS,
    ),
    key=lambda attack: (attack.kills_broker, attack.settings, attack.files),
)

BY_NAME: Final[Mapping[str, Attack]] = {attack.name: attack for attack in ROWS}
