"""The supervisor of `tieline dev`, with shells as processes. tests/system/test_dev.py runs the real ones."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.process import is_alive
from tests.support.waiting import until, within
from tieline.cli.dev.log_file import LogFile, open_log
from tieline.cli.dev.supervisor import ProcessSpec, Supervisor, SystemFailed

PATIENCE_S = 20

SERVES = "trap 'echo {0} ends; exit 0' TERM; echo {0} serves; touch {1}; while :; do sleep 0.02; done"


class Heard:
    """A listener, which counts how often all were ready."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.ready: list[str] = []
        self.times = 0
        self._failure = failure
        self._changed = asyncio.Condition()

    def on_process_ready(self, name: str) -> None:
        self.ready.append(name)

    async def on_all_ready(self) -> None:
        if self._failure is not None:
            raise self._failure
        async with self._changed:
            self.times += 1
            self._changed.notify_all()

    async def until_ready(self, times: int) -> None:
        async with self._changed, asyncio.timeout(PATIENCE_S):
            await self._changed.wait_for(lambda: self.times >= times)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[LogFile]:
    log = open_log(tmp_path / "dev.log", {})
    yield log
    log.close()


async def until_logged(log: LogFile, words: str) -> None:
    await until(lambda: words in log.path.read_text())


def spec(log: LogFile, name: str, script: str = "") -> ProcessSpec:
    """A process that is ready once it has begun to serve; `script` instead: one that never is."""
    is_up = log.path.with_name(f"{name}.up")

    async def why_not_ready() -> str:
        return "" if is_up.exists() else "starting"

    command = ["/bin/sh", "-c", script or SERVES.format(name, is_up)]
    return ProcessSpec(name, name, command, dict(os.environ), why_not_ready)


async def test_processes_end_in_the_reverse_order_of_their_kinds(log: LogFile) -> None:
    heard, stop = Heard(), asyncio.Event()
    running = asyncio.ensure_future(
        Supervisor([spec(log, "broker"), spec(log, "router"), spec(log, "gateway")], log, heard).run(stop)
    )
    await heard.until_ready(1)
    assert heard.ready == ["broker", "router", "gateway"]
    stop.set()
    await within(running)
    assert log.path.read_text().splitlines()[3:] == ["gateway ends", "router ends", "broker ends"]


async def test_a_process_that_ends_is_restarted_and_reported(
    log: LogFile, capsys: pytest.CaptureFixture[str]
) -> None:
    heard, stop = Heard(), asyncio.Event()
    supervisor = Supervisor([spec(log, "broker"), spec(log, "router")], log, heard)
    running = asyncio.ensure_future(supervisor.run(stop))
    await heard.until_ready(1)
    (before,) = supervisor.pids("router")
    os.kill(before, signal.SIGKILL)
    await heard.until_ready(2)
    (after,) = supervisor.pids("router")
    assert after != before
    assert heard.ready == ["broker", "router"]
    stop.set()
    await within(running)
    assert capsys.readouterr().err == (
        f"tieline: router (pid {before}) ended: killed by SIGKILL; starting it again;"
        f" its log is in {log.path}\n"
    )


async def test_a_process_that_fails_is_reported_with_the_end_of_its_log(
    log: LogFile, capsys: pytest.CaptureFixture[str]
) -> None:
    heard, stop = Heard(), asyncio.Event()
    is_up = log.path.with_name("router.up")
    script = f"trap 'echo no room left; exit 3' TERM; touch {is_up}; while :; do sleep 0.02; done"
    supervisor = Supervisor([spec(log, "router", script)], log, heard)
    running = asyncio.ensure_future(supervisor.run(stop))
    await heard.until_ready(1)
    (pid,) = supervisor.pids("router")
    os.kill(pid, signal.SIGTERM)
    await heard.until_ready(2)
    assert capsys.readouterr().err == (
        f"tieline: router (pid {pid}) ended: exit status 3; starting it again\n  | no room left\n"
    )
    stop.set()
    await within(running)


async def test_a_process_that_ends_repeatedly_waits_longer_each_time(log: LogFile) -> None:
    heard, stop = Heard(), asyncio.Event()
    # It serves when it is started first, is not ready any more when it ends, and ends at once from then on.
    is_up, was_up = (log.path.with_name(f"router.{word}") for word in ("up", "was"))
    first = f"trap 'rm {is_up}; exit 0' TERM; touch {was_up} {is_up}; while :; do sleep 0.02; done"
    supervisor = Supervisor([spec(log, "router", f"test -e {was_up} && exit 3; {first}")], log, heard)
    running = asyncio.ensure_future(supervisor.run(stop))
    await heard.until_ready(1)
    os.kill(supervisor.pids("router")[0], signal.SIGTERM)
    await until_logged(log, "ended 3 times in a row: exit status 3; starting it again in 0.2 s")
    stop.set()
    await within(running)
    told = [line.partition(") ")[2] for line in log.path.read_text().splitlines() if "tieline: " in line]
    assert told[:3] == [
        f"ended: exit status 0; starting it again; its log is in {log.path}",
        "ended 2 times in a row: exit status 3; starting it again in 0.1 s",
        "ended 3 times in a row: exit status 3; starting it again in 0.2 s",
    ]


@pytest.mark.parametrize(
    ("script", "why", "last_lines"),
    [
        ("echo no such level; exit 78", "router cannot run with these settings", [b"no such level"]),
        (
            "echo no room left; exit 7",
            "router ended 5 times before it was ready, the last time with exit status 7",
            [b"no room left"],
        ),
    ],
)
async def test_a_system_that_cannot_start_fails_with_the_cause(
    script: str, why: str, last_lines: list[bytes], log: LogFile
) -> None:
    supervisor = Supervisor([spec(log, "broker"), spec(log, "router", script)], log, Heard())
    with pytest.raises(SystemFailed) as failed:
        await within(supervisor.run(asyncio.Event()))
    assert str(failed.value) == why
    assert failed.value.last_lines == last_lines


async def test_a_program_that_is_not_there_fails_the_system(log: LogFile) -> None:
    missing = spec(log, "router")._replace(command=["/nowhere/router"])
    with pytest.raises(SystemFailed, match="router cannot be started: "):
        await Supervisor([missing], log, Heard()).run(asyncio.Event())


async def test_a_system_that_is_not_ready_in_time_says_what_it_waits_for(log: LogFile) -> None:
    specs = [spec(log, "broker"), spec(log, "router", "exec sleep 60")]
    supervisor = Supervisor(specs, log, Heard(), ready_deadline_s=0.1)
    with pytest.raises(SystemFailed, match=r"not ready within 0\.1 s\. router: starting"):
        await supervisor.run(asyncio.Event())


async def test_a_listener_that_fails_ends_all_processes(log: LogFile) -> None:
    supervisor = Supervisor(
        [spec(log, "broker"), spec(log, "router")], log, Heard(LookupError("the call failed"))
    )
    with pytest.raises(LookupError):
        await within(supervisor.run(asyncio.Event()))
    assert not any(is_alive(pid) for pid in (*supervisor.pids("broker"), *supervisor.pids("router")))


async def test_a_process_that_ignores_sigterm_is_killed_and_reported(log: LogFile) -> None:
    stop = asyncio.Event()
    script = "trap '' TERM; echo deaf; while :; do sleep 0.02; done"
    supervisor = Supervisor([spec(log, "router", script)], log, Heard())
    running = asyncio.ensure_future(supervisor.run(stop))
    await until_logged(log, "deaf")
    stop.set()
    await within(running)
    assert "was killed: it had not ended 1 s after SIGTERM" in log.path.read_text()
