"""One list of the pure modules, wherever it stands.

import-linter keeps I/O out of them, coverage demands every branch of them, docs/architecture.md names them,
and each says in its own docstring that it is pure.
"""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
CONTRACT = "pure modules do no I/O, and take time and ids as arguments"


def forbidden_io() -> list[str]:
    """The modules that import-linter watches."""
    (contract,) = [one for one in PROJECT["importlinter"]["contracts"] if one["name"] == CONTRACT]
    modules: list[str] = contract["source_modules"]
    return modules


def covered() -> list[str]:
    """The modules and packages whose branches coverage counts."""
    modules: list[str] = PROJECT["coverage"]["run"]["source_pkgs"]
    return modules


def documented() -> list[str]:
    """The modules that the page on the architecture names."""
    page = (ROOT / "docs/architecture.md").read_text()
    section = page.split("\n## Pure modules\n", 1)[1].split("\n## ", 1)[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)`", "\n".join(table))


def says_pure(path: Path) -> bool:
    """Whether the docstring of a module says so, as a word that begins a sentence."""
    return bool(re.search(r"\bPure\b", ast.get_docstring(ast.parse(path.read_text())) or ""))


def modules_that_say_so() -> set[str]:
    """Every module that says so, but for those in a package that says it for all of them."""
    found: set[str] = set()
    for package in PROJECT["importlinter"]["root_packages"]:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            if says_pure(path) and not any(name.startswith(f"{above}.") for above in found):
                found.add(name)
    return found


def test_no_list_names_a_module_twice() -> None:
    for listed in (forbidden_io(), covered(), documented()):
        assert len(listed) == len(set(listed))


def test_coverage_demands_what_the_linter_keeps_pure() -> None:
    assert set(covered()) == set(forbidden_io())


def test_the_architecture_page_lists_the_same_modules() -> None:
    assert set(documented()) == set(forbidden_io())


def test_a_module_says_that_it_is_pure_if_it_is_listed() -> None:
    assert modules_that_say_so() == set(forbidden_io())
