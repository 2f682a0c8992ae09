"""`tieline bench` against a running system: each mode for a second, or so long as it takes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.running_dev import READY, RunningDev
from tieline.load.limited import NOTE

SECRET = "a secret that is long enough for HMAC-SHA256"
SHORT = ("--seconds", "1")


@pytest.fixture(scope="module")
def dev(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDev]:
    """One system for all tests here, with two gateways and without limits."""
    environ = {"TIELINE_JWT_SECRET": SECRET, "TIELINE_LIMITS": "off", "TIELINE_DRAIN_SPREAD": "0"}
    with RunningDev(tmp_path_factory.mktemp("dev"), ["--port", "0", "--gateways", "2"], environ) as running:
        running.until_said(READY)
        yield running


def bench(*words: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [sys.executable, "-m", "tieline.cli", "bench", *words, "--secret", SECRET]
    return subprocess.run(command, capture_output=True, text=True, timeout=100)


def measured(folder: Path, *words: str) -> dict[str, Any]:
    """Run it, and return the figures that it wrote, by the name of each measurement."""
    file = folder / "figures.json"
    ended = bench(*words, "--json", str(file))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found: dict[str, Any] = json.loads(file.read_text())["measurements"]
    assert all(figures["isWhole"] and NOTE not in figures["notes"] for figures in found.values())
    return found


def test_options_alone_measure_the_relay(dev: RunningDev) -> None:
    ended = bench("--ready-file", str(dev.ready_file), "--pairs", "1", "5", *SHORT)
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("   1 pair: ")
    assert lines[1].startswith("  5 pairs: ")
    assert "CPU s per 100,000 signals: nats " in lines[1]


def test_a_relay_with_acks_gets_each_of_them(dev: RunningDev, tmp_path: Path) -> None:
    words = ("relay", "--ready-file", str(dev.ready_file), "--pairs", "3", "--acks", *SHORT)
    ((name, figures),) = measured(tmp_path, *words).items()
    assert name == "3 pairs, with acks"
    assert figures["asked"] == {"pairs": 3, "acks": "asked for"}
    assert figures["count"] > 0


def test_an_open_loop_keeps_its_rate_while_pairs_change(dev: RunningDev, tmp_path: Path) -> None:
    picture = tmp_path / "load.svg"
    words = ("--pairs", "4", "--rate", "100", "--churn", "4", *SHORT, "--picture", str(picture))
    (figures,) = measured(tmp_path, "load", "--ready-file", str(dev.ready_file), *words).values()
    assert figures["count"] == pytest.approx(100, abs=1)
    assert figures["more"]["pairs replaced"] > 0
    assert "load: 100 signals/s, 4 pairs" in picture.read_text()


def test_new_pairs_and_pairs_that_redial_set_up_calls(dev: RunningDev, tmp_path: Path) -> None:
    words = ("setup", "--ready-file", str(dev.ready_file), "--at-once", "2", *SHORT)
    found = measured(tmp_path, *words)
    assert list(found) == ["2 at once, new pairs", "2 at once, pairs that redial"]
    assert all(figures["count"] > 0 for figures in found.values())


def test_users_who_share_a_room_set_up_calls(dev: RunningDev, tmp_path: Path) -> None:
    words = ("setup", "--ready-file", str(dev.ready_file), "--at-once", "2", "--room", "shared", *SHORT)
    found = measured(tmp_path, *words)
    shared = "in a room already"
    assert list(found) == [f"2 at once, new pairs, {shared}", f"2 at once, pairs that redial, {shared}"]
    assert all(figures["count"] > 0 for figures in found.values())


def test_users_arrive_at_urls_without_a_ready_file(dev: RunningDev, tmp_path: Path) -> None:
    urls = [word for url in dev.document["gateways"] for word in ("--url", url)]
    (figures,) = measured(tmp_path, "connect", *urls, "--most", "200", *SHORT).values()
    assert 0 < figures["count"] <= 200
    assert list(figures["cpu"]) == ["load generator"]


def test_idle_connections_are_weighed(dev: RunningDev, tmp_path: Path) -> None:
    words = ("idle", "--ready-file", str(dev.ready_file), "--connections", "100", *SHORT)
    (figures,) = measured(tmp_path, *words).values()
    assert figures["count"] == 100
    assert set(figures["kib"]) == {"nats", "gateway", "router", "presence", "api"}


def test_all_sessions_return_when_their_connections_are_cut(dev: RunningDev, tmp_path: Path) -> None:
    words = ("storm", "--ready-file", str(dev.ready_file), "--sessions", "20", "--spread", "0.1")
    pids = dev.document["pids"]["gateway"]
    (figures,) = measured(tmp_path, *words).values()
    assert figures["count"] == 20
    assert figures["faults"]["not_resumed"] == 0
    assert dev.document["pids"]["gateway"] == pids


def test_all_sessions_return_when_their_gateway_is_killed(dev: RunningDev, tmp_path: Path) -> None:
    words = ("storm", "--ready-file", str(dev.ready_file), "--sessions", "20", "--spread", "0.1", "--kill")
    (figures,) = measured(tmp_path, *words).values()
    assert figures["count"] == 20
    assert figures["asked"]["loss"] == "gateway killed"
