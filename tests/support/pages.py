"""Programs that a page of the documentation prints, for tests that run them as they stand there."""

import re
from pathlib import Path
from typing import Final

DOCS: Final = Path(__file__).parents[2] / "docs"


def program_of(language: str, page: str = "tokens.md") -> str:
    """Return the program of a page in a language: it begins with the name of its file."""
    found = re.search(rf"```{language}\n([#/]+ \S+\n.*?)```", (DOCS / page).read_text(), re.DOTALL)
    assert found is not None, f"no program in {language}"
    return found[1]
