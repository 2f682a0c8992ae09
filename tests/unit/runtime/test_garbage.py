"""What a process begins with is not looked through again."""

import gc
from collections.abc import Iterator

import pytest

from tieline.runtime import garbage


@pytest.fixture
def _restored() -> Iterator[None]:
    """Have this process look for cycles afterwards as it did before."""
    thresholds = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*thresholds)


@pytest.mark.usefixtures("_restored")
def test_what_is_there_is_left_alone_and_the_rest_seldom_seen() -> None:
    there = [object()]
    garbage.settle()
    came = [there]
    seen = {id(each) for each in gc.get_objects()}
    assert id(there) not in seen
    assert id(came) in seen
    assert gc.get_freeze_count() > 10 * len(seen)
    assert gc.get_threshold() == garbage.THRESHOLDS
    assert gc.isenabled()
