"""Which files are in a share of the tests."""

from tests.support.share import is_in_share

FILES = [f"tests/system/test_{number}.py" for number in range(200)]


def test_a_share_is_about_as_large_as_it_should_be() -> None:
    assert 15 < sum(is_in_share(file, 8, "one seed") for file in FILES) < 40


def test_a_seed_has_the_same_share_each_time() -> None:
    first, again = ([is_in_share(file, 8, "7") for file in FILES] for _ in range(2))
    assert first == again


def test_each_file_is_in_the_share_of_some_seed() -> None:
    assert all(any(is_in_share(file, 8, str(seed)) for seed in range(200)) for file in FILES)


def test_one_in_one_is_all() -> None:
    assert all(is_in_share(file, 1, "7") for file in FILES)
