"""`tieline dev` as its user sees it: real processes, a real broker."""

import json
import os
import select
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import jwt
import nats
import pytest

from tests.support.process import is_alive
from tests.support.running_dev import READY, READY_AGAIN, ReadyDocument, RunningDev
from tieline.cli.dev.log_file import SHOWN_LINES
from tieline.cli.dev.ports import hold_ports

SECRET = "a secret that is long enough for HMAC-SHA256"
KINDS = ["nats", "gateway", "router", "presence"]


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[RunningDev]:
    with RunningDev(tmp_path, ["--port", "0"], {"TIELINE_JWT_SECRET": SECRET}) as running:
        running.until_said(READY)
        yield running


def pids(document: ReadyDocument) -> list[int]:
    return [pid for kind in KINDS for pid in document["pids"][kind]]


def but_pid(document: ReadyDocument, kind: str) -> dict[str, object]:
    """The ready file without the first process of one kind, which may have changed."""
    kept = {**document["pids"], kind: document["pids"][kind][1:]}
    return {**document, "pids": kept}


def test_the_ready_file_says_where_everything_is(tmp_path: Path) -> None:
    with RunningDev(
        tmp_path, ["--port", "0", "--gateways", "3", "--routers", "2", "--presences", "2"]
    ) as dev:
        dev.until_said(READY)
        document = dev.document
        assert list(document) == ["gateways", "ops", "nats", "pids"]
        assert {kind: len(document["pids"][kind]) for kind in document["pids"]} == {
            "nats": 1,
            "gateway": 3,
            "router": 2,
            "presence": 2,
        }
        assert all(is_alive(pid) for pid in pids(document))
        assert len(set(pids(document))) == 8
        assert len(set(document["gateways"])) == 3
        assert all(url.startswith("ws://127.0.0.1:") and url.endswith("/ws") for url in document["gateways"])
        assert document["nats"].startswith("nats://127.0.0.1:")
        assert {kind: len(urls) for kind, urls in document["ops"].items()} == {
            "gateway": 3,
            "router": 2,
            "presence": 2,
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


def test_it_runs_on_when_its_output_has_no_reader(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    environ = {"TIELINE_JWT_SECRET": SECRET}
    with open(reading) as words, RunningDev(tmp_path, ["--port", "0"], environ, writing) as dev:
        os.close(writing)
        assert any(READY in line for line in words)
        words.close()
        assert dev.process.end() == 0
        assert "BrokenPipe" not in dev.log


def test_each_step_of_the_start_is_one_line(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0", "--gateways", "1"]) as dev:
        started, *steps = dev.until_said(READY)[:5]
        assert started == f"Starting 4 processes; all their logs go to {dev.log_file}"
        steps = [step.split(" s  ")[1] for step in steps]
        assert steps == [
            f"{name} is ready" for name in ("the nats-server", "presence 1", "router 1", "gateway 1")
        ]


def test_logs_of_every_process_go_to_the_file_alone(dev: RunningDev) -> None:
    logs = dev.log_file.read_text()
    for service in ("gateway", "router", "presence"):
        assert f'"service":"{service}"' in logs
    assert "Starting nats-server" in logs
    assert dev.errors == ""


def test_the_greeting_ends_with_urls_logs_and_the_way_out(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0"]) as dev:
        *_, gateway, _, demo, other, logs, end = dev.until_said(READY)
        urls = dev.document["gateways"]
        assert gateway.split()[:2] == ["gateway", urls[0]]
        assert [demo.split()[0], other.split()[0]] == ["demo", "demo"]
        assert logs.split() == ["logs", str(dev.log_file)]
        assert end == READY


def test_verbose_shows_the_logs_on_standard_error_too(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0", "--verbose"]) as dev:
        dev.until_said(READY)
        dev.process.terminate()
        assert dev.process.wait() == 0
        assert dev.errors == dev.log_file.read_text() != ""


@pytest.mark.parametrize(
    ("number", "how"), [(signal.SIGKILL, "killed by SIGKILL"), (signal.SIGTERM, "exit status 0")]
)
def test_a_killed_process_is_told_with_the_name_of_the_log(
    dev: RunningDev, number: signal.Signals, how: str
) -> None:
    pid = dev.document["pids"]["nats"][0]
    os.kill(pid, number)
    dev.until_said(READY_AGAIN)
    assert dev.errors == (
        f"tieline: the nats-server (pid {pid}) ended: {how}; starting it again;"
        f" its log is in {dev.log_file}\n"
    )


def test_a_process_that_crashes_is_told_with_the_end_of_its_log(dev: RunningDev) -> None:
    pid = dev.document["pids"]["router"][0]
    os.kill(pid, signal.SIGABRT)
    dev.until_said(READY_AGAIN)
    told, *last_lines = dev.errors.splitlines()
    assert told == f"tieline: router 1 (pid {pid}) ended: killed by SIGABRT; starting it again"
    assert 0 < len(last_lines) <= SHOWN_LINES
    assert all(line.startswith("  | ") and '"service":"router"' in line for line in last_lines)
    assert last_lines[-1].removeprefix("  | ") in dev.log_file.read_text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_quietly_and_names_the_logs_once_more(dev: RunningDev, number: signal.Signals) -> None:
    dev.process.send_signal(number)
    assert dev.until_said(str(dev.log_file)) == [
        "Ending everything, and waiting for the clients to leave; once more kills it.",
        f"Everything has ended; the logs are in {dev.log_file}",
    ]
    assert dev.process.wait() == 0
    assert dev.errors == ""


def test_a_log_file_in_use_is_named_before_the_start(dev: RunningDev, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with RunningDev(tmp_path / "other", ["--port", "0", "--log-file", str(dev.log_file)]) as other:
        assert other.process.wait() == 2
        assert other.errors.count("\n") == 1
        assert f"{dev.log_file}: another `tieline dev` writes to it" in other.errors
    assert "Starting nats-server" in dev.log_file.read_text()


def test_an_unwritable_log_file_is_named_before_the_start(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "dev.log"
    with RunningDev(tmp_path, ["--port", "0", "--log-file", str(missing)]) as dev:
        assert dev.process.wait() == 2
        assert str(missing) in dev.errors
        assert dev.errors.count("\n") == 1


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


def test_a_taken_port_is_named_before_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with RunningDev(tmp_path, ["--gateways", "1", "--port", str(port)]) as dev:
            assert dev.process.wait() == 2
            assert f"port {port} on 127.0.0.1" in dev.log
            assert dev.log.count("\n") == 1
            assert not dev.ready_file.exists()


def test_a_missing_nats_server_is_named_before_the_start(tmp_path: Path) -> None:
    environ = {"TIELINE_NATS_SERVER": str(tmp_path / "nothing")}
    with RunningDev(tmp_path, ["--port", "0"], environ) as dev:
        assert dev.process.wait() == 2
        assert str(tmp_path / "nothing") in dev.log
        assert dev.log.count("\n") == 1


def test_a_nats_server_that_dies_again_and_again_ends_it(tmp_path: Path) -> None:
    program = tmp_path / "dying"
    program.write_text("#!/bin/sh\necho no room left\nexit 7\n")
    program.chmod(0o755)
    with RunningDev(tmp_path, ["--port", "0"], {"TIELINE_NATS_SERVER": str(program)}) as dev:
        assert dev.process.wait() == 1
        assert (
            "the nats-server ended 5 times before it was ready, the last time with exit status 7" in dev.log
        )
        assert dev.errors.endswith("  | no room left\n")
        assert not dev.ready_file.exists()
        assert list(dev.temporary.iterdir()) == []


def test_settings_that_a_process_refuses_end_it_at_once(tmp_path: Path) -> None:
    with RunningDev(tmp_path, ["--port", "0"], {"TIELINE_LOG_LEVEL": "shouting"}) as dev:
        assert dev.process.wait() == 1
        assert "cannot run with these settings" in dev.errors
        assert "TIELINE_LOG_LEVEL" in dev.errors


def test_an_unwritable_ready_file_is_named_before_the_start(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "ready.json"
    with RunningDev(tmp_path, ["--port", "0", "--ready-file", str(missing)]) as dev:
        assert dev.process.wait() == 2
        assert str(missing) in dev.log
        assert dev.log.count("\n") == 1


def test_a_ready_file_that_cannot_be_written_any_more_ends_it(tmp_path: Path) -> None:
    ready = tmp_path / "folder" / "ready.json"
    ready.parent.mkdir()
    with RunningDev(tmp_path, ["--port", "0", "--ready-file", str(ready)]) as dev:
        dev.until_said(READY)
        router = json.loads(ready.read_bytes())["pids"]["router"][0]
        ready.unlink()
        ready.parent.rmdir()

        os.kill(router, signal.SIGKILL)

        assert dev.process.wait() == 1
        assert dev.errors.endswith(
            f"tieline: --ready-file {ready} cannot be written any more: No such file or directory\n"
        )


@pytest.mark.parametrize("arguments", ["--port -1", "--port 65535", "--port many", "--gateways 0"])
def test_arguments_that_make_no_sense_are_refused(tmp_path: Path, arguments: str) -> None:
    with RunningDev(tmp_path, arguments.split()) as dev:
        assert dev.process.wait() == 2
        assert arguments.split()[0] in dev.log
