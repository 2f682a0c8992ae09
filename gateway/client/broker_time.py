"""The broker's time, as a gateway knows it: each message says when it came, so that a late copy is known.

Presence says it when it renews the gateway's lease, and judges by it (`presence.broker_clock`); in between it
goes on by the monotonic clock. Pure.
"""


class BrokerTime:
    """What the broker's clock says when a monotonic one says something."""

    def __init__(self) -> None:
        self._ahead_s: float | None = None

    def note(self, broker_s: float, at: float) -> None:
        """Note the broker's Unix time at a moment of the monotonic clock."""
        self._ahead_s = broker_s - at

    def ms_at(self, at: float) -> int:
        """Return the broker's time then, in Unix milliseconds; 0: it is not known."""
        return 0 if self._ahead_s is None else int((at + self._ahead_s) * 1000)
