"""The promises, in every state that the model can reach; and that the model can see mistakes."""

import gc
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import permutations
from multiprocessing import get_context
from pathlib import Path

import pytest

from gateway.delivery.replay import Replay
from model.__main__ import render
from model.client import LISTENING, Client, Clients
from model.design import Design
from model.explore import Found
from model.numbering import Numbering
from model.runs import PLANTED, PROOFS
from model.scenario import TWO_SENDERS

ROOT = Path(__file__).parents[2]

Findings = dict[str, Future[Found]]


@pytest.fixture(scope="module")
def findings() -> Iterator[Findings]:
    """Explore everything at once, on every core; what each test waits for is its own.

    No state refers to itself: looking for cycles in millions of them takes time, and finds nothing.
    """
    with ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=gc.disable) as processes:
        yield {name: processes.submit(run.explore) for name, run in {**PROOFS, **PLANTED}.items()}


@pytest.mark.parametrize("name", PROOFS)
def test_nothing_is_lost_repeated_reordered_or_early(name: str, findings: Findings) -> None:
    found = findings[name].result()
    assert not found.fault, f"{found.fault}\n{render(found)}"
    assert found.ends > 0


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str, findings: Findings) -> None:
    found = findings[name].result()
    print(f"{name}: {found.fault}\n{render(found)}")
    assert PLANTED[name].breaks in found.fault
    assert found.trace


def test_a_blind_hold_is_found_around_an_answer(
    findings: Findings,
) -> None:
    trace = findings["hold-blindly"].result().trace
    held = next(step for step in trace if step.endswith("holds it"))
    held_of = held.removeprefix("the presence of ").removesuffix(" holds it")
    assert held_of.startswith("adam's candidate1")  # with those that go together with it, if any do
    read = trace.index(f"a presence reads the pair for {held_of}")
    answered = trace.index("the presence of ruth's answer commits it")
    assert read < answered < trace.index(held)


def test_a_late_subscription_is_shown_to_read_the_mailbox_first(findings: Findings) -> None:
    trace = findings["replay-before-subscribe"].result().trace
    read = trace.index("ruth's new gateway reads the mailbox: nothing new")
    published = trace.index("the router of adam's candidate publishes adam's candidate")
    assert read < trace.index("ruth's new gateway subscribes")
    assert read < published
    assert "the stream hears of ruth's subscription" not in trace[:published]


def test_without_a_barrier_what_is_stored_too_early_is_missed(findings: Findings) -> None:
    trace = findings["mark-left-out"].result().trace
    subscribed = trace.index("ruth's new gateway subscribes")
    read = trace.index("ruth's new gateway reads the mailbox: nothing new")
    published = trace.index("the router of adam's candidate publishes adam's candidate")
    assert subscribed < read < published
    assert "the stream hears of ruth's subscription" not in trace[:published]


def test_the_model_splits_a_mailbox_as_the_gateway_does() -> None:
    clients = Clients(Numbering(TWO_SENDERS, Design(reads="after listening")))
    ruth = 1
    for count in range(5):
        for kept in permutations(range(4), count):
            frames = [json.dumps({"requestId": f"frame {number}"}).encode() for number in kept]
            for last in range(4):
                client = Client(got=(last,), kept=kept, link=LISTENING)
                (read,) = (move for move in clients.moves(ruth, client) if "reads" in move.label)
                replay = Replay(f"frame {last}")
                for sequence, frame in enumerate(frames, 1):
                    replay.add(frame, sequence, int)
                assert [frames[kept.index(number)] for number in read.after.replay] == replay.fresh


def test_the_command_prints_the_trace_of_what_it_is_asked_for() -> None:
    command = [sys.executable, "-m", "model", "hold-blindly"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "hold-blindly: adam's candidate1 is acknowledged, and ruth never receives it" in done.stdout
    assert "  1. adam sends adam's offer\n" in done.stdout


def test_the_command_knows_the_names_of_what_it_can_explore() -> None:
    command = [sys.executable, "-m", "model", "hold-nothing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no hold-nothing" in done.stderr
