"""Whatever bytes come, a reader raises nothing but what it says, and does what it must.

The tests are coroutines: readers say in the log what they drop, which wants the loop of a service.
"""

from pathlib import Path
from typing import Final

import pytest
from hypothesis import given

from tests.fuzz.mutations import changed
from tests.fuzz.targets import TARGETS
from tests.support.examples import seeded

CORPUS: Final = Path(__file__).with_name("corpus")

EXAMPLES: Final = 450
"""Of each target in a whole run: half a minute for all. A soak has twenty times as many: ten minutes."""


def kept(name: str) -> list[bytes]:
    """Read what a longer search has found for a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).glob("*"))]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.timeout(1_800)
async def test_a_reader_survives_whatever_comes(name: str) -> None:
    target = TARGETS[name]

    @seeded(EXAMPLES)
    @given(changed([*target.seeds, *kept(name)]))
    def survives(data: bytes) -> None:
        target.read(data)

    survives()


@pytest.mark.parametrize("name", TARGETS)
async def test_a_reader_survives_what_was_found_before(name: str) -> None:
    for data in (*TARGETS[name].seeds, *kept(name)):
        TARGETS[name].read(data)


def test_what_was_found_is_of_a_target_that_there_is() -> None:
    folders = {path.name for path in CORPUS.iterdir() if path.is_dir()}
    assert folders <= TARGETS.keys()
