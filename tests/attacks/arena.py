"""A running system with the honest on it and an attacker beside it, and what is seen of a row.

The system is a `tieline dev` of two gateways, two routers, two presences, one API and one broker, whose
settings are the default ones. Both others are processes of their own; this one only watches.
"""

import json
import os
import resource
import secrets
import select
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, Self

from tests.attacks.key_server import FailingKeyServer
from tests.attacks.scene import Attack
from tests.attacks.verdict import MIB, Seen
from tests.support.dev_processes import SIZES
from tests.support.process import is_alive
from tests.support.running_dev import READY, RunningDev
from tests.support.system import SECRET
from tieline.load.processes import cpu_seconds_of, resident_kib

LOOK_S: Final = 0.1
"""Between two looks at the memory of all processes."""

PATIENCE_S: Final = 100.0
"""For any answer of the two processes: more than the longest set-up."""


class Teller:
    """A process that takes orders and gives answers, a line of JSON each."""

    def __init__(self, module: str, arguments: Sequence[str], errors: Path) -> None:
        self._errors = errors
        with errors.open("ab") as written:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=written,
            )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def order(self, what: Any) -> None:
        """Give an order."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{json.dumps(what)}\n".encode())
        self._process.stdin.flush()

    def answer(self, meanwhile: Callable[[], None] = lambda: None) -> Any:
        """Wait for an answer, and look around again and again.

        Raises:
            AssertionError: it did not come; the error has what the process wrote.
        """
        stdout = self._process.stdout
        assert stdout is not None
        deadline = time.monotonic() + PATIENCE_S
        while not select.select([stdout], [], [], LOOK_S)[0]:
            meanwhile()
            assert time.monotonic() < deadline, f"no answer: {self._errors.read_text()[-3000:]}"
        line = stdout.readline()
        assert line, f"it has ended: {self._errors.read_text()[-3000:]}"
        return json.loads(line)

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


class Busy:
    """How many cores some processes keep busy, from here on."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        self._pids = pids
        self._began = time.monotonic()
        self._before = self._seconds()

    def cores(self) -> dict[str, float]:
        """Say so for each that is still there."""
        took, after = time.monotonic() - self._began, self._seconds()
        return {name: (seconds - self._before[name]) / took for name, seconds in after.items()}

    def _seconds(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, pid in self._pids.items():
            with suppress(FileNotFoundError):
                found |= cpu_seconds_of({name: [pid]})
        return found


class Arena:
    """All of it, while its `with` block runs."""

    def __init__(
        self,
        folder: Path,
        attack: Attack,
        *,
        share: float = 1.0,
        one_address: bool = False,
        quiet_s: float = 0.5,
        rest_s: float = 1.0,
    ) -> None:
        """Set it up for `attack`, and others that it `serves`.

        `rest_s` is how long others are watched after a row: its end is an event, too.
        """
        self._attack = attack
        self._folder = folder
        self._share = share
        self._one_address = one_address
        self._quiet_s = quiet_s
        self._rest_s = rest_s
        self._stack = ExitStack()
        self._most: dict[str, float] = {}
        self.is_fit = True
        """Whether another row may be done here: after one with a fault the system is a new one."""

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._stack:
            self._key_server = self._stack.enter_context(FailingKeyServer())
            environ = {
                name: value.format(key_server=self._key_server.url) for name, value in self._attack.settings
            }
            kept = {name: "" for name in os.environ if name.startswith("TIELINE_")}
            environ = {**kept, "TIELINE_JWT_SECRET": SECRET, **environ}
            with _files(self._attack.files):
                self._dev = self._stack.enter_context(
                    RunningDev(self._folder, ["--port", "0", *SIZES], environ)
                )
            self._dev.until_said(READY)
            words = [secrets.token_hex(3), str(int(self._one_address)), *self._dev.document["gateways"]]
            self._honest = self._teller("tests.attacks.honest", words)
            self._attacker = self._teller("tests.attacks.attacking", [])
            self._honest.answer()
            self._stack = self._stack.pop_all()  # all of it runs: it ends with the `with` block
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def serves(self, attack: Attack) -> bool:
        """Whether another row may be done here, too."""
        like = (attack.settings, attack.files)
        return self.is_fit and like == (self._attack.settings, self._attack.files)

    def _teller(self, module: str, words: Sequence[str]) -> Teller:
        teller = Teller(module, words, self._folder / f"{module}.errors")
        self._stack.callback(teller.end)
        return teller

    @property
    def log(self) -> str:
        """Everything that the processes have logged."""
        return self._dev.log

    def row(self, attack: Attack, seconds: float) -> Seen:
        """Do one row: a quiet phase, the attack for so long, and a moment after it."""
        pids = {
            f"{kind} {nth}": pid
            for kind, several in self._dev.document["pids"].items()
            for nth, pid in enumerate(several)
        }
        logged = self._log_size()
        before = {name: resident_kib(pid) for name, pid in pids.items()}
        self._most = dict(before)

        def watch() -> None:
            for name, pid in pids.items():
                try:
                    self._most[name] = max(self._most[name], resident_kib(pid))
                except FileNotFoundError:
                    continue  # it has ended, which is seen at the end

        self._honest.order({"do": "row"})
        self._honest.order({"do": "phase", "name": "quiet"})
        time.sleep(self._quiet_s)
        self._honest.order({"do": "phase", "name": "set-up"})
        self._attacker.order(
            {
                "name": attack.name,
                "ready_file": str(self._dev.ready_file),
                "key_server": self._key_server.url,
                "share": self._share,
                "one_address": self._one_address,
                "run": secrets.token_hex(3),
            }
        )
        done = self._attacker.answer(watch)
        cores: dict[str, float] = {}
        if "prepared" in done:
            everybody = {**pids, "attackers": self._attacker.pid, "honest": self._honest.pid}
            busy = Busy(everybody)
            self._honest.order({"do": "phase", "name": "loud"})
            self._attacker.order({"seconds": max(seconds, attack.least_s)})
            done = self._attacker.answer(watch)
            cores = busy.cores()
        self._honest.order({"do": "phase", "name": "after"})
        time.sleep(self._rest_s)
        self._honest.order({"do": "report"})
        honest = self._honest.answer(watch)
        log = self._logged(logged)
        return Seen(
            honest,
            done,
            {name: (self._most[name] - before[name]) / MIB for name in pids},
            [name for name, pid in pids.items() if not is_alive(pid)],
            log,
            _most_said(log),
            cores,
        )

    def _log_size(self) -> int:
        return self._dev.log_file.stat().st_size if self._dev.log_file.exists() else 0

    def _logged(self, start: int) -> bytes:
        with self._dev.log_file.open("rb") as log:
            log.seek(start)
            return log.read()


@contextmanager
def _files(most: int) -> Iterator[None]:
    """Let processes that are started in the block have so many files open; 0: as many as this one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most or soft, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def _most_said(log: bytes) -> dict[str, int]:
    said = Counter[str]()
    for line in log.splitlines():
        try:
            said[json.loads(line)["event"]] += 1
        except (ValueError, KeyError, TypeError):
            said["(no JSON)"] += 1
    return dict(said.most_common(5))
