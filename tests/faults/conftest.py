"""Fixtures of the fault tests: a `tieline dev` for those whose fault it mends by itself."""

from collections.abc import Iterator

import pytest

from tests.support.dev_processes import SETTINGS, SIZES, DevProcesses
from tests.support.running_dev import READY, RunningDev
from tests.support.system import SECRET


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
