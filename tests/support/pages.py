"""Programs and commands that pages of the documentation print, for tests that run them as they stand."""

import re
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs"


def program_of(language: str, page: str = "tokens.md", name: str = "") -> str:
    """Return the program of a page in a language: it begins with the name of its file, which may be given."""
    named = re.escape(name) or r"\S+"
    found = re.search(rf"```{language}\n([#/]+ {named}\n.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert found is not None, f"no program in {language}"
    return found[1]


def blocks_of(language: str, page: str) -> list[str]:
    """Return all blocks of a page that are in a language, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
