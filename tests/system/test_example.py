"""The example's backend on a real system, which it starts; and what docs/backends.md prints, run.

Users are real clients, events come as real webhooks.
"""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

import tieline.client
from examples.chat.database import open_database
from examples.chat.outbox import Changes
from tests.support.hearing import next_of
from tests.support.pages import blocks_of, program_of
from tests.support.process import Process, is_alive
from tests.support.running_chat import RunningChat
from tests.support.waiting import until_true
from tieline.api import Backend
from tieline.api.bodies import TokenOrder
from tieline.cli.dev.ports import hold_ports
from tieline.client import Answer, Candidate, Client, Denied, Hangup, MemberLeft, Offer, connect

MODERATOR: Final = "moderator"
OFFER: Final = {"type": "offer", "sdp": "o"}
ANSWER: Final = {"type": "answer", "sdp": "a"}


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningChat]:
    with RunningChat(tmp_path_factory.mktemp("chat")) as running:
        yield running


@pytest.mark.parametrize(
    ("words", "environ", "told"),
    [
        (["--port", "99999"], {}, "port 99999 of 127.0.0.1: "),
        (
            ["--port", "0"],
            {"TIELINE_API_URL": "http://127.0.0.1:1", "TIELINE_API_KEY": "key"},
            "set TIELINE_WEBHOOK_SECRET, CHAT_GATEWAY_URL, too",
        ),
    ],
)
def test_what_keeps_the_chat_from_starting_is_one_line(
    words: list[str], environ: dict[str, str], told: str
) -> None:
    said = not_started(words, environ)
    assert told in said
    assert said.count("\n") == 1


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert not_started(["--port", port], {}) == (
            f"port {port} of 127.0.0.1: Address already in use;"
            " --port names another (EXAMPLE_PORT= of `make example`)\n"
        )


def not_started(words: list[str], environ: dict[str, str]) -> str:
    """Run the chat, which does not come to serve; returns what it says."""
    command = [sys.executable, "-m", "examples.chat", *words]
    ended = subprocess.run(
        command, env={**os.environ, **environ}, capture_output=True, text=True, timeout=30, check=False
    )
    assert ended.returncode == 1
    return ended.stderr


async def talk(caller: Client, callee: Client) -> str:
    """Have one call the other, who answers; returns the call's id."""
    await caller.call(callee.welcome.user_id, OFFER)
    offer = await next_of(callee, Offer)
    await callee.answer(caller.welcome.user_id, ANSWER)
    await next_of(caller, Answer)
    return offer.call


async def test_members_need_no_room_in_their_tokens(chat: RunningChat) -> None:
    await chat.room_of("first", "ada", "bo")
    assert await chat.ask("bo", "GET", "/chats") == {"first": ["ada", "bo"]}
    async with chat.connected("ada") as ada, chat.connected("bo") as bo:
        assert ada.welcome.rooms == bo.welcome.rooms == ("first",)
        assert await chat.ask("ada", "GET", "/chats/first/members") == {"ada": "online", "bo": "online"}
        call = await talk(ada, bo)
        assert (await chat.last_call("bo", "established"))["call"] == call
        await ada.hangup("bo")
    ended = await chat.last_call("bo", "ended")
    assert (ended["caller"], ended["callee"], ended["reason"]) == ("ada", "bo", "hangup")
    assert ended["answer_s"] >= 0
    assert ended["duration_s"] >= 0


async def test_who_is_woken_finds_the_call(chat: RunningChat) -> None:
    await chat.room_of("asleep", "cy", "dee")
    async with chat.connected("dee") as dee:
        assert await dee.call("cy", OFFER) == "held"
        assert await dee.candidate("cy", {"candidate": "c"}) == "held"
        (push,) = await chat.pushed("cy", 1)
        assert (push["what"], push["caller"]) == ("wake", "dee")
        assert push["until"] > 1000 * time.time()
        async with chat.connected("cy") as cy:
            offer = await next_of(cy, Offer)
            assert (offer.sender, offer.call) == ("dee", push["call"])
            await cy.answer("dee", ANSWER)
            await next_of(dee, Answer)
            await next_of(cy, Candidate)
            assert (await chat.last_call("cy", "established"))["call"] == push["call"]


async def test_who_is_not_woken_in_time_finds_a_missed_call(chat: RunningChat) -> None:
    await chat.room_of("missed", "pat", "quinn")
    async with chat.connected("quinn") as quinn:
        await quinn.call("pat", OFFER)
        await chat.pushed("pat", 1)
        await quinn.hangup("pat", "cancel")
        wake, missed = await chat.pushed("pat", 2)
    assert (wake["what"], missed["what"], missed["call"]) == ("wake", "missed", wake["call"])
    assert (await chat.last_call("pat", "unanswered"))["reason"] == "cancelled"


async def test_who_is_put_out_of_a_chat_is_out_of_its_calls(chat: RunningChat) -> None:
    await chat.room_of("strict", "eli", "flo")
    async with chat.connected("eli") as eli, chat.connected("flo") as flo:
        await talk(eli, flo)
        assert await chat.status("flo", "DELETE", "/chats/strict/members/eli") == 404
        await chat.ask("eli", "DELETE", "/chats/strict/members/flo?kept_out_s=60")
        assert (await next_of(eli, Hangup)).reason == "kicked"
        assert (await next_of(flo, MemberLeft)).reason == "kicked"
        with pytest.raises(tieline.client.Refused, match="NOT_IN_SAME_ROOM"):
            await flo.call("eli", OFFER)
        await chat.ask("eli", "DELETE", "/chats/strict")
        assert (await next_of(eli, MemberLeft)).room == "strict"
    assert await chat.ask("eli", "GET", "/chats") == {}


async def test_who_is_banned_is_out_and_stays_out(chat: RunningChat) -> None:
    token = await chat.ask("gus", "GET", "/token")
    async with chat.connected("gus") as gus:
        assert await chat.status("gus", "PUT", "/users/gus/ban", json={"seconds": 60}) == 403
        await chat.ask(MODERATOR, "PUT", "/users/gus/ban", json={"seconds": 60})
        with pytest.raises(AssertionError):
            await next_of(gus, Offer)
        assert gus.closed is not None
        assert gus.closed.code == 4502
    assert await chat.status("gus", "GET", "/token") == 403
    with pytest.raises(Denied, match="BANNED"):
        async with connect(chat.system["gateways"][0], token):
            pass
    await chat.ask(MODERATOR, "PUT", "/users/gus/ban", json={"seconds": 0})
    async with chat.connected("gus"):
        pass


async def test_moderators_end_calls_and_take_voices(chat: RunningChat) -> None:
    await chat.room_of("loud", "hal", "ida")
    async with chat.connected("hal") as hal, chat.connected("ida") as ida:
        call = await talk(hal, ida)
        await chat.last_call("ida", "established")
        await chat.ask(MODERATOR, "POST", f"/calls/{call}/end")
        assert (await next_of(hal, Hangup)).reason == (await next_of(ida, Hangup)).reason == "kicked"
        assert (await chat.last_call("ida", "ended"))["reason"] == "kicked"
        await chat.ask(MODERATOR, "PUT", "/users/hal/voice", json={"allowed": False})
        with pytest.raises(tieline.client.Refused, match="NO_VOICE_PERMISSION"):
            await hal.call("ida", OFFER)
        await chat.ask(MODERATOR, "PUT", "/users/hal/voice", json={"allowed": True})
        await talk(hal, ida)


async def test_a_change_waits_for_an_api_that_does_not_answer(chat: RunningChat) -> None:
    await chat.room_of("patient", "jan")
    (pid,) = chat.system["pids"]["api"]
    async with chat.connected("kim") as kim:
        os.kill(pid, signal.SIGSTOP)
        try:
            assert await chat.status("jan", "PUT", "/chats/patient/members/kim") == 202
        finally:
            os.kill(pid, signal.SIGCONT)
        joined = await next_of(kim, tieline.client.MemberJoined)
        assert (joined.room, joined.user_id) == ("patient", "kim")


async def test_what_nobody_has_signed_is_not_heard(chat: RunningChat) -> None:
    event = {"id": "1", "type": "tieline.call.ended", "subject": "s", "time": "2026-03-01T12:00:00Z"}
    call = {"caller": "leo", "callee": "mia", "call": "forged"}
    assert await chat.status("leo", "POST", "/tieline", json=[{**event, "data": call}]) == 401
    assert await chat.ask("leo", "GET", "/calls") == []


async def test_its_page_and_its_client_are_served(chat: RunningChat) -> None:
    assert "<title>A chat</title>" in await chat.ask("nia", "GET", "/")
    assert "export" in await chat.ask("nia", "GET", "/tieline.js")
    assert "./tieline.js" in await chat.ask("nia", "GET", "/page.js")


def test_the_system_beneath_ends_with_it(chat: RunningChat) -> None:
    """The last of those that use it: ended here, and once more by the fixture, which changes nothing."""
    pids = [pid for each in chat.system["pids"].values() for pid in each]
    assert chat.process.end() == 0
    assert not any(is_alive(pid) for pid in pids)


# What docs/backends.md prints.


class Page:
    """The page's system, as its fixture starts it, and its program for webhooks beside it."""

    def __init__(self, document: dict[str, Any], port: int, folder: Path, environ: dict[str, str]) -> None:
        self.document = document
        self.port = port
        self.folder = folder
        self.environ = environ


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Run what the page prints for one's own tests, and its program, on a port that is free."""
    folder = tmp_path_factory.mktemp("page")
    with hold_ports(1, "127.0.0.1") as (port,), pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("XDG_STATE_HOME", str(folder))
        names: dict[str, Any] = {"__name__": "conftest"}
        exec(program_of("python", "backends.md", "conftest.py").replace(":3000/", f":{port}/"), names)
        (folder / "hooks.py").write_text(program_of("python", "backends.md", "hooks.py"))
        environ = {**os.environ, "TIELINE_WEBHOOK_SECRET": names["SECRET"]}
        hooks = Process(
            ["uvicorn", "hooks:app", "--port", str(port), "--log-level", "warning"],
            folder / "hooks.log",
            stdout=folder / "hooks.said",
            environ=environ,
            folder=folder,
        )
        running.callback(hooks.end)
        started: Generator[dict[str, Any]] = names["tieline"].__wrapped__(tmp_path_factory)
        document = next(started)
        running.callback(lambda: next(started, None))
        (folder / "ready.json").write_text(json.dumps(document))
        yield Page(document, port, folder, environ)


def commands() -> list[str]:
    """The page's commands, but for the one that installs."""
    install, *others = blocks_of("sh", "backends.md")
    assert install.startswith("pip ")
    return others


def run(page: Page, *scripts: str) -> str:
    """Run commands of the page in one shell; returns what they print."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(scripts)],
        cwd=page.folder,
        env=page.environ,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@asynccontextmanager
async def ada_and_bo(page: Page) -> AsyncIterator[tuple[Client, Client]]:
    """Connect ada and bo, by tokens that name no room."""
    async with Backend(page.document["api"], page.document["apiKey"]) as backend:
        tokens = [(await backend.mint_token(TokenOrder(user=user))).token for user in ("ada", "bo")]
    gateway = page.document["gateways"][0]
    async with connect(gateway, tokens[0]) as ada, connect(gateway, tokens[1]) as bo:
        yield ada, bo


def test_the_printed_system_is_that_of_the_printed_fixture() -> None:
    secret, dev = commands()[0].strip().splitlines()
    assert secret.startswith("export TIELINE_WEBHOOK_SECRET=")
    fixture = program_of("python", "backends.md", "conftest.py")
    (webhook,) = re.findall(r'^WEBHOOK = "(.+)"$', fixture, re.MULTILINE)
    assert dev.split() == ["tieline", "dev", "--webhook", webhook, "--ready-file", "ready.json"]
    assert '"tieline", "dev", "--webhook", WEBHOOK, "--ready-file", str(ready)' in fixture


async def test_the_first_ten_minutes_go_as_printed(page: Page) -> None:
    _, says, moderates = commands()
    printed = run(page, says)
    assert re.search(r"^ada +offline.*\nbo +offline", printed, re.MULTILINE)
    assert '"token"' in printed
    async with ada_and_bo(page) as (ada, bo):
        await talk(ada, bo)
        await ada.hangup("bo")

        async def told() -> bool:
            return "call.ended ada bo hangup" in (page.folder / "hooks.said").read_text()

        await until_true(told)
        kinds = [line.split()[0] for line in (page.folder / "hooks.said").read_text().splitlines()]
        assert kinds == [
            f"call.{kind}" for kind in ("offered", "ringing", "answered", "established", "ended")
        ]
        assert '"bannedUntil"' in run(page, says, moderates)
        assert (await next_of(bo, MemberLeft)).reason == "kicked"


async def test_what_a_process_that_died_has_left_is_told(page: Page, tmp_path: Path) -> None:
    """The example stands on a system that runs already, here; its database is that of one that died."""
    database = tmp_path / "chat.db"
    async with Backend(page.document["api"], page.document["apiKey"]) as backend:
        left = open_database(str(database))
        with left:
            left.execute("INSERT INTO chats VALUES ('left', 'zoe')")
            left.execute("INSERT INTO members VALUES ('left', 'zoe')")
            Changes(left, backend).make(Backend.add_member, "left", "zoe")
        left.close()
        attached = {
            "TIELINE_API_URL": page.document["api"],
            "TIELINE_API_KEY": page.document["apiKey"],
            "TIELINE_WEBHOOK_SECRET": page.environ["TIELINE_WEBHOOK_SECRET"],
            "CHAT_GATEWAY_URL": page.document["gateways"][0],
        }

        async def is_given() -> bool:
            return [member.user async for member in backend.members("left")] == ["zoe"]

        with RunningChat(tmp_path, "--database", str(database), **attached):
            await until_true(is_given)
