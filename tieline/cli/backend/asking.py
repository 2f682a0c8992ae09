"""Ask the API for a command: where it is, with what key, and what to do when it does not answer."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from tieline.api import Backend, Refused, Unavailable
from tieline.api.bodies import Changed
from tieline.api.variables import API_KEY_VARIABLE, API_URL_VARIABLE
from tieline.cli.exits import EXIT_OK, fail, refuse

NOT_SET: Final = (
    f"set {API_URL_VARIABLE} to the API's address, as http://127.0.0.1:8090, and {API_KEY_VARIABLE} to a key"
    " that is good there (`tieline dev` prints both)"
)

_ADVICE: Final[Mapping[int, str]] = {
    HTTPStatus.UNAUTHORIZED: f"{API_KEY_VARIABLE} is no key that is good there: `tieline api-key` makes one",
    HTTPStatus.FORBIDDEN: f"give the key of {API_KEY_VARIABLE} that scope, in TIELINE_API_KEYS of the API",
}

_NO_SUCH_PATH: Final = "NOT_FOUND"
"""The reason of the API for a path that it does not have, as `/v1/v1/rooms` is one."""

_ADVICE_ON_PATHS: Final = f"is {API_URL_VARIABLE} the API's address, without `/v1` and what follows?"

connect: Callable[[str, str], Backend] = Backend
"""What makes the client, of the API's address and a key."""


def ask(command: str, do: Callable[[Backend], Awaitable[None]]) -> int:
    """Do something with the API; returns the exit status, after a line about what went wrong."""
    url, key = os.environ.get(API_URL_VARIABLE, ""), os.environ.get(API_KEY_VARIABLE, "")
    if not url or not key:
        return refuse(command, NOT_SET)
    problem_of_them = _problem_of(url, key)
    if problem_of_them:
        return refuse(command, problem_of_them)

    async def asked() -> None:
        async with connect(url, key) as backend:
            await do(backend)

    try:
        asyncio.run(asked())
    except Refused as refused:
        problem = refused.problem
        advice = _ADVICE_ON_PATHS if problem.reason == _NO_SUCH_PATH else _ADVICE.get(problem.status, "")
        return fail(command, f"{problem.detail} ({problem.reason})" + (f"; {advice}" if advice else ""))
    except Unavailable as problem:
        of_address = f"is {API_URL_VARIABLE} the address of an API that runs?"
        advice = "the API runs: do presence and NATS?" if problem.said else of_address
        return fail(command, f"no answer: {problem}; {advice}")
    return EXIT_OK


def _problem_of(url: str, key: str) -> str:
    """Say why nothing can be asked at this address, or with this key; "": it can be tried."""
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or not url.isprintable():
        return f"{API_URL_VARIABLE} is {url!r}, which is no address as http://127.0.0.1:8090 is one"
    if not (key.isascii() and key.isprintable()):
        return f"{API_KEY_VARIABLE} is no key: it has characters that none has"
    return ""


def say(changed: Changed, done: str, nothing: str) -> None:
    """Print what a change has done, or that there was nothing to do."""
    sys.stdout.write(f"{done if changed.affected else nothing}\n")
