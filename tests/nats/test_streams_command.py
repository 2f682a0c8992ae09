"""`tieline streams` says why a broker does not let it in, or does not let it do what it is for."""

from pathlib import Path

import pytest

from tests.nats.conftest import NAMESPACE
from tests.support.partitions import partitions
from tests.support.secured import Prepared, SecuredCluster
from tests.support.system import System
from tieline.cli import broker
from tieline.cli.__main__ import main

pytestmark = pytest.mark.needs("openssl")


def refused(
    cluster: SecuredCluster,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    user: str = "streams",
    **settings: str,
) -> str:
    """Run it, and return what it says."""
    monkeypatch.setattr(broker, "PATIENCE_S", 3.0)
    usual = {"NATS_URL": cluster.url, "NAMESPACE": NAMESPACE, "REPLICAS": "3"}
    usual |= {"PARTITIONS": str(partitions()), **cluster.prepared.login(user)}
    for name, value in (usual | settings).items():
        monkeypatch.setenv(f"TIELINE_{name}", value)
    assert main(["streams"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err


def test_a_certificate_that_is_not_accepted_is_said(
    cluster: SecuredCluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = refused(cluster, monkeypatch, capsys, NATS_CA=str(Prepared(tmp_path).ca))
    assert "no broker has let us in within 3 s: its certificate is not accepted (" in told
    assert "TIELINE_NATS_CA" in told


def test_a_password_that_is_not_accepted_is_said(
    cluster: SecuredCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(cluster, monkeypatch, capsys, NATS_PASSWORD="guessed")
    assert "it knows no such user with this password (TIELINE_NATS_USER, TIELINE_NATS_PASSWORD)" in told
    assert "guessed" not in told


def test_a_user_who_may_not_adapt_is_told_who_may(
    cluster: SecuredCluster,
    system: System,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = refused(cluster, monkeypatch, capsys, user="presence", RESUME_WINDOW="300")
    assert "only `streams` may" in told


def test_a_broker_that_is_not_there_is_said(
    cluster: SecuredCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = refused(cluster, monkeypatch, capsys, NATS_URL="nats://127.0.0.1:1")
    assert "nothing answers there (TIELINE_NATS_URL)" in told
