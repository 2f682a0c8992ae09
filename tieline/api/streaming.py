"""Follow the stream of events over HTTP, from connection to connection.

The API ends a stream when its process does, or when nobody reads; a line may be lost anywhere. Whoever
follows goes on behind the last event that came, so it misses none and gets none twice. How a stream is
written and read is in `tieline.wire.server_sent`.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import httpx
import msgspec

from tieline.api.answers import BETWEEN_S, RETRIED, Unavailable, refusal
from tieline.api.bodies import Event
from tieline.wire.server_sent import GAP, Reader, Told, TooLong

ANSWER_S: Final = 8.0
"""For the API to begin to answer, as for any request."""

SILENCE_S: Final = 30.0
"""After so long without a word the connection is taken to be lost: three heartbeats."""

_event: Final = msgspec.json.Decoder(Event)


class _Lost(msgspec.Struct, frozen=True):
    lost: int = 0


class _Place:
    """Where one who follows is."""

    def __init__(self, after: int | None, on_gap: Callable[[int], None]) -> None:
        self._after = "" if after is None else str(after)
        self._on_gap = on_gap

    def headers(self) -> dict[str, str]:
        return {"Last-Event-ID": self._after} if self._after else {}

    def read(self, told: Told) -> Event | None:
        """Take what is told, and return the event if it is one that can be read."""
        self._after = told.id or self._after
        try:
            if told.name == GAP:
                self._on_gap(msgspec.json.decode(told.data, type=_Lost).lost)
            elif not told.name and told.data:
                return _event.decode(told.data)
        except msgspec.MsgspecError:  # a later version says it otherwise
            return None
        return None


async def follow(
    http: httpx.AsyncClient,
    named: Mapping[str, str],
    after: int | None,
    on_gap: Callable[[int], None],
    patience_s: float,
) -> AsyncIterator[Event]:
    """Follow until the caller stops. See `Backend.events`."""
    place, loop = _Place(after, on_gap), asyncio.get_running_loop()
    timeout = httpx.Timeout(ANSWER_S, read=SILENCE_S)
    until = loop.time() + patience_s
    while True:
        is_heard, problem = False, "it does not answer"
        try:
            async with http.stream(
                "GET", "/events", params=named, headers=place.headers(), timeout=timeout
            ) as answer:
                if answer.status_code in RETRIED:
                    problem = f"it answers {answer.status_code}"
                elif not answer.is_success:
                    await answer.aread()
                    raise refusal(answer)
                else:
                    is_heard, reader = True, Reader()
                    try:
                        async for piece in answer.aiter_bytes():
                            for told in reader.feed(piece):
                                event = place.read(told)
                                if event is not None:
                                    yield event
                    finally:
                        until = loop.time() + patience_s
        except httpx.TransportError as error:
            problem = str(error) or type(error).__name__
        except TooLong:
            raise Unavailable(f"{http.base_url}: this is no stream of events") from None
        if not is_heard and loop.time() + BETWEEN_S > until:
            raise Unavailable(f"{http.base_url}: {problem}")
        await asyncio.sleep(BETWEEN_S)
