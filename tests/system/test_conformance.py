"""`tieline conformance`: it lets our clients pass, and says of a broken one which promise it breaks."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.support.pages import program_of
from tests.support.small_client import WAYS, Small
from tieline.cli.conformance.promises import PROMISES
from tieline.cli.conformance.stage import Outcome, play
from tieline.cli.conformance.talking import SCENARIOS

PAGE: Final = "conformance.md"
CLIENT: Final = Path(__file__).parents[2] / "web/tieline.js"

PATIENCE_S: Final = 20.0
"""For a client whose process has to start beside others."""

SMALL_PATIENCE_S: Final = 6.0
"""For one that is here already. It is waited for wherever it is broken by doing nothing."""

AT_ONCE: Final = 60
"""Scenarios at a time, so that what begins together leaves the processor to the others."""

LONG: Final = {"unended": "ring-ends"}
"""Scenarios that take long, with the promise that they are about: who is broken otherwise is spared them."""

NO_TRICK: Final = {"pong", "text-frames", "hears", "calls"}
"""Promises that the small client keeps whatever is wrong with it; two of them are the WebSocket library's."""


class Found(msgspec.Struct, rename="camel"):
    """One scenario, as `--json` has it."""

    scenario: str
    broken: list[dict[str, str]]
    not_tried: str
    failed: str


def conformance(*driver: str, only: Sequence[str] = ()) -> tuple[int, str]:
    chosen = [word for name in only for word in ("--only", name)]
    command = [sys.executable, "-m", "tieline.cli", "conformance", f"--patience={PATIENCE_S}", *chosen]
    done = subprocess.run([*command, *driver], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout or done.stderr


def keeps_all(*driver: str) -> None:
    status, said = conformance("--json", "--", *driver)
    found = msgspec.json.decode(said, type=list[Found])
    assert [each for each in found if each.broken or each.failed or each.not_tried] == []
    assert [each.scenario for each in found] == list(SCENARIOS)
    assert status == 0


def test_the_python_client_keeps_every_promise(tmp_path: Path) -> None:
    driver = tmp_path / "driver.py"
    driver.write_text(program_of("python", PAGE))
    keeps_all(sys.executable, str(driver))


@pytest.mark.needs("node")
def test_the_client_of_browsers_keeps_every_promise(tmp_path: Path) -> None:
    driver = tmp_path / "driver.mjs"
    driver.write_text(program_of("js", PAGE))
    keeps_all("node", "--experimental-websocket", str(driver), str(CLIENT))


async def outcomes_of(
    client: Callable[[], Small],
    names: Iterable[str] = SCENARIOS,
    turns: asyncio.Semaphore | None = None,
) -> dict[str, Outcome]:
    """Play scenarios with a small client, one for each; `turns` are shared with others."""
    taking = turns or asyncio.Semaphore(AT_ONCE)

    async def start() -> Small:
        return client()

    async def outcome_of(name: str) -> Outcome:
        async with taking:
            return await play(SCENARIOS[name], start, SMALL_PATIENCE_S)

    async with asyncio.TaskGroup() as tasks:
        playing = {name: tasks.create_task(outcome_of(name)) for name in names}
    return {name: task.result() for name, task in playing.items()}


async def test_a_small_sound_client_keeps_every_promise() -> None:
    sound = Outcome(broken=[])
    assert [found for found in (await outcomes_of(Small)).items() if found[1] != sound] == []


class Speechless(Small):
    """A client without calls, whose driver says so."""

    def __init__(self) -> None:
        super().__init__()
        self._say(driver="speechless", cannot=["calls"])


async def test_what_a_client_cannot_do_is_not_held_against_it() -> None:
    outcomes = await outcomes_of(Speechless, ["incoming", "glare", "late-hangup", "internal", "rooms"])
    untried = {name for name, outcome in outcomes.items() if outcome.not_tried}
    assert untried == {"incoming", "glare", "late-hangup", "internal"}
    assert not any(outcome.broken or outcome.failed for outcome in outcomes.values())


class Unjoining(Small):
    """A client that joins no rooms, as its driver says when it is told to."""

    async def write(self, line: bytes) -> None:
        order = json.loads(line)
        if order["do"] == "join":
            self._say(id=order["id"], cannot=True)
        else:
            await super().write(line)


async def test_a_driver_may_say_what_it_cannot_do_when_it_is_told_to() -> None:
    (outcome,) = (await outcomes_of(Unjoining, ["refusals"])).values()
    assert outcome.not_tried == "its driver says that the client cannot join"


async def test_a_broken_client_breaks_the_one_promise() -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def promises_broken(way: str) -> set[str]:
        names = [name for name in SCENARIOS if LONG.get(name) in (None, WAYS[way])]
        outcomes = await outcomes_of(lambda: Small(way), names, turns)
        return {each.promise for outcome in outcomes.values() for each in outcome.broken}

    # What takes longest begins first.
    ways = sorted(WAYS, key=lambda way: WAYS[way] not in LONG.values())
    found = await asyncio.gather(*map(promises_broken, ways))
    assert dict(zip(ways, found, strict=True)) == {way: {promise} for way, promise in WAYS.items()}


def test_each_promise_is_broken_by_somebody() -> None:
    assert set(WAYS.values()) | NO_TRICK == set(PROMISES)


def test_it_says_in_words_what_is_wrong(tmp_path: Path) -> None:
    driver = tmp_path / "driver.py"
    sound = program_of("python", PAGE)
    driver.write_text(sound.replace("await client.close()", "os._exit(0)"))
    status, said = conformance("--", sys.executable, str(driver), only=["greeting"])
    assert status == 1
    assert "BROKEN  greeting: It connects, is pinged, and is closed by its application." in said
    assert "when it is closed on purpose it closes with 1000 (docs/protocol.md#5-errors)." in said
    assert "But its application closed it, and the close code was 1006." in said
    assert "once more: tieline conformance --only greeting -- " in said


def test_a_driver_that_is_none_is_named() -> None:
    status, said = conformance("--", "/no/such/driver", only=["greeting"])
    assert status == 1
    assert "the driver cannot be started" in said


def test_it_counts_what_nothing_could_be_said_of(tmp_path: Path) -> None:
    driver = tmp_path / "driver.py"
    saying = 'say(driver="tieline.client"'
    driver.write_text(program_of("python", PAGE).replace(saying, f'{saying}, cannot=["calls"]'))
    status, said = conformance("--", sys.executable, str(driver), only=["greeting", "incoming"])
    assert status == 0
    assert said.endswith("1 of 2 scenarios kept, 0 not; nothing could be said of 1\n")


@pytest.mark.parametrize(
    ("driver", "why"),
    [
        (("/no/such/driver",), "the driver cannot be started"),
        ((sys.executable, "-c", ""), "the driver has ended"),
    ],
)
def test_what_fails_each_scenario_alike_is_said_once(driver: tuple[str, ...], why: str) -> None:
    status, said = conformance("--", *driver, only=["greeting", "rooms"])
    assert status == 1
    assert said.startswith(f"failed  all 2 scenarios: {why}")
    assert said.count("\n") == 1


def test_a_driver_that_says_nothing_is_a_failure() -> None:
    status, said = conformance("--", sys.executable, "-c", "", only=["rooms"])
    assert status == 1
    assert "failed  rooms" in said


def test_it_lists_what_happens_in_each_scenario() -> None:
    status, said = conformance("--list")
    assert status == 0
    assert [line.partition(":")[0] for line in said.splitlines()] == list(SCENARIOS)


def test_without_a_driver_it_says_what_is_missing() -> None:
    status, said = conformance()
    assert status == 2
    assert "which driver?" in said
