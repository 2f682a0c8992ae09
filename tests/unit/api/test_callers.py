"""Keys of callers, as they are kept."""

import pytest

from api.callers import BadEntry, Caller, digest, entry, find, read_keys


def test_a_key_is_found_by_its_hash() -> None:
    keys = read_keys(entry("backend", "one"))
    assert find(keys, "one") == Caller("backend", ("*",))
    assert find(keys, "two") is None


def test_several_keys_are_good_at_once() -> None:
    keys = read_keys(f"{entry('old', 'one')},\n {entry('new', 'two', ['rooms:read', 'users:write'])}\n")
    assert find(keys, "one") == Caller("old", ("*",))
    assert find(keys, "two") == Caller("new", ("rooms:read", "users:write"))


def test_an_entry_does_not_have_the_key_itself() -> None:
    assert "one" not in entry("backend", "one").replace("none", "")
    assert entry("a", "b", ["rooms:read"]) == f"a:{digest('b')}:rooms.read"


def test_no_entries_are_no_keys() -> None:
    assert not read_keys(" ,\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("secret", "64 hexadecimal digits"),
        (f":{digest('a')}", "no name"),
        (f"a:{digest('a').upper()}", "64 hexadecimal digits"),
        (f"a:{digest('a')}:rooms.reed", "rooms:reed"),
    ],
)
def test_an_entry_that_cannot_be_used_is_named(text: str, said: str) -> None:
    with pytest.raises(BadEntry, match=said):
        read_keys(text)
