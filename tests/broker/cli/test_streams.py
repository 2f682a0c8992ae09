"""`tieline streams`: an operator makes and adapts what NATS stores."""

import asyncio

import pytest

from tests.support.nats_server import NatsServer
from tieline.cli import broker
from tieline.cli.__main__ import main
from tieline.runtime.broker import connect
from tieline.runtime.jetstream_refusals import NOBODY_ANSWERS


async def max_age(url: str) -> float | None:
    broker = await connect(url, "test")
    try:
        return (await broker.client.jetstream().stream_info("MAILBOX_tieline")).config.max_age
    finally:
        await broker.close()


def test_it_makes_both_streams_and_adapts_them(
    pip_nats: NatsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIELINE_NATS_URL", pip_nats.url)
    monkeypatch.setenv("TIELINE_STORAGE", "memory")
    ages = []
    for window in ("30", "300"):
        monkeypatch.setenv("TIELINE_RESUME_WINDOW", window)
        assert main(["streams"]) == 0
        ages.append(asyncio.run(max_age(pip_nats.url)))
    assert ages == [75, 330]
    assert capsys.readouterr().out == 2 * "the bucket and the mailbox are as the settings say\n"


def test_a_stream_that_cannot_become_so_is_told(
    pip_nats: NatsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIELINE_NATS_URL", pip_nats.url)
    for storage, status in (("memory", 0), ("file", 2)):
        monkeypatch.setenv("TIELINE_STORAGE", storage)
        assert main(["streams"]) == status
    assert "TIELINE_STORAGE: the stream KV_tieline is there with memory storage" in capsys.readouterr().err


def test_without_a_broker_it_gives_up(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIELINE_NATS_URL", "nats://127.0.0.1:1")
    monkeypatch.setattr(broker, "PATIENCE_S", 0.5)
    assert main(["streams"]) == 1
    assert "no broker has let us in within 0.5 s" in capsys.readouterr().err


@pytest.mark.parametrize("events", ["off", "on"])
def test_a_broker_without_jetstream_is_told(
    events: str, plain_nats: NatsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIELINE_NATS_URL", plain_nats.url)
    monkeypatch.setenv("TIELINE_EVENTS", events)
    assert main(["streams"]) == 1
    assert NOBODY_ANSWERS in capsys.readouterr().err


def test_more_replicas_than_there_are_brokers_are_refused(
    pip_nats: NatsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIELINE_NATS_URL", pip_nats.url)
    monkeypatch.setenv("TIELINE_REPLICAS", "3")
    assert main(["streams"]) == 1
    assert capsys.readouterr().err.startswith("tieline streams: ")


def test_a_mailbox_that_is_smaller_than_asked_for_is_told(
    pip_nats: NatsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIELINE_NATS_URL", pip_nats.url)
    monkeypatch.setenv("TIELINE_MAILBOX_MAX_BYTES", str(10**18))
    assert main(["streams"]) == 0
    said = capsys.readouterr()
    assert "not the 1,000,000,000,000,000,000 of TIELINE_MAILBOX_MAX_BYTES" in said.err
    assert said.out == "all else of the bucket and the mailbox is as the settings say\n"


def names(url: str) -> set[str]:
    async def listed() -> set[str]:
        broker = await connect(url, "test")
        try:
            return {info.config.name or "" for info in await broker.client.jetstream().streams_info()}
        finally:
            await broker.close()

    return asyncio.run(listed())


def stores(url: str, subject: str) -> None:
    async def stored() -> None:
        broker = await connect(url, "test")
        await broker.client.jetstream().publish(subject, b"x")
        await broker.close()

    asyncio.run(stored())


def test_it_moves_what_is_empty_to_another_number(
    pip_nats: NatsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIELINE_NATS_URL", pip_nats.url)
    for number in ("1", "2", "1"):
        monkeypatch.setenv("TIELINE_PARTITIONS", number)
        assert main(["streams"]) == 0
    assert names(pip_nats.url) == {"KV_tieline", "MAILBOX_tieline"}
    said = capsys.readouterr().err
    assert "nothing was stored in 1, and it is 2 from now on" in said
    assert "nothing was stored in 2, and it is 1 from now on" in said


def test_it_moves_what_backends_decided_nowhere(
    pip_nats: NatsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TIELINE_NATS_URL", pip_nats.url)
    assert main(["streams"]) == 0
    stores(pip_nats.url, "$KV.tieline.standing.alice")
    monkeypatch.setenv("TIELINE_PARTITIONS", "4")
    assert main(["streams"]) == 1
    said = capsys.readouterr().err
    assert "TIELINE_PARTITIONS is 4, but what is there, in 1, has 1 records of what backends" in said
    assert "remove it with --forget-decisions" in said
    assert main(["streams", "--forget-decisions"]) == 0
    assert "MAILBOX_tieline-0-of-4" in names(pip_nats.url)


@pytest.mark.parametrize(
    "subject",
    ["tieline.user.alice.s", "tieline.room.r.alice", "$KV.tieline.user.alice", "$KV.tieline.timer.x"],
)
def test_it_moves_nothing_while_anything_is_stored(
    pip_nats: NatsServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], subject: str
) -> None:
    monkeypatch.setenv("TIELINE_NATS_URL", pip_nats.url)
    assert main(["streams"]) == 0
    stores(pip_nats.url, subject)
    monkeypatch.setenv("TIELINE_PARTITIONS", "4")
    assert main(["streams"]) == 1
    said = capsys.readouterr().err
    assert "TIELINE_PARTITIONS is 4, but what is there, in 1, is not empty" in said
    assert names(pip_nats.url) == {"KV_tieline", "MAILBOX_tieline"}
