"""What `tieline dev` prints on standard output: above all the greeting, which says how to use the system.

Logs go to a file (`log_file`), and notes about a process that ended to standard error.
"""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tieline.cli.dev.local_system import LocalSystem
from tieline.tokens import SECRET_VARIABLE, make_token

READY_MADE_TTL_S: Final = 24 * 3600.0
"""The printed tokens are for trying things out: they should outlive a day's work."""

ROOM: Final = "demo"
USERS: Final = ("alice", "bob")


def greeting(
    system: LocalSystem, took_s: float, gateway_pids: Sequence[int], log: Path, environ: Mapping[str, str]
) -> str:
    """Write what a user needs, the most useful part last: pages, where the logs are, how to end."""
    ops = [f"{kind:<9} {url}" for kind, urls in system.ops_urls.items() for url in urls]
    tokens = [f"{user:<9} {make_token(system.secret, user, [ROOM], READY_MADE_TTL_S)}" for user in USERS]
    is_known = environ.get(SECRET_VARIABLE) == system.secret
    prefix = f"with the same {SECRET_VARIABLE}: " if is_known else f"{SECRET_VARIABLE}={system.secret} "
    gateways = zip(system.gateway_urls, gateway_pids, strict=True)
    return "\n".join(
        [
            "",
            f"Tieline is ready, after {took_s:.1f} s.",
            f"broker    {system.nats_url}",
            "ops endpoints (/metrics, /healthz, /readyz):",
            *(f"  {line}" for line in ops),
            f"tokens for the room {ROOM}, for a day:",
            *(f"  {line}" for line in tokens),
            f"more tokens: {prefix}{_own_command()} token USER --room ROOM",
            *(f"gateway   {url}  (process {pid})" for url, pid in gateways),
            *(f"demo      {url}" for url in system.demo_urls),
            f"logs      {log}",
            "Ctrl-C ends everything.",
            "",
        ]
    )


def show(text: str) -> None:
    """Print text. If the reader of standard output has gone, the system runs on without it."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _own_command() -> str:
    """The way to run `tieline` from here, whether or not the virtual environment is activated."""
    installed = Path(sys.executable).with_name("tieline")
    return "tieline" if shutil.which("tieline") == str(installed) else os.path.relpath(installed)
