"""The closed-loop relay: every pair has one candidate under way, and sends the next when it has arrived."""

import asyncio
import gc
import os
import time
import uuid
from collections.abc import Callable
from typing import Final

from tieline.load.client import LoadClient, Target, arrive, leave, within_timeout
from tieline.load.faults import Faults
from tieline.load.figures import GENERATOR, RelayFigures, relay_figures
from tieline.load.messages import answers, candidates, offers
from tieline.load.processes import Pids, cpu_seconds_of

WARM_UP_S: Final = 0.5
"""Before counting: the first messages fill caches and buffers, and the processors wake up."""

LAST_ARRIVALS_S: Final = 2.0
"""After counting, for messages still under way; more than the slowest message ever took."""

LATE_COPIES_S: Final = 0.05
"""After that, for a repeated copy of the last messages, which would be a fault."""

SET_UPS_AT_ONCE: Final = 16
"""While pairs are made: quick, and not a load that would be counted in the measurement that follows."""

_clock = time.perf_counter


class RelayRun:
    """What all pairs of one measurement share."""

    def __init__(self) -> None:
        self.faults = Faults()
        self.latencies: list[float] = []
        """Seconds from sending to receiving, since counting began."""
        self.is_running = True


class Pair:
    """One sender and one receiver on two gateways, established, with one message on its way."""

    def __init__(self, run: RelayRun, sender: LoadClient, receiver: LoadClient) -> None:
        self._run = run
        self._send = sender.connection.send
        self._candidates = candidates(sender.user, receiver.user)
        self._number = 0
        self._due = b""
        self._sent_at = 0.0
        sender.connection.on_text = self._on_answer
        receiver.connection.on_text = self._on_arrival

    @property
    def is_waiting(self) -> bool:
        """Whether a message is on its way."""
        return self._due != b""

    def send(self) -> None:
        """Send the next message."""
        self._number += 1
        self._due = self._candidates.write(self._number)
        self._sent_at = _clock()
        self._send(self._due)

    def _on_arrival(self, message: bytes) -> None:
        if message == self._due:
            run = self._run
            run.latencies.append(_clock() - self._sent_at)
            self._due = b""
            if run.is_running:
                self.send()
        else:
            self._count_fault(message)

    def _on_answer(self, _message: bytes) -> None:
        """Count an error: the sender gets nothing else, because it asked for no acks."""
        self._run.faults.refused += 1

    def _count_fault(self, message: bytes) -> None:
        number = self._candidates.read(message)
        if number is None:
            self._run.faults.foreign += 1
        elif number <= self._number:
            self._run.faults.duplicate += 1
        else:
            self._run.faults.out_of_order += 1


async def measure_relay(
    target: Target, pairs: int, seconds: float, pids: Callable[[], Pids] = dict
) -> tuple[RelayFigures, Faults]:
    """Make `pairs` pairs, relay between them for `seconds`, and take them down.

    `pids` names the processes whose CPU time is wanted, now.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: a pair could not be made.
        FileNotFoundError: one of the processes has ended.
    """
    clients = await make_pairs(target, pairs)
    run = RelayRun()
    all_pairs = [Pair(run, sender, receiver) for sender, receiver in clients]
    gc.collect()
    gc.freeze()  # these objects live until the end: the collector need not visit them
    for pair in all_pairs:
        pair.send()
    await asyncio.sleep(WARM_UP_S)
    before, started = _used(pids), _clock()
    run.latencies.clear()
    await asyncio.sleep(seconds)
    latencies, duration, after = list(run.latencies), _clock() - started, _used(pids)
    run.is_running = False
    await _until_quiet(all_pairs)
    gc.unfreeze()
    run.faults.lost += sum(pair.is_waiting for pair in all_pairs)
    both_ends = {id(client): client for pair in clients for client in pair}
    run.faults += await leave(list(both_ends.values()))
    used = {part: after[part] - before[part] for part in after}
    return relay_figures(pairs, latencies, duration, used), run.faults


def _used(pids: Callable[[], Pids]) -> dict[str, float]:
    return cpu_seconds_of({**pids(), GENERATOR: [os.getpid()]})


async def _until_quiet(pairs: list[Pair]) -> None:
    """Wait for the messages under way, then a little for repeated ones."""
    deadline = _clock() + LAST_ARRIVALS_S
    while any(pair.is_waiting for pair in pairs) and _clock() < deadline:  # noqa: ASYNC110  # no event in the hot path
        await asyncio.sleep(LATE_COPIES_S)
    await asyncio.sleep(LATE_COPIES_S)


async def make_pairs(target: Target, count: int) -> list[tuple[LoadClient, LoadClient]]:
    """Connect `count` pairs of new users, and establish a call between the two of each.

    Raises:
        LoadError, UpgradeRefused, OSError, TimeoutError: one could not be made.
    """
    name = f"load_{uuid.uuid4().hex[:8]}"
    slots = asyncio.Semaphore(SET_UPS_AT_ONCE)

    async def make(number: int) -> tuple[LoadClient, LoadClient]:
        async with slots:
            return await _make_pair(target, f"{name}_{number}")

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(make(number)) for number in range(count)]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


async def _make_pair(target: Target, name: str) -> tuple[LoadClient, LoadClient]:
    sender = await arrive(target, f"{name}_a", target.sender_url)
    if target.receiver_url is None:
        return sender, sender
    receiver = await arrive(target, f"{name}_b", target.receiver_url)
    if target.secret is not None:
        await sender.ask("JOIN", name)
        joined = sender.notice("MEMBER_JOINED")
        await receiver.ask("JOIN", name)
        await within_timeout(joined, f"MEMBER_JOINED at {sender.user}")
    offer = offers(sender.user, receiver.user).write(0)
    answer = answers(receiver.user, sender.user).write(0)
    receiver.expect(offer)
    sender.expect(answer)
    sender.connection.send(offer)
    await receiver.until_arrived(1, sender)
    receiver.connection.send(answer)
    await sender.until_arrived(1, receiver)
    return sender, receiver
