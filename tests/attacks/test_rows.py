"""The rows themselves: named once, and described in docs/attacks.md as they are here."""

from pathlib import Path
from typing import Final

from tests.attacks.__main__ import chosen, parse
from tests.attacks.rows import BY_NAME, ROWS

PAGE: Final = Path(__file__).parents[2] / "docs/attacks.md"


def test_each_row_has_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(ROWS)


def test_the_page_lists_every_row_as_it_is_here() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert lines == [f"| `{row.name}` | {row.what} | {row.bound} |" for row in ROWS]


def names(*words: str) -> set[str]:
    return {row.name for row in chosen(parse([*words]))}


def test_a_row_can_be_chosen_by_its_name() -> None:
    for name in BY_NAME:
        assert names("--only", name) == {name}


def test_rows_can_be_chosen_by_a_word_of_their_names() -> None:
    assert names("--only", "ping") == {name for name in BY_NAME if "ping" in name}
    assert names("--only", "ping", "--but", "unread") == {
        name for name in BY_NAME if "ping" in name and "unread" not in name
    }
    assert names() == BY_NAME.keys()
    assert names("--only", "no such word") == set()
