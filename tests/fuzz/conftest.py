"""The seed of a run stands above it."""

from tests.support.seed import SAME_AGAIN


def pytest_report_header() -> str:
    return f"fuzzing: {SAME_AGAIN} has the same bytes again"
