"""What a lock says: of each package one version, and the hashes of its files.

Locks are written by `make lock` and read by pip with `--require-hashes`; this is for what compares and
lists.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_SHA256: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


class UnpinnedError(Exception):
    """A lock names something without one version, or without a hash."""


class Pin(NamedTuple):
    """One line of a lock."""

    requirement: Requirement
    version: str
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        """As PyPI compares names."""
        return canonicalize_name(self.requirement.name)

    @property
    def is_for_here(self) -> bool:
        """Whether this Python, on this system, installs it."""
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def pins(lock: str) -> list[Pin]:
    """Read a lock's text; `UnpinnedError` if a line of it is not a version with its hashes."""
    return list(_pins(re.sub(r"\\\n", " ", lock).splitlines()))


def pins_for_here(lock: Path) -> dict[str, Pin]:
    """Read what a file of a lock has for this Python and system, by name."""
    return {pin.name: pin for pin in pins(lock.read_text()) if pin.is_for_here}


def _pins(lines: Iterable[str]) -> Iterable[Pin]:
    for line in lines:
        said = line.partition("#")[0].strip()
        if said:
            requirement = Requirement(said.partition("--hash")[0].strip())
            exact = [one.version for one in requirement.specifier if one.operator == "=="]
            hashes = tuple(_SHA256.findall(said))
            if len(exact) != 1 or len(requirement.specifier) != 1 or not hashes:
                raise UnpinnedError(said)
            yield Pin(requirement, exact[0], hashes)
