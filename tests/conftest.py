"""Fixtures of all tests: a real broker, and the duty to say what did not run in its real form."""

import os
from collections.abc import Generator, Iterator
from functools import partial
from pathlib import Path
from typing import Final, Literal

import pytest

from tests.support.demand import (
    DEMAND_VARIABLE,
    DOCKER,
    StandIn,
    note_stand_in,
    program,
    skip_without,
    stand_ins,
)
from tests.support.examples import register_profiles
from tests.support.nats_container import docker_answers, nats_container
from tests.support.nats_server import NatsServer
from tests.support.partitions import VARIABLE
from tests.support.share import is_in_share

register_profiles()

BrokerKind = Literal["container", "pip"]

SHOWN_LOG: Final = 12_000
"""How many characters of the log of each fixture that has one stand under a failure."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a run say in how many partitions its systems keep what they store, and which part of it to run."""
    parser.addoption("--partitions", type=int, metavar="N", help="of the systems of this run (1)")
    parser.addoption("--one-in", type=int, metavar="N", default=1, help="files of tests: that share of them")
    parser.addoption("--share-seed", metavar="SEED", default="0", help="which share that is (0)")


def pytest_configure(config: pytest.Config) -> None:
    """Say it to those who start them."""
    number = config.getoption("--partitions")
    if number:
        os.environ[VARIABLE] = str(number)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not in the share of this run."""
    one_in, seed = config.getoption("--one-in"), config.getoption("--share-seed")
    left_out = [item for item in items if not is_in_share(item.nodeid.partition("::")[0], one_in, seed)]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def stand_in(pytestconfig: pytest.Config) -> StandIn:
    """Call this when a test does with less than the real thing: it stands in the summary, or fails there."""
    return partial(note_stand_in, pytestconfig)


@pytest.fixture(scope="session")
def broker_kind(stand_in: StandIn) -> BrokerKind:
    """Which nats-server `nats_url` is: one in a container, or the pip-installed one."""
    if docker_answers():
        return "container"
    stand_in(DOCKER, "no Docker engine answers, so NATS ran as the pip-installed server, not in a container")
    return "pip"


@pytest.fixture(scope="session")
def nats_url(broker_kind: BrokerKind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real nats-server with JetStream for the whole run: take a namespace of your own, and leave it up."""
    if broker_kind == "container":
        with nats_container() as url:
            yield url
        return
    with NatsServer.alone(tmp_path_factory.mktemp("jetstream")) as server:
        yield server.url


@pytest.fixture
def pip_nats(tmp_path: Path) -> Iterator[NatsServer]:
    """A nats-server for one test alone, which may kill it and start it again."""
    with NatsServer.alone(tmp_path / "jetstream") as server:
        yield server


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Hold back tests that need what is not here: `needs("docker", "chromium", ...)`."""
    for marker in item.iter_markers("needs"):
        for thing in marker.args:
            if thing == DOCKER:
                if not docker_answers():
                    skip_without(DOCKER, "no Docker engine answers")
            elif program(thing) is None:
                skip_without(thing, f"no {thing} is installed")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of systems and brokers under a test that failed."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for name, value in item.funcargs.items():
            log = getattr(value, "log", None)
            if isinstance(log, str):
                report.sections.append((f"the end of the log of {name}", log[-SHOWN_LOG:]))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say loudly what did not run in its real form."""
    skipped = terminalreporter.stats.get("skipped", [])
    lines = [
        *stand_ins(config),
        *(f"{report.nodeid} did not run: {_reason(report)}" for report in skipped),
    ]
    if not lines:
        return
    terminalreporter.section("NOT IN ITS REAL FORM", sep="!", red=True, bold=True)
    for line in lines:
        terminalreporter.line(f"- {line}", red=True)
    terminalreporter.line(
        f"{DEMAND_VARIABLE}={DOCKER},... makes a failure of what lacks one of the things named."
    )


def _reason(report: pytest.TestReport) -> str:
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
