"""`python -m tests.browser.bidi_relay FIREFOX ...`: a Firefox for playwright, without the commands it lacks.

Playwright drives the Firefox of the system over WebDriver BiDi
(docs/decisions/0113-firefox-is-driven-over-webdriver-bidi.md). It tells every page which colours the system
prefers, by a command that the Firefox of Debian does not know yet, and takes the refusal for the end. This
program starts Firefox, listens in its place, and answers what `LACKING` names as if it were done; all else
passes as it is. With a Firefox that knows it, it is of no use any more.
"""

import asyncio
import contextlib
import functools
import json
import re
import sys
from typing import Final

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from tieline.cli.exits import until_told_to_end

LACKING: Final = frozenset({"emulation.setMediaFeaturesOverride"})
"""Commands that are answered here, with an empty result."""

_LISTENS: Final = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")


async def _relay(to: str, playwright: ServerConnection) -> None:
    assert playwright.request is not None
    async with connect(f"{to}{playwright.request.path}", max_size=None, compression=None) as firefox:

        async def down() -> None:
            async for text in firefox:
                await playwright.send(text)
            await playwright.close()

        async def up() -> None:
            async for text in playwright:
                message = json.loads(text)
                if message["method"] in LACKING:
                    await playwright.send(json.dumps({"type": "success", "id": message["id"], "result": {}}))
                else:
                    await firefox.send(text)
            await firefox.close()

        with contextlib.suppress(ConnectionClosed):
            async with asyncio.TaskGroup() as ways:
                ways.create_task(down())
                ways.create_task(up())


async def _end(firefox: asyncio.subprocess.Process) -> None:
    """End Firefox if it runs yet: it would go on without this program."""
    if firefox.returncode is None:
        firefox.terminate()
        await firefox.wait()


async def main(words: list[str]) -> int:
    """Start Firefox with these words, and relay until it ends; returns its exit status."""
    firefox = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
    assert firefox.stderr is not None
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(_end, firefox)
        async for line in firefox.stderr:
            if found := _LISTENS.search(line):
                relay = functools.partial(_relay, found[1].decode())
                server = await stack.enter_async_context(
                    serve(relay, "127.0.0.1", 0, max_size=None, compression=None, ping_interval=None)
                )
                port = server.sockets[0].getsockname()[1]
                line = b"WebDriver BiDi listening on ws://127.0.0.1:%d\n" % port
            sys.stderr.buffer.write(line)
            sys.stderr.buffer.flush()
        return await firefox.wait()


if __name__ == "__main__":
    sys.exit(until_told_to_end(lambda: asyncio.run(main(sys.argv[1:]))))
