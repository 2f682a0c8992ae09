"""`python -m tests.attacks.honest`: those who do nothing but talk, and those who come and go.

Thirty pairs have an established call each; the callers, all on the attacked gateway, send ten messages a
second, and want each acknowledged; half of the callees are on the other gateway. Twice a second somebody new
connects, joins a room, pings, and leaves. Orders and answers are lines of JSON, as in `attacking.py`.
"""

import asyncio
import itertools
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import uvloop

from tests.attacks.attacking import orders, tell
from tests.support.delivery_report import DeliveryReport, NumberedMessages
from tests.support.frames import command, new_id, token
from tests.support.load_client import LoadClient
from tieline.cli.options import option_parser
from tieline.load.connection import UpgradeRefused, connect
from tieline.load.figures import percentile
from tieline.runtime.garbage import settle

PAIRS: Final = 30
BEAT_S: Final = 0.1
"""Between two messages of one caller."""

NEWCOMER_S: Final = 0.5
"""Between two newcomers."""

VISIT_S: Final = 10.0
"""For the whole visit of a newcomer: a client of Tieline gives up an attempt after so long."""

SETTLE_S: Final = 20.0
"""For all acks and all messages, after the last was sent: nothing in the system waits longer."""

AHEAD: Final = 10_000
"""Messages that a caller sends ahead of their acks: it waits for none."""

Tell = Callable[[float, float], None]
"""Told when a message was sent, and how long it was under way, in seconds."""


@dataclass
class TimedMessages(NumberedMessages):
    """Numbered messages, of which it is known how long each was under way."""

    tell: Tell = field(default=lambda _at, _took: None)
    _sent_at: dict[int, float] = field(default_factory=dict)

    def send(self) -> int:
        """Number the next message."""
        number = super().send()
        self._sent_at[number] = time.perf_counter()
        return number

    def receive(self, number: int) -> None:
        """Take note of a message that came."""
        at = self._sent_at.pop(number, None)
        if at is not None:
            self.tell(at, time.perf_counter() - at)
        super().receive(number)


class Honest:
    """All of them."""

    def __init__(self, urls: list[str], run: str, one_address: bool) -> None:
        self._urls = urls
        self._run = run
        self._one_address = one_address
        self._places = itertools.count(1)
        self._phases: list[tuple[float, str]] = [(0.0, "before")]
        self._took: dict[str, list[float]] = defaultdict(list)
        self._entered: dict[str, list[float]] = defaultdict(list)
        self._kept_out: list[str] = []
        self._visits = 0
        self._news = asyncio.Event()
        self.clients: list[LoadClient] = []
        chance = random.Random(run)
        for pair in range(PAIRS):
            users = [f"{run}-{side}-{pair}" for side in ("caller", "callee")]
            there, back = TimedMessages(tell=self._note), TimedMessages()
            ways = ((there, back), (back, there))
            self.clients += [
                LoadClient(
                    users[side],
                    users[1 - side],
                    f"{run}-room-{pair}",
                    urls,
                    side * (pair % len(urls)),
                    *ways[side],
                    AHEAD,
                    chance,
                    self._news.set,
                    self._address(),
                )
                for side in (0, 1)
            ]
        self._callers = self.clients[::2]

    def _address(self) -> str:
        place = next(self._places)
        return "127.0.0.1" if self._one_address else f"127.1.{place // 250 % 250}.{place % 250 + 1}"

    def _note(self, at: float, took: float) -> None:
        self._took[self._phase_at(at)].append(took)

    def _phase_at(self, at: float) -> str:
        return next(name for since, name in reversed(self._phases) if since <= at)

    def begin_phase(self, name: str) -> None:
        """Measure under another name from here."""
        self._phases.append((time.perf_counter(), name))

    def begin_row(self) -> None:
        """Measure anew. Faults are not forgotten: after any, these processes are replaced."""
        self._took.clear()
        self._entered.clear()
        self._kept_out.clear()
        self._visits = 0

    async def establish(self) -> None:
        """Connect everybody, and make all calls."""
        await self._until(lambda: all(client.url_in_use is not None for client in self.clients))
        for caller in self._callers:
            caller.call()
        await self._until(lambda: all("WEBRTC_ANSWER" in caller.heard_cmds for caller in self._callers))
        self.go_on()

    def go_on(self) -> None:
        """Talk."""
        for caller in self._callers:
            caller.begin()

    async def _until(self, condition: Callable[[], bool], within_s: float = SETTLE_S) -> bool:
        try:
            async with asyncio.timeout(within_s):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    async def beat(self, caller: LoadClient, offset_s: float) -> None:
        """Let one caller send, at its own moments."""
        await asyncio.sleep(offset_s)
        while True:
            caller.beat()
            await asyncio.sleep(BEAT_S)

    async def newcomers(self, group: asyncio.TaskGroup) -> None:
        """Let somebody new come, every half second."""
        for number in itertools.count():
            await asyncio.sleep(NEWCOMER_S)
            self._visits += 1
            group.create_task(self._visit(number))

    async def _visit(self, number: int) -> None:
        user, began = f"{self._run}-new-{number}", time.perf_counter()
        phase, step = self._phase_at(began), "connecting"
        due: asyncio.Queue[Any] = asyncio.Queue()
        connection = None
        try:
            async with asyncio.timeout(VISIT_S):
                url = f"{self._urls[number % len(self._urls)]}?token={token(user)}"
                connection = await connect(url, due.put_nowait, source=self._address())
                steps = [
                    ("WELCOME", b""),
                    ("JOIN", command("JOIN", {"room": f"{user}-room"}, "join")),
                    ("PONG", command("PING", {}, "ping")),
                    ("LEAVE", command("LEAVE", {"room": f"{user}-room"}, "leave")),
                ]
                for step, frame in steps:
                    if frame:
                        connection.send(frame)
                    while True:
                        heard = json.loads(await due.get())
                        if "reason" in heard:
                            raise UpgradeRefused(heard["reason"])
                        if heard["cmd"] == step:
                            break
                    if step == "WELCOME":
                        self._entered[phase].append(time.perf_counter() - began)
        except (UpgradeRefused, OSError) as problem:
            took = time.perf_counter() - began
            self._kept_out.append(f"{step} after {took:.1f} s: {type(problem).__name__} {problem}")
        finally:
            if connection is not None:
                await connection.close()

    async def report(self) -> Any:
        """Send nothing for a moment, wait for what is under way, and sum up."""
        for client in self.clients:
            client.stop()
        await self._until(lambda: all(client.is_settled for client in self.clients))
        await self._until(lambda: not self._sum_up().lost, 5)
        counts = sum((client.counts for client in self.clients), Counter[str]())
        return {
            "delivery": asdict(self._sum_up()),
            "unanswered": sum(not client.is_settled for client in self.clients),
            "counts": dict(counts),
            "phases": {name: _figures(took) for name, took in self._took.items()},
            "entering": {name: _figures(took) for name, took in self._entered.items()},
            "visits": self._visits,
            "kept_out": self._kept_out,
        }

    def _sum_up(self) -> DeliveryReport:
        return sum((client.report(at_rest=True) for client in self.clients), DeliveryReport())

    async def live(self) -> None:
        """Do what is ordered until nothing more is."""
        reader = await orders()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(client.live()) for client in self.clients]
            await self.establish()
            for nth, caller in enumerate(self._callers):
                tasks.append(group.create_task(self.beat(caller, BEAT_S * nth / PAIRS)))
            tasks.append(group.create_task(self.newcomers(group)))
            tell({"ready": True})
            while line := await reader.readline():
                order = json.loads(line)
                match order["do"]:
                    case "row":
                        self.begin_row()
                    case "phase":
                        self.begin_phase(order["name"])
                    case "report":
                        tell(await self.report())
                        self.go_on()
            for task in tasks:
                task.cancel()


def _figures(took: list[float]) -> dict[str, float]:
    took.sort()
    return {
        "count": len(took),
        "p50_ms": percentile(took, 50) * 1000,
        "p99_ms": percentile(took, 99) * 1000,
        "max_ms": percentile(took, 100) * 1000,
    }


async def main(run: str, one_address: bool, urls: list[str]) -> None:
    """Live until standard input ends."""
    await Honest(urls, f"{run}-{new_id('h')}", one_address).live()


if __name__ == "__main__":
    parser = option_parser("python -m tests.attacks.honest", __doc__)
    parser.add_argument("run", help="a name of this run, which users have in theirs")
    parser.add_argument("one_address", choices=("0", "1"), help="1: all come from one address")
    parser.add_argument("urls", metavar="URL", nargs="+", help="of a gateway")
    options = parser.parse_args()
    settle()  # what is measured is how long others wait, not this process
    uvloop.run(main(options.run, options.one_address == "1", options.urls))
