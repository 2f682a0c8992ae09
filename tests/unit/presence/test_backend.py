"""Who carries out what the backend asks."""

from typing import get_args

from tests.unit.presence.presence_process import PresenceProcess
from tieline.wire.internal.directions import BackendRequest


def test_each_request_has_somebody_who_carries_it_out() -> None:
    process = PresenceProcess()
    assert process._backend(process.records, process.rosters).keys() == set(get_args(BackendRequest))
