"""`bench.parts`: the processes of a Tieline by the part that the tables name, and none forgotten."""

from bench.parts import in_parts
from bench.release_tree import PACKAGES
from tieline.cli.dev.local_system import KINDS, NATS


def test_every_process_is_in_exactly_one_part() -> None:
    pids = {kind: [number, number + 100] for number, kind in enumerate(KINDS)}
    parts = in_parts(pids)
    counted = sorted(pid for members in parts.values() for pid in members)
    assert counted == sorted(pid for members in pids.values() for pid in members)
    assert next(iter(parts)) == "gateways"
    assert parts["router + presence"] == pids["router"] + pids["presence"]


def test_a_part_that_runs_no_process_is_there_all_the_same() -> None:
    assert in_parts({"gateway": [1]}) == {"gateways": [1], "router + presence": [], "broker": []}


def test_every_process_runs_from_a_package_of_the_release() -> None:
    assert set(KINDS) - {NATS} <= set(PACKAGES)
