"""Read what webhook workers tell a backend: is it from Tieline, is it new, and what does it say? Pure.

An application writes no check of its own: one that compares too little, or takes what was recorded a week
ago, looks as good as a right one. What signs is `tieline.wire.signatures`, what each type of event means is
in docs/webhooks.md#events. Whether an event was told before only the application knows, by its `id`.
"""

import hmac
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from tieline.api.bodies import Event
from tieline.wire.several import several
from tieline.wire.signatures import key_of, signature

OLDEST_S: Final = 300.0
"""A delivery is signed when it is sent: one that was signed longer ago somebody has recorded. The two clocks
may differ by as much."""


class BadDelivery(Exception):
    """What came is no delivery of Tieline's, or an old one: the text says why. Answer 401, keep nothing."""


_batch: Final = msgspec.json.Decoder(list[Event])


def read_delivery(headers: Mapping[str, str], body: bytes, secrets: Iterable[str], now: float) -> list[Event]:
    """Read the events of one delivery, in their order, if it is signed by one of these secrets.

    `body` is what came, byte for byte, and `now` is `time.time()`. `secrets` is a list or a tuple of texts:
    two are good while they are changed. Empty ones, and `whsec_` with nothing behind it, count for nothing:
    where there are no others, nothing is taken.

    Raises:
        BadDelivery: it is not signed by any of them, or not within the last minutes, or no delivery at all.
        TypeError: `secrets` is one text, or bytes, or some of them are no text.
    """
    keys = [secret for secret in several("secrets", secrets) if key_of(secret)]
    given = {name.lower(): value for name, value in headers.items()}
    name, signatures = given.get("webhook-id", ""), given.get("webhook-signature", "")
    try:
        sent_at = int(given.get("webhook-timestamp", ""))
        is_new = abs(now - sent_at) <= OLDEST_S
    except (ValueError, OverflowError):
        raise BadDelivery("it does not say when it was sent") from None
    if not is_new:
        raise BadDelivery("it was not signed in the last minutes: it is old, or one clock is wrong")
    if not name.isascii():
        raise BadDelivery("its name is none")
    wanted = [signature(secret, name, sent_at, body).encode() for secret in keys]
    found = [each.encode(errors="replace") for each in signatures.split(" ")]
    if not any(hmac.compare_digest(good, each) for good in wanted for each in found):
        raise BadDelivery("it is signed by another secret, or was changed on the way")
    try:
        return _batch.decode(body)
    except msgspec.MsgspecError as problem:
        raise BadDelivery(f"it is no batch of events: {problem}") from None
