"""The closed-loop relay: every pair has one candidate under way, and sends the next when it has arrived.

Where senders ask for acks, they do not wait for one before they send the next, but each has to come.
"""

import asyncio
import gc
from typing import Final

import msgspec

from tieline.load.client import LoadClient, Target, leave
from tieline.load.measurement import Measurement, Subject, clock
from tieline.load.messages import candidates
from tieline.load.pairs import make_pairs

SIGNALS_PER_COST: Final = 100_000
"""CPU seconds are given for so many signals: a number with one digit before the point."""

WARM_UP_S: Final = 0.5
"""Before counting: the first messages fill caches and buffers, and the processors wake up."""

LAST_ARRIVALS_S: Final = 2.0
"""After counting, for messages still under way; more than the slowest message ever took."""

LATE_COPIES_S: Final = 0.05
"""After that, for a repeated copy of the last messages, which would be a fault."""


class _Answer(msgspec.Struct):
    request_id: str = msgspec.field(name="requestId", default="")
    ack: str = ""


_answers: Final = msgspec.json.Decoder(_Answer)


class Pair:
    """One sender and one receiver on two gateways, established, with one message on its way."""

    def __init__(self, measured: Measurement, sender: LoadClient, receiver: LoadClient) -> None:
        self.is_sending = True
        self._faults = measured.faults
        self._note = measured.latencies.add
        self._send = sender.connection.send
        self._candidates = candidates(sender.user, receiver.user)
        self._number = 0
        self._asks_for_acks = sender.asks_for_acks
        self._acknowledged = 0
        self._due = b""
        self._sent_at = 0.0
        sender.connection.on_text = self._on_answer
        receiver.connection.on_text = self._on_arrival

    @property
    def is_waiting(self) -> bool:
        """Whether a message is on its way, or an ack."""
        return self._due != b"" or (self._asks_for_acks and self._acknowledged < self._number)

    def send(self) -> None:
        """Send the next message."""
        self._number += 1
        self._due = self._candidates.write(self._number)
        self._sent_at = clock()
        self._send(self._due)

    def _on_arrival(self, message: bytes) -> None:
        if message == self._due:
            self._due = b""
            if self.is_sending:
                now = clock()
                self._note(now, now - self._sent_at)
                self.send()
        else:
            self._count_fault(message)

    def _on_answer(self, message: bytes) -> None:
        """Count an error: the sender gets nothing else but acks, one by one, if it asked for them."""
        if self._asks_for_acks:
            answer = _answers.decode(message)
            if answer.ack and answer.request_id == self._candidates.name(self._acknowledged + 1):
                self._acknowledged += 1
                return
        self._faults.refused += 1

    def _count_fault(self, message: bytes) -> None:
        number = self._candidates.read(message)
        if number is None:
            self._faults.foreign += 1
        elif number <= self._number:
            self._faults.duplicate += 1
        else:
            self._faults.out_of_order += 1


async def measure_relay(target: Target, pairs: int, seconds: float, measured: Measurement) -> None:
    """Make `pairs` pairs, relay between them for `seconds`, and take them down.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: a pair could not be made.
        FileNotFoundError: one of the processes has ended.
    """
    asked: dict[str, float | str] = {"pairs": pairs}
    if target.acks:
        asked["acks"] = "asked for"
    measured.describe(Subject("relay", asked, "signals", SIGNALS_PER_COST))
    clients = await make_pairs(target, pairs, lambda count: measured.step("connect pairs", count, pairs))
    all_pairs = [Pair(measured, sender, receiver) for sender, receiver in clients]
    gc.collect()
    gc.freeze()  # these objects live until the end: the collector need not visit them
    for pair in all_pairs:
        pair.send()
    await asyncio.sleep(WARM_UP_S)
    measured.start(seconds)
    await asyncio.sleep(seconds)
    for pair in all_pairs:
        pair.is_sending = False
    measured.stop()
    await _until_quiet(all_pairs)
    gc.unfreeze()
    measured.faults.lost += sum(pair.is_waiting for pair in all_pairs)
    both_ends = {id(client): client for pair in clients for client in pair}
    measured.faults += await leave(list(both_ends.values()))


async def _until_quiet(pairs: list[Pair]) -> None:
    """Wait for the messages under way, then a little for repeated ones."""
    deadline = clock() + LAST_ARRIVALS_S
    while any(pair.is_waiting for pair in pairs) and clock() < deadline:  # noqa: ASYNC110  # no event in the hot path
        await asyncio.sleep(LATE_COPIES_S)
    await asyncio.sleep(LATE_COPIES_S)
