"""What `tieline dev` prints on standard output: above all the greeting, which says how to use the system.

Logs go to a file (`log_file`), and notes about a process that ended to standard error.
"""

import os
import shutil
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from api.settings import ApiSettings
from gateway.settings import GatewaySettings
from presence.settings import PresenceSettings
from tieline.api.variables import API_KEY_VARIABLE, API_URL_VARIABLE
from tieline.cli.dev.local_system import API, GATEWAY, KINDS, NATS, WEBHOOK_SECRET_VARIABLE, LocalSystem
from tieline.cli.secret import doubts, find_secret
from tieline.runtime.settings import misspelt, value_or_file
from tieline.tokens import SECRET_VARIABLE, made_for, make_token
from webhooks.settings import WebhookSettings

READY_MADE_TTL_S: Final = 24 * 3600.0
"""The printed tokens are for trying things out: they should outlive a day's work."""

ROOM: Final = "demo"
USERS: Final = ("alice", "bob")

WITHOUT_LIMITS: Final = "limits are off (TIELINE_LIMITS): one client can use up what all need"

Pids = Mapping[str, list[int]]
"""The processes of each kind, as in the ready file."""


def greeting(system: LocalSystem, took_s: float, pids: Pids, log: Path, environ: Mapping[str, str]) -> str:
    """Write what a user needs, the most useful part last: pages, where the logs are, how to end."""
    ops = [
        _process(kind, url, pid)
        for kind, urls in system.ops_urls.items()
        for url, pid in zip(urls, pids[kind], strict=True)
    ]
    wanted = made_for(environ)
    life_s = wanted.life_s(READY_MADE_TTL_S)
    lasts = "a day" if life_s == READY_MADE_TTL_S else f"{life_s} s"
    ready_made = {
        user: make_token(system.secret, user, [ROOM], READY_MADE_TTL_S, made_for=wanted) for user in USERS
    }
    tokens = [f"{user:<9} {token}" for user, token in ready_made.items()]
    is_known = find_secret(None, environ) == system.secret
    own = _own_command()
    secret = "" if is_known else f"{SECRET_VARIABLE}={system.secret} "
    unknown = misspelt(environ, GatewaySettings, PresenceSettings, ApiSettings, WebhookSettings)
    return "\n".join(
        [
            "",
            f"Tieline is ready, after {took_s:.1f} s.",
            *_processes(system, NATS, pids),
            "ops endpoints (/metrics, /healthz, /readyz; of gateways /heaviest):",
            *(f"  {line}" for line in ops),
            f"who costs most: {own} top {' '.join(system.ops_urls[GATEWAY])}",
            f"tokens for the room {ROOM}, for {lasts}:",
            *(f"  {line}" for line in tokens),
            f"more tokens: {secret}{own} token USER --room ROOM",
            f"a bot to call: {secret}{own} call --url {system.urls(GATEWAY)[0]} --answer --room {ROOM}",
            *doubts(None, system.secret, environ),
            *((WITHOUT_LIMITS,) if environ.get("TIELINE_LIMITS") == "off" else ()),
            *(f"{name} is no setting: perhaps {meant}" for name, meant in sorted(unknown.items())),
            *_api(system, pids, own),
            *_webhooks(system, environ),
            *_processes(system, GATEWAY, pids),
            *(f"demo      {url}" for url in system.demo_urls),
            f"logs      {log}",
            "Ctrl-C ends everything.",
            "",
        ]
    )


def _api(system: LocalSystem, pids: Pids, own: str) -> Iterator[str]:
    """Say where a backend asks, and with what; and how an operator does."""
    if not system.api_urls:
        return
    yield from _processes(system, API, pids)
    yield f"API key   {system.api_key}"
    given = f"{API_URL_VARIABLE}={system.api_urls[0]} {API_KEY_VARIABLE}={system.api_key}"
    yield f"who is there: {given} {own} rooms"


def _webhooks(system: LocalSystem, environ: Mapping[str, str]) -> Iterator[str]:
    """Say what signs what webhooks tell; the secret itself if nobody knows it yet."""
    if system.webhook_secret:
        is_given = value_or_file(WEBHOOK_SECRET_VARIABLE, environ) == system.webhook_secret
        yield f"webhooks  signed with {WEBHOOK_SECRET_VARIABLE if is_given else system.webhook_secret}"


def restarted(system: LocalSystem, before: Pids, now: Pids) -> str:
    """Write a line for each process whose id was another one `before`, with its address and its new id."""
    known = {pid for each in before.values() for pid in each}
    there = (kind for kind in KINDS if kind in now)
    lines = [line for kind in there for line in _processes(system, kind, now, known)]
    return "".join(f"{line}\n" for line in lines)


def show(text: str) -> None:
    """Print text. If the reader of standard output has gone, the system runs on without it."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())


def _processes(system: LocalSystem, kind: str, pids: Pids, but: Collection[int] = ()) -> Iterator[str]:
    for url, pid in zip(system.urls(kind), pids[kind], strict=True):
        if pid not in but:
            yield _process("broker" if kind == NATS else kind, url, pid)


def _process(what: str, url: str, pid: int) -> str:
    return f"{what:<9} {url}  (process {pid})"


def _own_command() -> str:
    """The way to run `tieline` from here, whether or not the virtual environment is activated."""
    installed = Path(sys.executable).with_name("tieline")
    return "tieline" if shutil.which("tieline") == str(installed) else os.path.relpath(installed)
