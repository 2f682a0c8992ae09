"""The Firefox of the system, driven over WebDriver BiDi: as much of it as `record_traffic` needs.

It needs no driver and no download: Firefox itself listens for BiDi, JSON messages over one WebSocket. The
tests of this folder drive Chromium, with playwright (`conftest`).
"""

import asyncio
import contextlib
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from websockets.asyncio.client import ClientConnection, connect

START_S: Final = 60.0
"""For Firefox to listen, with a profile that it has to make first."""

PREFERENCES: Final = {
    "media.navigator.streams.fake": True,  # a microphone that beeps
    "media.navigator.permission.disabled": True,
    "media.autoplay.default": 0,
    "media.peerconnection.ice.loopback": True,  # where there is no network, loopback is all there is
    "security.csp.enable": False,  # a page connects to the other gateway as well
    "dom.min_background_timeout_value": 4,
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}

Heard = Callable[[dict[str, Any]], None]
"""Takes what a page has told."""

WATCH: Final = """(tell) => {
    const now = () => performance.timeOrigin + performance.now();
    window.WebSocket = class extends WebSocket {
        constructor(url, protocols) {
            super(url, protocols);
            tell(JSON.stringify({at: now(), did: 'open', what: String(url)}));
            this.addEventListener('message', ({data}) =>
                tell(JSON.stringify({at: now(), did: 'received', what: data})));
        }
        send(data) {
            tell(JSON.stringify({at: now(), did: 'sent', what: data}));
            super.send(data);
        }
    };
}"""
"""Has every page tell of its WebSockets: when it opens one, and what it sends and receives."""


class FirefoxError(Exception):
    """Firefox did not do what it was asked for, or a page has thrown something."""


class FirefoxPage:
    """One window with cookies of its own. What it has is what `Person` and the scenes use of a page."""

    def __init__(self, firefox: "Firefox", context: str) -> None:
        self._firefox = firefox
        self.context = context

    async def goto(self, url: str) -> None:
        """Go to a page, and wait until it has been loaded."""
        await self._firefox.ask(
            "browsingContext.navigate", {"context": self.context, "url": url, "wait": "complete"}
        )

    async def reload(self) -> None:
        """Load the page once more."""
        await self._firefox.ask("browsingContext.reload", {"context": self.context, "wait": "complete"})

    async def evaluate(self, function: str, argument: Any = None) -> Any:
        """Call a JavaScript function with something that JSON can hold, and return what it makes of it."""
        found = await self._firefox.ask(
            "script.callFunction",
            {
                "functionDeclaration": "async (argument) =>"
                f" JSON.stringify((await ({function})(JSON.parse(argument))) ?? null)",
                "arguments": [{"type": "string", "value": json.dumps(argument)}],
                "target": {"context": self.context},
                "awaitPromise": True,
            },
        )
        if found["type"] == "exception":
            raise FirefoxError(found["exceptionDetails"]["text"])
        try:
            return json.loads(found["result"]["value"])
        except ValueError:  # a function, or a node: nobody asks for one
            return None

    async def close(self) -> None:
        """Close the window."""
        await self._firefox.ask("browsingContext.close", {"context": self.context})


class Firefox:
    """One headless Firefox, while its `async with` block runs."""

    def __init__(self) -> None:
        self._stack = contextlib.AsyncExitStack()
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._heard: dict[str, Heard] = {}
        self._socket: ClientConnection
        self.version = ""

    async def __aenter__(self) -> Self:
        program = shutil.which("firefox-esr") or shutil.which("firefox")
        assert program is not None, "there is no Firefox: apt-get install firefox-esr"
        async with self._stack:
            profile = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
            chosen = ((json.dumps(name), json.dumps(value)) for name, value in PREFERENCES.items())
            (profile / "user.js").write_text(
                "".join(f"user_pref({one}, {value});\n" for one, value in chosen)
            )
            process = await asyncio.create_subprocess_exec(
                *(program, "--headless", "--no-remote", "--remote-debugging-port", "0"),
                *("--profile", str(profile)),
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
            )
            self._stack.push_async_callback(process.wait)
            self._stack.callback(_end, process)
            url = await _address(process)
            group = await self._stack.enter_async_context(asyncio.TaskGroup())
            self._stack.callback(_end, process)  # what reads from it ends then
            self._socket = await self._stack.enter_async_context(connect(f"{url}/session", max_size=None))
            group.create_task(_drain(process))
            group.create_task(self._hear())
            session = await self.ask("session.new", {"capabilities": {}})
            self.version = session["capabilities"]["browserVersion"]
            await self.ask("session.subscribe", {"events": ["script.message"]})
            channel = {"type": "channel", "value": {"channel": "traffic"}}
            await self.ask("script.addPreloadScript", {"functionDeclaration": WATCH, "arguments": [channel]})
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._stack.aclose()

    async def page(self, heard: Heard) -> FirefoxPage:
        """Open a window; `heard` is called with what it tells of its WebSockets."""
        user = await self.ask("browser.createUserContext", {})
        made = await self.ask(
            "browsingContext.create", {"type": "window", "userContext": user["userContext"]}
        )
        self._heard[made["context"]] = heard
        return FirefoxPage(self, made["context"])

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a command, and return its result.

        Raises:
            FirefoxError: it cannot be done.
        """
        number = next(self._ids)
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        answer = await answered
        if answer["type"] == "error":
            raise FirefoxError(f"{method}: {answer['error']}: {answer['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def _hear(self) -> None:
        async for text in self._socket:
            message = json.loads(text)
            if message["type"] == "event":
                told = message["params"]
                self._heard[told["source"]["context"]](json.loads(told["data"]["value"]))
            else:
                self._waiting.pop(message["id"]).set_result(message)


async def _address(process: asyncio.subprocess.Process) -> str:
    """Wait until Firefox says where it listens."""
    assert process.stderr is not None
    async with asyncio.timeout(START_S):
        async for line in process.stderr:
            if found := re.search(rb"WebDriver BiDi listening on (ws://\S+)", line):
                return found[1].decode()
    raise FirefoxError("Firefox has ended")


async def _drain(process: asyncio.subprocess.Process) -> None:
    """Read what Firefox writes, so that it can go on writing."""
    assert process.stderr is not None
    async for _ in process.stderr:
        pass


def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
