"""Programs that a page of the documentation prints, for tests that run them as they stand there."""

import re
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).parents[2] / "docs" / "tokens.md"


def program_of(language: str) -> str:
    """Return the program of docs/tokens.md in a language: it begins with the name of its file."""
    found = re.search(rf"```{language}\n([#/]+ \S+\n.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None, f"no program in {language}"
    return found[1]
