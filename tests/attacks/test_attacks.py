"""Every attack for a moment: nothing is lost, nobody is put out, newcomers get in, no process ends."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.attacks.arena import Arena
from tests.attacks.rows import ROWS
from tests.attacks.scene import Attack
from tests.attacks.verdict import problems

LOUD_S: Final = 1.5
"""Of each attack: what is not bounded shows at once. `make attack` has longer ones."""

REST_S: Final = 0.3
"""After each, while others are still watched."""

SHARE: Final = 0.25
"""Of the size of crowds, which take their time to come."""


class Arenas:
    """The system that runs now: the next row's too, if its settings serve and nothing was amiss."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._count = 0
        self._arena: Arena | None = None

    def of(self, attack: Attack) -> Arena:
        """Give a system for this row."""
        arena = self._arena
        if arena is None or not arena.serves(attack):
            self.end()
            self._count += 1
            arena = self._arena = self._stack.enter_context(
                Arena(self._folder / str(self._count), attack, share=SHARE, quiet_s=0, rest_s=REST_S)
            )
        arena.is_fit = False  # until the row has held
        return arena

    def end(self) -> None:
        """End what runs."""
        self._arena = None
        self._stack.close()

    @property
    def log(self) -> str:
        """What the processes have logged."""
        return "" if self._arena is None else self._arena.log


@pytest.fixture(scope="module")
def arenas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arenas]:
    running = Arenas(tmp_path_factory.mktemp("attacks"))
    yield running
    running.end()


@pytest.mark.parametrize("attack", ROWS, ids=lambda attack: attack.name)
def test_an_attack_harms_nobody_else(arenas: Arenas, attack: Attack) -> None:
    arena = arenas.of(attack)
    seen = arena.row(attack, LOUD_S)
    assert problems(seen, kills_broker=attack.kills_broker) == [], seen.honest
    arena.is_fit = not attack.kills_broker
