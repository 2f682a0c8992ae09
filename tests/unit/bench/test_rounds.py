"""`bench.rounds`: what a plan asks for, and in which order."""

import pytest

from bench import rounds
from bench.__main__ import parse, plan_of
from bench.rounds import FaultyRun, Plan, measure, measurements
from bench.systems import System
from tests.unit.load.small_relay import echoing, relaying
from tieline.load.calls import Kind
from tieline.load.client import Target


def test_a_round_has_every_measurement_of_its_plan_in_order() -> None:
    plan = Plan(
        rounds=1,
        seconds=1,
        pairs=(1, 50),
        load_pairs=50,
        rate=1000,
        calls=(Kind(8), Kind(8, redial=True), Kind(8, in_a_room=True)),
        arrivals_at_once=16,
    )
    assert [what.name for what in measurements(plan)] == [
        "1 pair",
        "50 pairs",
        "load",
        "8 at once, new pairs",
        "8 at once, pairs that redial",
        "8 at once, new pairs, in a room already",
        "connect",
    ]
    assert [what.name for what in measurements(Plan(rounds=1, seconds=1))] == []


@pytest.mark.parametrize(
    ("words", "calls"),
    [
        ("", [Kind(4), Kind(4, in_a_room=True), Kind(8), Kind(8, redial=True), Kind(8, in_a_room=True)]),
        ("--room own", [Kind(4), Kind(8), Kind(8, redial=True)]),
        ("--room shared", [Kind(4, in_a_room=True), Kind(8, in_a_room=True)]),
        ("--modes relay", []),
    ],
)
def test_calls_are_made_in_both_kinds_of_rooms(words: str, calls: list[Kind]) -> None:
    plan = plan_of(parse(["--calls", "4", "8", *words.split()]))
    assert list(plan.calls) == calls


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "WARM_UP_S", 0.01)
    monkeypatch.setattr(rounds, "WARM_UP_PAIRS", 1)
    monkeypatch.setattr(rounds, "QUIET_WINDOW_S", 0.01)


def system(name: str, target: Target) -> System:
    return System(name, target, dict, "server")


async def test_systems_take_turns_in_each_round_and_an_echo_makes_no_calls(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plan = Plan(rounds=2, seconds=0.05, pairs=(1,), calls=(Kind(1), Kind(1, in_a_room=True)))
    async with relaying() as relay, echoing() as echo:
        results = await measure([system("relay", relay), system("echo", echo)], plan)
    assert {name: list(found) for name, found in results.found.items()} == {
        "1 pair": ["relay", "echo"],
        "1 at once, new pairs": ["relay"],
        "1 at once, new pairs, in a room already": ["relay"],
    }
    assert all(len(figures) == 2 for found in results.found.values() for figures in found.values())
    order = [line.split(":")[0] for line in capsys.readouterr().err.splitlines() if not line.startswith(" ")]
    assert order == ["relay", "echo", "relay", "relay"] * 2


def repeated(message: bytes) -> list[bytes]:
    return [message, message] if b"WEBRTC_ICE_CANDIDATE" in message else [message]


async def test_a_fault_ends_it() -> None:
    async with relaying(repeated) as relay:
        with pytest.raises(FaultyRun, match=r"relay: round 1 of 1, 1 pair: .* [1-9]\d* duplicate"):
            await measure([system("relay", relay)], Plan(rounds=1, seconds=0.05, pairs=(1,)))
