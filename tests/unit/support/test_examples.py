"""How many examples are tried, and which."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.examples import scaled, seeded

WHOLE = 50


def tried() -> list[bytes]:
    """Note the examples of a test."""
    found = []

    @seeded(WHOLE)
    @given(st.binary(min_size=8))
    def takes(data: bytes) -> None:
        found.append(data)

    takes()
    return found


def test_a_run_tries_the_same_examples_each_time() -> None:
    assert tried() == tried()


def test_there_are_as_many_as_the_profile_wants() -> None:
    assert len(tried()) == scaled(WHOLE)
