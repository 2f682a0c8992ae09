"""Fixtures of the fault tests: a `tieline dev` for those whose fault it mends by itself."""

from collections.abc import Generator, Iterator

import pytest

from tests.support.dev_processes import SETTINGS, SIZES, DevProcesses
from tests.support.running_dev import READY, RunningDev
from tests.support.system import SECRET

SHOWN_LOG = 12_000
"""How many characters of a system's log stand under a failure."""


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDev]:
    """Two of each, and one broker, which come back on their old ports when they end."""
    folder = tmp_path_factory.mktemp("dev")
    environ = {"TIELINE_JWT_SECRET": SECRET, **SETTINGS}
    with RunningDev(folder, ["--port", "0", *SIZES], environ) as running:
        running.until_said(READY)
        yield running


@pytest.fixture
def processes(dev: RunningDev) -> DevProcesses:
    """The processes of the `tieline dev`."""
    return DevProcesses(dev)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs under a test that failed."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        for name, value in item.funcargs.items():
            log = getattr(value, "log", None)
            if isinstance(log, str):
                report.sections.append((f"the end of the log of {name}", log[-SHOWN_LOG:]))
    return report
