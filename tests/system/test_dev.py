"""`tieline dev` as its user sees it: real processes, a real broker."""

import os
import select
import signal
import sys
import urllib.error
import urllib.request
from itertools import chain
from pathlib import Path

import jwt
import nats
import pytest

from tests.support.process import Process, is_alive
from tests.support.running_dev import READY, READY_AGAIN, RunningDev
from tests.support.system import SECRET
from tests.system.ready_document import but_pid, pids
from tieline.cli.dev.ports import hold_ports


def test_it_runs_where_packages_are_called_as_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "application"
    for name in ("api", "gateway", "presence", "router", "tieline", "webhooks"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
    command = (sys.executable, "-P", "-m", "tieline.cli", "dev", "--port", "0", "--gateways", "1", "--call")
    log, stdout = tmp_path / "log", tmp_path / "stdout"
    options = ("--log-file", tmp_path / "processes.log", "--webhook", "http://127.0.0.1:9/")
    environ = {**os.environ, "TIELINE_WEBHOOK_SECRET": SECRET}
    dev = Process([*command, *options], log, stdout=stdout, environ=environ, folder=folder)
    try:
        dev.until_ready(lambda: READY in stdout.read_text())
        assert "the call works" in stdout.read_text()
    finally:
        dev.end()


def test_the_ready_file_says_where_everything_is(tmp_path: Path) -> None:
    with RunningDev(
        tmp_path, ["--port", "0", "--gateways", "3", "--routers", "2", "--presences", "2"]
    ) as dev:
        dev.until_said(READY)
        document = dev.document
        assert list(document) == ["gateways", "ops", "nats", "pids", "api", "apiKey"]
        assert {kind: len(document["pids"][kind]) for kind in document["pids"]} == {
            "nats": 1,
            "gateway": 3,
            "router": 2,
            "presence": 2,
            "api": 1,
        }
        assert all(is_alive(pid) for pid in pids(document))
        assert len(set(pids(document))) == 9
        assert len(set(document["gateways"])) == 3
        assert all(url.startswith("ws://127.0.0.1:") and url.endswith("/ws") for url in document["gateways"])
        assert document["nats"].startswith("nats://127.0.0.1:")
        assert {kind: len(urls) for kind, urls in document["ops"].items()} == {
            "gateway": 3,
            "router": 2,
            "presence": 2,
            "api": 1,
        }
        for urls in document["ops"].values():
            for url in urls:
                with urllib.request.urlopen(f"{url}/readyz") as response:
                    assert response.status == 200


def test_gateways_have_the_ports_asked_for_in_order(tmp_path: Path) -> None:
    with (
        hold_ports(1, "127.0.0.1") as (port,),
        RunningDev(tmp_path, ["--gateways", "1", "--port", str(port)]) as dev,
    ):
        dev.until_said(READY)
        assert dev.document["gateways"] == [f"ws://127.0.0.1:{port}/ws"]


def test_the_greeting_has_urls_and_tokens_that_work(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0"], {"TIELINE_JWT_SECRET": ""}) as dev:
        said = dev.until_said(READY)
        document = dev.document
        text = "\n".join(said)
        for url in [*document["gateways"], document["nats"], *chain(*document["ops"].values())]:
            assert url in text
        (more,) = (line for line in said if line.startswith("more tokens: TIELINE_JWT_SECRET="))
        secret = more.split("=", 1)[1].split()[0]
        for user in ("alice", "bob"):
            (line,) = (line for line in said if line.split()[:1] == [user])
            claims = jwt.decode(line.split()[1], secret, algorithms=["HS256"])
            assert claims["sub"] == user
            assert claims["rooms"] == ["demo"]


def test_the_greeting_has_the_id_of_every_process(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0"]) as dev:
        said = dev.until_said(READY)
        for pid in pids(dev.document):
            assert any(line.endswith(f"  (process {pid})") for line in said)


def test_a_short_secret_is_warned_of_on_the_screen(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0"], {"TIELINE_JWT_SECRET": "short"}) as dev:
        said = dev.until_said(READY)
        assert any(line.startswith("TIELINE_JWT_SECRET is so short") for line in said)


def test_a_given_secret_is_used_and_not_printed(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0"], {"TIELINE_JWT_SECRET": SECRET}) as dev:
        said = dev.until_said(READY)
        assert SECRET not in "\n".join(said)
        (line,) = (line for line in said if line.split()[:1] == ["alice"])
        assert jwt.decode(line.split()[1], SECRET, algorithms=["HS256"])["sub"] == "alice"


def test_it_serves_the_demo_and_prints_its_urls(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0"]) as dev:
        said = dev.until_said(READY)
        pages = [url.replace("ws:", "http:").removesuffix("ws") for url in dev.document["gateways"]]
        assert [line.split()[1] for line in said if line.startswith("demo ")] == pages
        for page in pages:
            with urllib.request.urlopen(page) as response:
                assert b"<title>Tieline</title>" in response.read()


def test_it_serves_no_demo_when_told_so(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0", "--gateways", "1"], {"TIELINE_DEMO": "0"}) as dev:
        said = dev.until_said(READY)
        assert not any(line.startswith("demo ") for line in said)
        page = dev.document["gateways"][0].replace("ws:", "http:").removesuffix("ws")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(page)


def test_a_killed_gateway_comes_back_on_its_port(dev: RunningDev) -> None:
    before = dev.document
    os.kill(before["pids"]["gateway"][0], signal.SIGKILL)
    said = dev.until_said(READY_AGAIN)
    after = dev.document
    pid = after["pids"]["gateway"][0]
    assert pid != before["pids"]["gateway"][0]
    assert is_alive(pid)
    assert said == [f"gateway   {after['gateways'][0]}  (process {pid})", READY_AGAIN]
    assert but_pid(after, "gateway") == but_pid(before, "gateway")


def test_a_process_that_ends_by_itself_is_restarted_too(dev: RunningDev) -> None:
    before = dev.document
    os.kill(before["pids"]["router"][0], signal.SIGTERM)  # it ends with status 0
    said = dev.until_said(READY_AGAIN)
    (pid,) = dev.document["pids"]["router"]
    assert [pid] != before["pids"]["router"]
    assert said == [f"router    {before['ops']['router'][0]}  (process {pid})", READY_AGAIN]


async def test_a_killed_broker_comes_back_with_what_it_had_stored(dev: RunningDev) -> None:
    before = dev.document
    client = await nats.connect(before["nats"])
    stream = client.jetstream()
    await stream.add_stream(name="kept", subjects=["kept"])
    await stream.publish("kept", b"still here")
    await client.close()
    os.kill(before["pids"]["nats"][0], signal.SIGKILL)
    dev.until_said(READY_AGAIN)
    after = dev.document
    assert after["pids"]["nats"] != before["pids"]["nats"]
    assert but_pid(after, "nats") == but_pid(before, "nats")
    client = await nats.connect(after["nats"])
    assert (await client.jetstream().get_msg("kept", 1)).data == b"still here"
    await client.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_after_a_signal(dev: RunningDev, number: signal.Signals) -> None:
    document = dev.document
    dev.process.send_signal(number)
    assert dev.process.wait() == 0
    assert not any(is_alive(pid) for pid in pids(document))
    assert list(dev.temporary.iterdir()) == []


def test_a_second_signal_kills_a_process_that_hangs(dev: RunningDev) -> None:
    document = dev.document
    os.kill(document["pids"]["gateway"][0], signal.SIGSTOP)
    dev.process.terminate()
    dev.until_said("once more kills it")
    dev.process.terminate()
    assert dev.process.wait() == 0
    assert not any(is_alive(pid) for pid in pids(document))


def test_no_process_outlives_a_killed_supervisor(dev: RunningDev) -> None:
    watched = [os.pidfd_open(pid) for pid in pids(dev.document)]
    ended = select.poll()
    for descriptor in watched:
        ended.register(descriptor, select.POLLIN)
    dev.process.kill()
    while watched:
        for descriptor, _ in ended.poll():
            ended.unregister(descriptor)
            watched.remove(descriptor)
            os.close(descriptor)


def test_a_call_is_made_before_the_greeting(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0", "--call"]) as dev:
        said = dev.until_said(READY)
        (works,) = (nth for nth, line in enumerate(said) if line.startswith("the call works"))
        (ready,) = (nth for nth, line in enumerate(said) if line.startswith("Tieline is ready"))
        assert works < ready
        assert all(is_alive(pid) for pid in pids(dev.document))
        dev.process.terminate()
        assert dev.process.wait() == 0


def test_a_call_that_fails_ends_everything_with_its_status(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0", "--call"], {"TIELINE_ROOM_MAX_MEMBERS": "1"}) as dev:
        assert dev.process.wait() == 1
        assert "the call failed: exit status 1" in dev.log
        assert not any(is_alive(pid) for pid in pids(dev.document))
