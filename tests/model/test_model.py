"""The promises, in every state that the model can reach; and that the model can see mistakes."""

import json
import subprocess
import sys
from itertools import permutations
from pathlib import Path

import pytest

from docs.model.__main__ import render
from docs.model.cast import Cast
from docs.model.client import LISTENING, Client, Clients
from docs.model.design import DESIGN
from docs.model.runs import BROKERS, PLANTED, PROOFS, Run
from docs.model.scenario import TWO_SENDERS
from gateway import mailbox

ROOT = Path(__file__).parents[2]

FLAWS = {
    "cancelled call, one crash, one lost connection": "a retried hangup leaves released candidates behind",
    "cancelled call, one crash, one hasty retry": "a retried hangup leaves released candidates behind",
    "cancelled call, nothing dropped": "an answer retried after a hangup is acknowledged, and not delivered",
}
"""What the model found. Who repairs one takes it away here."""


def proofs() -> list[object]:
    return [
        pytest.param(
            run,
            id=name,
            marks=pytest.mark.xfail(strict=True, reason=FLAWS[name]) if name in FLAWS else (),
        )
        for name, run in PROOFS.items()
    ]


@pytest.mark.parametrize("run", proofs())
def test_nothing_is_lost_repeated_reordered_or_early(run: Run) -> None:
    found = run.explore()
    assert not found.fault, f"{found.fault}\n{render(found)}"
    assert found.stories > 0


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found(name: str) -> None:
    found = PLANTED[name].explore()
    print(f"{name}: {found.fault}\n{render(found)}")
    assert PLANTED[name].breaks in found.fault
    assert found.trace


@pytest.mark.parametrize("name", BROKERS)
def test_what_an_ideal_broker_hides_is_found(name: str) -> None:
    found = BROKERS[name].explore()
    print(f"{name}: {found.fault}\n{render(found)}")
    assert BROKERS[name].breaks in found.fault
    assert found.trace


def test_a_blind_hold_is_found_where_an_answer_came_between_its_read_and_its_write() -> None:
    trace = PLANTED["hold-blindly"].explore().trace
    read = trace.index("a presence reads the pair for adam's candidate1")
    answered = trace.index("the presence of ruth's answer commits it")
    written = trace.index("the presence of adam's candidate1 holds it")
    assert read < answered < written


def test_the_shortest_trace_of_a_late_subscription_reads_the_mailbox_first() -> None:
    trace = PLANTED["replay-before-subscribe"].explore().trace
    read = trace.index("ruth's new gateway reads the mailbox: nothing new")
    published = trace.index("the router of adam's candidate publishes adam's candidate")
    subscribed = trace.index("ruth's new gateway subscribes")
    assert read < published < subscribed


def test_the_model_splits_a_mailbox_as_the_gateway_does() -> None:
    clients = Clients(Cast(TWO_SENDERS, DESIGN))
    ruth = 1
    for count in range(5):
        for kept in permutations(range(4), count):
            frames = [json.dumps({"requestId": f"frame {number}"}).encode() for number in kept]
            for last in range(4):
                (read,) = clients.moves(ruth, Client(got=(last,), kept=kept, link=LISTENING))
                missed = mailbox._split(frames, f"frame {last}")
                assert [frames[kept.index(number)] for number in read.after.replay] == missed.fresh
                known = [*missed.known, *missed.fresh]
                assert read.after.known == {kept[frames.index(frame)] for frame in known}


def test_the_command_prints_the_trace_of_what_it_is_asked_for() -> None:
    command = [sys.executable, "-m", "docs.model", "hold-blindly"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "hold-blindly: adam's candidate1 is acknowledged, and ruth never receives it" in done.stdout
    assert "  1. adam sends adam's offer\n" in done.stdout


def test_the_command_knows_the_names_of_what_it_can_explore() -> None:
    command = [sys.executable, "-m", "docs.model", "hold-nothing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no hold-nothing" in done.stderr
