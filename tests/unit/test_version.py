"""One version, wherever it is named: the package, the images, the manifests, the manual, the changelog.

docs/decisions/0060-messages-and-records-change-by-rule.md says what a version means to messages and records.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Final

import pytest

from tests.support.golden import Golden, is_released
from tests.unit.presence.golden_records import GOLDEN as RECORDS
from tests.unit.wire.golden_messages import GOLDEN as MESSAGES
from tieline import __version__

ROOT: Final = Path(__file__).parents[2]
CHANGELOG: Final = (ROOT / "CHANGELOG.md").read_text()

RELEASE, _, UNRELEASED = __version__.partition(".dev")
MINOR: Final = RELEASE.rpartition(".")[0]

NAMED_IN: Final = (
    "deploy/Dockerfile",
    "deploy/README.md",
    "deploy/compose.yaml",
    "deploy/k8s/base/kustomization.yaml",
    "deploy/k8s/overlays/production/kustomization.yaml",
    "docs/operations.md",
)
"""Files that name the image. What else does is found by `test_no_other_file_names_the_image`."""

IMAGE: Final = re.compile(r'\btieline:(\d[\w.]*)|\bname: tieline[,\n][^}]*?newTag: "?([\w.]+)')


def images(text: str) -> set[str]:
    return {next(filter(None, found)) for found in IMAGE.findall(text)}


def test_packages_have_the_version_of_the_code() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == __version__
    of_npm = f"{RELEASE}-dev.{UNRELEASED}" if UNRELEASED else RELEASE  # as Semantic Versioning writes it
    assert json.loads((ROOT / "web/package.json").read_text())["version"] == of_npm


@pytest.mark.parametrize("file", NAMED_IN)
def test_the_image_has_the_version_of_the_code(file: str) -> None:
    assert images((ROOT / file).read_text()) == {__version__}


def test_the_label_of_the_image_is_the_version_of_the_code() -> None:
    labels = re.findall(r"image\.version=(\S+)", (ROOT / "deploy/Dockerfile").read_text())
    assert labels == [__version__]


def test_no_other_file_names_the_image() -> None:
    texts = [*ROOT.glob("deploy/**/*"), *ROOT.glob("docs/*.md"), *ROOT.glob("*.md"), ROOT / "Makefile"]
    named = {
        str(path.relative_to(ROOT))
        for path in texts
        if path.is_file() and path.suffix in {"", ".md", ".yaml", ".yml", ".cfg"}
        if images(path.read_text())
    }
    assert named == set(NAMED_IN)


def test_the_changelog_has_what_was_released_and_nothing_more() -> None:
    headings = re.findall(r"^## \[(.+?)\]", CHANGELOG, re.MULTILINE)
    assert headings[0] == "Unreleased"
    if UNRELEASED:
        assert f"call themselves {__version__}." in CHANGELOG
        assert not is_released(RELEASE, CHANGELOG)
    else:
        assert headings[1] == __version__
    numbers = [[int(part) for part in heading.split(".")] for heading in headings[1:]]
    assert numbers == sorted(numbers, reverse=True)


@pytest.mark.parametrize("golden", [MESSAGES, RECORDS])
def test_bytes_are_kept_of_every_minor_version(golden: Golden) -> None:
    released = set(re.findall(r"^## \[(\d+\.\d+)", CHANGELOG, re.MULTILINE))
    assert set(golden.versions()) == released | {MINOR}
    assert golden.versions()[-1] == MINOR


def test_developers_are_told_which_bytes_to_write_anew() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert set(re.findall(r"tests\.support\.golden (\S+) --unreleased", text)) == {MINOR}
