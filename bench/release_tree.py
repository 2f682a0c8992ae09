"""The tree of an earlier commit, taken out of the history of this clone into a temporary folder.

It runs with the libraries of this Python, so that what differs is the tree alone.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.systems import ROOT, StartError

PACKAGES: Final = ("api", "gateway", "router", "presence", "tieline", "web", "webhooks")
"""What runs. An early commit has fewer."""


def has_commit(commit: str, repository: Path = ROOT) -> bool:
    """Whether the history of this clone has a commit; not if it is no clone, nor a shallow one."""
    command = ("git", "-C", str(repository), "cat-file", "-e", f"{commit}^{{commit}}")
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:  # no git
        return False


def described(repository: Path = ROOT) -> str:
    """Name the last commit that changed a package, with "-dirty" if one has changed since; "": no clone.

    What has changed elsewhere, in pages or pictures, changes nothing about what is measured.
    """
    words = ("git", "-C", str(repository))
    try:
        last = subprocess.run(
            (*words, "log", "-1", "--format=%h", "--abbrev=12", "--", *PACKAGES),
            capture_output=True,
            text=True,
        )
        changes = subprocess.run(
            (*words, "status", "--porcelain", "--", *PACKAGES), capture_output=True, text=True
        )
    except FileNotFoundError:  # no git
        return ""
    return f"{last.stdout.strip()}{'-dirty' if changes.stdout else ''}"


@contextmanager
def tree_of(commit: str, repository: Path = ROOT) -> Iterator[Path]:
    """Yield a folder with the packages of a commit, which is removed at the end.

    Raises:
        StartError: they could not be taken out, or this Python would run other ones.
    """
    with tempfile.TemporaryDirectory(prefix="tieline-release-") as folder:
        archive = Path(folder, "tree.tar")
        git = ("git", "-C", str(repository))
        packages = _run(*git, "ls-tree", "--name-only", commit, *PACKAGES).split()
        _run(*git, "archive", "--output", str(archive), commit, *packages)
        tree = Path(folder, "tree")
        tree.mkdir()
        _run("tar", "-xf", str(archive), "-C", str(tree))
        archive.unlink()
        found = _run(sys.executable, "-c", "import tieline; print(tieline.__file__)", tree=tree)
        if not Path(found).is_relative_to(tree):
            raise StartError(f"the tree of {commit} does not run: tieline is {found}")
        yield tree


def _run(*command: str, tree: Path | None = None) -> str:
    """Run a command, in a tree if one is given; returns what it printed.

    Raises:
        StartError: it failed.
    """
    environ = {**os.environ, **({} if tree is None else {"PYTHONPATH": str(tree)})}
    try:
        ended = subprocess.run(command, capture_output=True, text=True, cwd=tree, env=environ)
    except FileNotFoundError as problem:
        raise StartError(str(problem)) from None
    if ended.returncode:
        raise StartError(f"{command[0]} ended with {ended.returncode}: {ended.stderr.strip()}")
    return ended.stdout.strip()
