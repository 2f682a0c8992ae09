"""What a test run must have in its real form, or else say loudly that it has not.

`TIELINE_DEMAND` lists, with commas, what the run may not do without: there a stand-in or a skip is a failure.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

DEMAND_VARIABLE: Final = "TIELINE_DEMAND"
DOCKER: Final = "docker"

PROGRAMS: Final = {
    "checkov": ("checkov",),
    "chromium": ("chromium",),
    "compiler": ("cc",),
    "coturn": ("turnserver",),
    "debootstrap": ("debootstrap",),
    "firefox": ("firefox-esr", "firefox"),
    "fish": ("fish",),
    "go": ("go",),
    "haproxy": ("haproxy",),
    "kubectl": ("kubectl",),
    "node": ("node",),
    "npm": ("npm",),
    "openssl": ("openssl",),
    "prometheus": ("prometheus",),
    "promtool": ("promtool",),
    "tsc": ("tsc",),
    "zsh": ("zsh",),
}
"""What a test may need that is not Python's: by its name in `TIELINE_DEMAND`, the program to be found, or the
first of several."""

OWN_PROGRAMS: Final = Path(__file__).parents[2] / "build/k8s-tools/bin"
"""Where `make k8s-tools` puts checkov, and a kubectl for machines that have none."""

StandIn = Callable[[str, str], None]
"""Called with what is demanded ("docker") and a sentence that says what runs instead."""

_STAND_INS: Final = pytest.StashKey[list[str]]()


def is_demanded(thing: str) -> bool:
    """Say whether this run may not do without `thing`."""
    return thing in {name.strip() for name in os.environ.get(DEMAND_VARIABLE, "").split(",")}


def program(thing: str) -> str | None:
    """Find one of `PROGRAMS`; returns its path, or None."""
    places = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin", str(OWN_PROGRAMS)))
    found = (shutil.which(name, path=places) for name in PROGRAMS[thing])
    return next((path for path in found if path is not None), None)


def note_stand_in(config: pytest.Config, thing: str, instead: str) -> None:
    """Remember for the summary that something else ran; fail the test where `thing` is demanded."""
    if is_demanded(thing):
        pytest.fail(f"{DEMAND_VARIABLE} names {thing!r}, but: {instead}", pytrace=False)
    config.stash.setdefault(_STAND_INS, []).append(instead)


def skip_without(thing: str, why: str) -> None:
    """Skip the test, or fail it where `thing` is demanded."""
    if is_demanded(thing):
        pytest.fail(f"{DEMAND_VARIABLE} names {thing!r}, but: {why}", pytrace=False)
    pytest.skip(why)


def stand_ins(config: pytest.Config) -> list[str]:
    """Return what ran instead of the real thing, a sentence each."""
    return config.stash.get(_STAND_INS, [])
