"""The rows themselves: named once, and described in docs/attacks.md as they are here."""

from pathlib import Path
from typing import Final

from tests.attacks.rows import BY_NAME, ROWS

PAGE: Final = Path(__file__).parents[2] / "docs/attacks.md"


def test_each_row_has_a_name_of_its_own() -> None:
    assert len(BY_NAME) == len(ROWS)


def test_the_page_lists_every_row_as_it_is_here() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert lines == [f"| `{row.name}` | {row.what} | {row.bound} |" for row in ROWS]
