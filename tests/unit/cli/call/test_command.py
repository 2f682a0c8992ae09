import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest

from tests.unit.client.minimal_gateway import MinimalGateway, serving
from tieline.cli.call import command as call
from tieline.tokens import SECRET_VARIABLE

URL = "ws://127.0.0.1:1/ws"
BOT = ("--answer", "--room", "r", "--token", "bot")
TOKENS = ("--caller-token", "ann", "--callee-token", "bob")


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    call.add_arguments(parser)
    return call.run(parser.parse_args(words))


@pytest.fixture(autouse=True)
def _no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SECRET_VARIABLE, raising=False)


async def test_a_call_through_the_gateways_of_a_ready_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board, ready = MinimalGateway(), tmp_path / "ready.json"
    async with AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(serving(board.handle)) for _ in range(3)]
        ready.write_bytes(msgspec.json.encode({"gateways": gateways, "pids": {}}))
        words = ("--ready-file", str(ready), "--listen", "0.3", "--room", "lobby", *TOKENS)
        assert await asyncio.to_thread(run, *words) == 0
    said = capsys.readouterr().out
    assert f"caller  connect to {gateways[0]}\n" in said
    assert f"callee  connect to {gateways[1]}\n" in said
    assert "callee  join the room lobby: ann, bob\n" in said
    assert said.endswith("the call works: both ends heard the other's tone\n")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("--url", URL), "set TIELINE_JWT_SECRET"),
        (("--url", URL, "--caller-token", "ann"), "set TIELINE_JWT_SECRET"),
        (("--url", URL, "--secret", "s", "--room", "x" * 129), "no room id"),
        (("--url", URL, "--url", URL, "--url", URL, *TOKENS), "--url can be given twice"),
        (("--ready-file", "/nowhere/ready.json", *TOKENS), "is `tieline dev` ready yet?"),
        (("--url", URL, "--answer"), "name the room in which the bot shall be: --room R"),
        (("--url", URL, "--to", "bob"), "name the room in which the bot shall be: --room R"),
        (("--url", URL, "--answer", "--room", "r"), "set TIELINE_JWT_SECRET"),
        (("--url", URL, *TOKENS, "--once"), "--once is for a bot: --answer, or --to USER"),
        (("--url", URL, *TOKENS, "--hang-up-after", "1"), "--hang-up-after is for a bot"),
        (("--url", URL, *BOT, "--listen", "1"), "--listen is for a call between two ends"),
        (("--url", URL, *BOT, "--callee-token", "bob"), "--callee-token is for a call between two ends"),
        (("--url", URL, *BOT, "--play", "/nowhere/music.wav"), "cannot play /nowhere/music.wav: "),
        (("--url", URL, *BOT, "--record", "/nowhere/heard.wav"), "there is no folder /nowhere"),
        (("--url", URL, "--answer", "--room", "r", "--secret", "s", "--user", "x" * 129), "no user id"),
        (("--url", "http://a/ws", *TOKENS), "--url http://a/ws: a gateway's URL is ws://HOST:PORT/ws"),
        (("--ready-file", "/nowhere/ready.json", *BOT), "is `tieline dev` ready yet?"),
    ],
)
def test_unusable_options_are_said(
    words: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize("content", [b"", b"{}", b'{"gateways": []}', b'{"gateways": ["\xff"]}'])
def test_a_file_that_tieline_dev_did_not_write_is_said(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = tmp_path / "ready.json"
    ready.write_bytes(content)
    assert run("--ready-file", str(ready), *TOKENS) == 2
    assert "is not what `tieline dev` writes" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--url", URL, "--ready-file", "f"),
        ("--url", URL, "--timeout", "0"),
        ("--url", URL, "--answer", "--to", "bob"),
    ],
)
def test_options_that_contradict_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        run(*words)
    assert ended.value.code == 2


def test_a_bot_that_reaches_no_gateway_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--url", URL, *BOT) == 1
    assert f"no gateway at {URL}" in capsys.readouterr().out


def test_a_gateway_that_is_not_there_fails_the_call(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--url", URL, "--secret", "s" * 32) == 1
    said = capsys.readouterr().out
    assert (
        said == f"the call FAILED: caller could not connect to {URL}: no gateway there: Connection refused\n"
    )


def test_without_aiortc_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("tieline.cli.call.conversation", "tieline.cli.call.call_end", "tieline.cli.call.peer"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "aiortc", None)
    assert run("--url", URL, *TOKENS) == 1
    assert "'aiortc', which is not installed: pip install 'tieline[tools]'" in capsys.readouterr().err
