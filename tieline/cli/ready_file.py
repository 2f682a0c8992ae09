"""The ready file of `tieline dev`: the addresses and process ids of a system that is ready, as JSON.

Other programs read it too: its fields stay (docs/architecture.md#commands).
"""

import os
from pathlib import Path
from typing import Annotated, Final

import msgspec

INDENT: Final = 1
"""Spaces a level: for people who look into the file."""


class ReadyFile(msgspec.Struct, frozen=True):
    """The contents. A reader may find fewer fields than these, but never a file without a gateway."""

    gateways: Annotated[list[str], msgspec.Meta(min_length=1)]
    """ws:// URLs, in the order of the processes."""
    ops: dict[str, list[str]] = {}
    """http:// URLs of the ops endpoints, by the kind of process."""
    nats: str = ""
    pids: dict[str, list[int]] = {}
    """By the kind of process. The pid of a process that is down is its last one."""
    api: str = ""
    """http:// URL of the backend's API; empty: none runs."""
    api_key: str = msgspec.field(name="apiKey", default="")
    """A key that is good there, for everything."""


def read(path: Path) -> ReadyFile:
    """Read the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not what `tieline dev` writes.
    """
    return msgspec.json.decode(path.read_bytes(), type=ReadyFile)


def write(path: Path, contents: ReadyFile) -> None:
    """Write the file so that a reader finds it whole at any moment.

    Raises:
        OSError: it cannot be written.
    """
    _replace(path, msgspec.json.format(msgspec.json.encode(contents), indent=INDENT) + b"\n")


def check_writable(path: Path) -> None:
    """Delete what an earlier run has written, and find out whether the file can be written.

    Raises:
        OSError: it cannot.
    """
    path.unlink(missing_ok=True)
    probe = path.with_name(f"{path.name}.probe")
    _replace(probe, b"")
    probe.unlink()


def _replace(path: Path, data: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(data)
    unfinished.replace(path)
