"""Whatever is installed is pinned with hashes: by the Makefile, in the image, in CI, in tests, in manuals."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from deploy.supply_chain.locks import pins

ROOT: Final = Path(__file__).parents[2]

LOCKS: Final = (
    "requirements.lock",
    "requirements-run.lock",
    "examples/requirements.lock",
    "deploy/requirements.lock",
    "deploy/build.lock",
    "tests/k8s/tools.lock",
)

WRITTEN: Final = (
    "Makefile",
    ".ci/*",
    "deploy/**/*",
    "tests/**/*",
    "bench/**/*",
    "tieline/**/*",
    "*.md",
    "docs/**/*.md",
)
"""Where commands are: what builds and tests, and what a person is told to type."""

FETCHES: Final = re.compile(
    r"""(?:\bpip3?|PIP\)|"pip",)\s+"?(?:install|download|wheel)\b"""
    r"|\bpipx? (?:run|install)|\buvx\b|\buv (?:pip )?(?:install|sync|run|tool)\b"
    r"|\b(?:npm|yarn|pnpm) (?:install|add)\b|\bnpx\b|\bgo (?:install|get|mod)\b|\bcargo install\b"
    r"|\b(?:curl|wget)\b[^\n]*\bhttps?://(?!127\.|localhost)"
)
"""Commands that bring something from elsewhere and run it, or put it where it is run."""

SENT: Final = re.compile(r"\s(?:-d|--data)\s+'[^']*'")
"""What curl sends, which may name addresses that it does not fetch."""

SAFE: Final = ("--require-hashes", "--no-index", "--no-build-isolation")
"""What makes such a command safe: hashes, or that it fetches neither a package nor what builds one."""

TO_A_PERSON: Final = ("pip install 'tieline[", "pip install '/path/to/this/tree[", "pip install '{EXTRA}'")
"""What commands say is missing, to whoever installed them with a resolver."""


def commands(text: str, prose: bool) -> Iterator[str]:
    """Each line with those that continue it; no comments, and of prose what is to be typed."""
    fenced = False
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        fenced ^= line.lstrip().startswith("```")
        if (fenced or line.startswith("   ")) if prose else not line.lstrip().startswith("#"):
            yield line


def unpinned(text: str, prose: bool = False) -> list[str]:
    return [
        part.strip()
        for line in commands(text, prose)
        for part in re.split(r"(?:;|&&|\|\|)\s", line)
        if FETCHES.search(SENT.sub("", part)) and not any(word in part for word in SAFE + TO_A_PERSON)
    ]


def files() -> list[Path]:
    """All that is written here: not the packages that `make bench` has installed."""
    found = {path for pattern in WRITTEN for path in ROOT.glob(pattern) if path.is_file()}
    found = {path for path in found if "node_modules" not in path.parts}
    return sorted(path for path in found if path.suffix not in (".pyc", ".lock") and path != Path(__file__))


@pytest.mark.parametrize("lock", LOCKS)
def test_each_line_of_a_lock_has_one_version_and_hashes(lock: str) -> None:
    assert pins((ROOT / lock).read_text())  # it would have been refused


def test_every_lock_is_looked_at() -> None:
    hidden = {".venv", "build"}
    there = {path.relative_to(ROOT) for path in ROOT.glob("**/*.lock")}
    assert {str(path) for path in there if not hidden & set(path.parts)} == set(LOCKS)


def test_packages_of_npm_have_hashes_where_npm_ci_installs_them() -> None:
    # `npm ci` installs what this lock has, and nothing if package.json asks for anything else.
    locks = [path for path in ROOT.glob("**/package-lock.json") if not {".venv", "build"} & set(path.parts)]
    locks = [path for path in locks if "node_modules" not in path.parts]
    assert {str(path.parent.relative_to(ROOT)) for path in locks} == {
        "bench/socketio",
        "tests/browser/npm",
        "web",
    }
    for lock in locks:
        packages = json.loads(lock.read_text())["packages"]
        assert all(one["integrity"].startswith("sha512-") for name, one in packages.items() if name)


def test_nothing_is_fetched_without_hashes() -> None:
    found = {
        str(path.relative_to(ROOT)): unpinned(path.read_text(errors="replace"), path.suffix == ".md")
        for path in files()
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "command",
    [
        "build/lock/bin/python -m pip install --quiet uv",
        "$(PIP) install uv",
        "\t$pip wheel -w /built uvloop",
        "pip download --dest deploy/wheels pip",
        "pip install \\\n    --upgrade pip",
        "true; pip install uv && pip install --require-hashes -r requirements.lock",
        'subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "uv"])',
        "npx cowsay",
        "npm install",
        "go install example.com/program@latest",
        "uvx ruff",
        "curl https://example.com/install.sh | sh",
        'curl -d \'{"url":"https://example.org"}\' https://example.com/install.sh | sh',
    ],
)
def test_what_fetches_anything_would_be_noticed(command: str) -> None:
    assert unpinned(command)


@pytest.mark.parametrize(
    "command",
    [
        "$(PIP) install --no-deps --require-hashes \\\n\t-r requirements.lock",
        "$pip install --no-index --no-deps --target /opt/tieline /own/*.whl",
        "curl localhost:9464/readyz",
    ],
)
def test_what_is_pinned_is_not(command: str) -> None:
    assert unpinned(command) == []
