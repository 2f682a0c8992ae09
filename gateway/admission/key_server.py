"""Fetch a key set from its URL, and keep what was fetched last.

The keys are fetched anew now and then, so that one that was withdrawn is forgotten, and at once, but not
too often, when a token names one that is not known. A failure changes nothing: the older keys stay good.
"""

import asyncio
import logging
import time
import urllib.request
from http.client import HTTPException
from typing import Final

from gateway.admission.keys import Key, UnusableKey, read_key_set
from gateway.admission.tokens import Tokens
from tieline import metrics
from tieline.runtime.guard import bug_guard
from tieline.runtime.single_flight import SingleFlight

FETCH_S: Final = 3.0
"""For one fetch: it must leave the client whose token waits for it most of the 5 s for its upgrade."""

REFRESH_S: Final = 300.0
"""Between two fetches when nothing asks for one: so long a withdrawn key stays good at the most."""

RETRY_S: Final = 5.0
"""After a failure."""

MIN_INTERVAL_S: Final = 10.0
"""Between two fetches for tokens that name an unknown key: any client may send such tokens."""

LONGEST_BYTES: Final = 1_048_576
"""Of a key set: a hundred keys take a tenth of it."""

_CHUNK: Final = 65_536

_log = logging.getLogger(__name__)


class KeyServer:
    """Keeps the keys of `tokens` as `url` has them."""

    def __init__(
        self, url: str, tokens: Tokens, tasks: asyncio.TaskGroup, min_interval_s: float = MIN_INTERVAL_S
    ) -> None:
        self._url = url
        self._min_interval_s = min_interval_s
        self._tokens = tokens
        self.good = asyncio.Event()
        """Keys were fetched, now or before."""
        self._fetching = SingleFlight(tasks, self._fetch_once)
        self._fetched_at = float("-inf")
        self._is_good = False

    async def keep(self) -> None:
        """Fetch now and then, for ever."""
        while True:
            is_good = await self._fetching.result()
            await asyncio.sleep(REFRESH_S if is_good else RETRY_S)

    async def refresh(self) -> bool:
        """Fetch because of an unknown key, unless that was done just now, whether or not it succeeded.

        Returns whether what is known is what the server has; False: it could not be asked.
        """
        if asyncio.get_running_loop().time() - self._fetched_at < self._min_interval_s:
            return self._is_good
        return await self._fetching.result()

    async def _fetch_once(self) -> bool:
        is_good = False
        failed = metrics.KEY_FETCHES.labels("failed").inc
        with bug_guard(_log, "keys not fetched: a bug", failed, url=self._url):
            try:
                self._tokens.fetched = await asyncio.to_thread(fetch, self._url)
            except (OSError, ValueError, HTTPException, UnusableKey) as problem:
                failed()
                _log.warning("keys not fetched", extra={"url": self._url, "error": str(problem)})
            else:
                metrics.KEY_FETCHES.labels("ok").inc()
                is_good = True
                self.good.set()
        self._is_good = is_good
        self._fetched_at = asyncio.get_running_loop().time()
        return self._is_good


def fetch(url: str) -> tuple[Key, ...]:
    """Fetch a key set within `FETCH_S`. Blocks: call it in a thread.

    Raises:
        OSError: it cannot be had.
        HTTPException, ValueError: the answer is not HTTP.
        UnusableKey: it is no key set.
    """
    until = time.monotonic() + FETCH_S
    request = urllib.request.Request(url, headers={"Accept": "application/json"})  # noqa: S310  # see `is_url`
    body = bytearray()
    with urllib.request.urlopen(request, timeout=FETCH_S) as answer:  # noqa: S310
        while chunk := answer.read1(_CHUNK):
            body += chunk
            if len(body) > LONGEST_BYTES:
                raise UnusableKey(f"it is longer than {LONGEST_BYTES} bytes")
            if time.monotonic() > until:
                raise TimeoutError(f"not here within {FETCH_S:g} s")
    return read_key_set(bytes(body))


def is_url(text: str) -> bool:
    """Whether keys can be fetched from there."""
    return text.startswith(("https://", "http://"))
