"""The Python client where only what `tieline[client]` asks for is installed: it calls, and needs no more."""

import json
import re
import signal
import tomllib
import venv
from importlib.metadata import distribution
from pathlib import Path
from typing import Final

import pytest

from tests.support.frames import new_id, token
from tests.support.people import People
from tests.support.process import Process

ROOT: Final = Path(__file__).parents[2]

CALL: Final = """
import asyncio, json, sys
before = set(sys.modules)  # what the system has every Python import (sitecustomize)
from tieline.client import Answer, Offer, connect


async def main(url: str, *tokens: str) -> None:
    async with connect(url, tokens[0], resume=True) as ann, connect(url, tokens[1]) as bob:
        for one in (ann, bob):
            await one.join("alone")
        await ann.call(bob.welcome.user_id, {"type": "offer", "sdp": "o"})
        async for event in bob.events():
            if isinstance(event, Offer):
                break
        await bob.answer(ann.welcome.user_id, {"type": "answer", "sdp": "a"})
        async for event in ann.events():
            if isinstance(event, Answer):
                break
        await ann.hangup(bob.welcome.user_id, "hangup")


asyncio.run(main(*sys.argv[1:]))
own = {name.partition(".")[0] for name in set(sys.modules) - before}
print(json.dumps(sorted(own - sys.stdlib_module_names)))
"""


def needed() -> set[str]:
    """What `tieline[client]` asks for, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["client"]]
    return {re.split(r"[^\w-]", line)[0] for line in lines}


def alone(folder: Path) -> Path:
    """Make an environment with these packages and Tieline's source; returns its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    (site,) = folder.glob("lib/*/site-packages")
    for name in needed():
        files = distribution(name).files or []
        for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
            (site / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    for package in ("tieline", "gateway", "router", "presence"):
        (site / package).symlink_to(ROOT / package)
    return folder / "bin" / "python"


def test_the_client_asks_for_two_packages() -> None:
    assert needed() == {"msgspec", "websockets"}


@pytest.mark.parametrize("system", ["one"], indirect=True)
def test_it_calls_with_no_more_than_these(people: People, tmp_path: Path) -> None:
    program = tmp_path / "call.py"
    program.write_text(CALL)
    python = alone(tmp_path / "venv")
    url = f"ws://127.0.0.1:{people.ports[0]}/ws"
    tokens = [token(new_id(name)) for name in ("ann", "bob")]
    calling = Process([python, program, url, *tokens], tmp_path / "log", environ={}, folder=tmp_path)
    assert calling.wait() == 0, calling.output
    assert set(json.loads(calling.output)) <= {"msgspec", "tieline", "websockets"}


def busy_bot(folder: Path, *words: str) -> Process:
    """Run the bot of docs/python-client.md as it stands there, in an environment of its own."""
    page = (ROOT / "docs/python-client.md").read_text()
    first = re.search(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    assert first is not None
    bot = folder / "busy.py"
    bot.write_text(first[1])
    return Process([alone(folder / "venv"), "-u", bot, *words], folder / "log", environ={}, folder=folder)


@pytest.mark.parametrize("system", ["one"], indirect=True)
def test_ctrl_c_ends_the_bot_of_the_page_without_a_word(people: People, tmp_path: Path) -> None:
    bot = busy_bot(tmp_path, f"ws://127.0.0.1:{people.ports[0]}/ws", token(new_id("bot")))
    bot.until_ready(lambda: "Member(" in bot.output)
    said = bot.output
    bot.send_signal(signal.SIGINT)
    assert bot.wait() == 0, bot.output
    assert bot.output == said


@pytest.mark.parametrize(
    ("words", "says"), [((), "usage: busy.py URL TOKEN"), (("ws://127.0.0.1:1/ws", "t"), "127.0.0.1:1")]
)
def test_the_bot_of_the_page_says_in_a_line_what_is_wrong(
    tmp_path: Path, words: tuple[str, ...], says: str
) -> None:
    bot = busy_bot(tmp_path, *words)
    assert bot.wait() == 1, bot.output
    (line,) = bot.output.splitlines()
    assert says in line
