"""The wrapper of a whole system that the tests themselves rely on."""

from pathlib import Path

import pytest

from tests.support.system import System

NOWHERE = "nats://127.0.0.1:1"


def test_a_system_that_cannot_start_shows_what_its_process_said(tmp_path: Path) -> None:
    settings = {"RESUME_WINDOW": "soon"}
    with (
        pytest.raises(AssertionError, match=r"^gateway ended with 78(.|\n)*TIELINE_RESUME_WINDOW"),
        System(NOWHERE, tmp_path, routers=0, presences=0, settings=settings),
    ):
        pass
