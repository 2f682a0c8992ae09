"""`bench.release_tree`: the packages of an earlier commit, out of a clone's history."""

import subprocess
from pathlib import Path

import pytest

from bench.release_tree import PACKAGES, described, has_commit, tree_of
from bench.systems import StartError


def git(repository: Path, *words: str) -> str:
    who = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgsign=false")
    command = ("git", *who, "-C", str(repository), *words)
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of two commits, which differ in what `tieline` says."""
    git(tmp_path, "init", "--quiet")
    for version in ("old", "new"):
        for package in PACKAGES:
            (tmp_path / package).mkdir(exist_ok=True)
            (tmp_path / package / "__init__.py").write_text(f"__version__ = {version!r}\n")
        git(tmp_path, "add", ".")
        git(tmp_path, "commit", "--quiet", "--message", version)
    return tmp_path


def test_a_tree_has_the_packages_of_its_commit_and_is_gone_afterwards(repository: Path) -> None:
    with tree_of("HEAD~1", repository) as tree:
        assert sorted(part.name for part in tree.iterdir()) == sorted(PACKAGES)
        assert "old" in (tree / "tieline/__init__.py").read_text()
    assert not tree.exists()
    assert git(repository, "status", "--porcelain") == ""
    assert len(git(repository, "worktree", "list").splitlines()) == 1


def test_a_tree_of_fewer_packages_is_taken_out_as_well(repository: Path) -> None:
    git(repository, "rm", "-r", "--quiet", "api", "webhooks")
    git(repository, "commit", "--quiet", "--message", "before there were some")
    with tree_of("HEAD", repository) as tree:
        found = {part.name for part in tree.iterdir()}
    assert found == set(PACKAGES) - {"api", "webhooks"}


def test_a_commit_that_is_not_in_the_history_is_known(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert has_commit("HEAD~1", repository)
    assert not has_commit("v0.1.0", repository)
    assert not has_commit("HEAD", tmp_path_factory.mktemp("no clone"))
    with pytest.raises(StartError, match="git ended with"), tree_of("v0.1.0", repository):
        pass


def test_a_tree_with_changes_is_not_its_commit(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    commit = git(repository, "rev-parse", "HEAD")
    (repository / "a page").touch()
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message", "a page")
    assert described(repository)
    assert commit.startswith(described(repository))
    (repository / "tieline/__init__.py").write_text("")
    assert described(repository).endswith("-dirty")
    assert described(tmp_path_factory.mktemp("no clone")) == ""
