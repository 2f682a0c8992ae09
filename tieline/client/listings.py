"""Fetches the rest of a list of members, page by page, where no caller waits for it.

Such a list comes after a resume, or when a room is joined again. What a caller has asked for is fetched by
`client`; what becomes of pages and changes is decided by `rosters`.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from tieline.client import messages
from tieline.client.errors import ClientError, NoReply, Refused, Unreadable
from tieline.client.gateway_pool import Backoff, Jitter
from tieline.client.messages import Reply
from tieline.client.pending import PendingRequest, PendingRequests
from tieline.client.rosters import Listing
from tieline.wire.codes import ErrorCode
from tieline.wire.replies import Roster

_PASSING: Final = frozenset((ErrorCode.INTERNAL.reason, ErrorCode.RATE_LIMITED.reason))
"""Refusals after which the same page may be had."""


class Listings:
    """The lists of one client that are being fetched."""

    def __init__(self, pending: PendingRequests, jitter: Jitter) -> None:
        self._pending = pending
        self._jitter = jitter

    def fetch(
        self, listing: Listing, page: Roster, on_whole: Callable[[], None], on_failure: Callable[[str], None]
    ) -> None:
        """Take a page and ask for those behind it; calls one of two when that has an end.

        `on_failure` is given the reason. Neither is called when the session has ended.
        """
        _Fetching(self._pending, Backoff(self._jitter), listing, on_whole, on_failure).take(page)


class _Fetching:
    """One list."""

    def __init__(
        self,
        pending: PendingRequests,
        backoff: Backoff,
        listing: Listing,
        on_whole: Callable[[], None],
        on_failure: Callable[[str], None],
    ) -> None:
        self._pending = pending
        self._backoff = backoff
        self._listing = listing
        self._on_whole = on_whole
        self._on_failure = on_failure
        self._after = ""

    def take(self, page: Roster) -> None:
        self._after = self._listing.add(page)
        if self._after:
            self._ask()
        else:
            self._on_whole()

    def _ask(self) -> None:
        if self._listing.is_void:
            return
        request_id = self._pending.next_id()
        data = {"room": self._listing.room, "after": self._after}
        frame = messages.encode(request_id, "MEMBERS", data)
        self._pending.send(PendingRequest(request_id, "MEMBERS", frame, on_answer=self._answered))

    def _answered(self, answer: Reply | ClientError | None) -> None:
        match answer:
            case Reply():
                try:
                    page = messages.data_of(answer, Roster)
                except Unreadable:
                    self._on_failure("UNREADABLE")
                else:
                    self.take(page)
            case Refused(reason=reason) if reason not in _PASSING:
                self._on_failure(reason)
            case Refused() | NoReply():
                asyncio.get_running_loop().call_later(self._backoff.next_s(), self._ask)
            case _:
                pass  # the session or the client has ended
