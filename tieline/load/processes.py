"""What processes of this machine use, from /proc (proc(5)): Linux only."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_KIB: Final = 1024
_NS_PER_S: Final = 1_000_000_000

Pids = Mapping[str, Iterable[int]]
"""Process ids by the part of the system they are."""


def cpu_seconds(stat: str) -> float:
    """Read the CPU seconds, user's and system's, of all threads out of a /proc/PID/stat."""
    after_name = stat.rpartition(")")[2].split()  # the name may hold anything, even ")"
    return (int(after_name[11]) + int(after_name[12])) / _TICKS_PER_SECOND


def cpu_seconds_of(pids: Pids) -> dict[str, float]:
    """Read the CPU seconds each part has used so far.

    Raises:
        FileNotFoundError: a process has ended.
    """
    return {
        part: sum(cpu_seconds(Path(f"/proc/{pid}/stat").read_text()) for pid in members)
        for part, members in pids.items()
    }


def resident_kib(pid: int) -> float:
    """Read the resident memory of a process.

    Raises:
        FileNotFoundError: the process has ended.
    """
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / _KIB


def waited_seconds(file: Path = Path("/proc/self/schedstat")) -> float:
    """Read for how long this process's main thread has waited for a processor; 0: the kernel does not say."""
    try:
        return int(file.read_text().split()[1]) / _NS_PER_S
    except (OSError, ValueError, IndexError):
        return 0.0
