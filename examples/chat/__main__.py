"""Run the chat, and a Tieline system beneath it: `python -m examples.chat`; Ctrl-C ends both.

With TIELINE_API_URL and TIELINE_API_KEY it stands on a system that runs already. Then TIELINE_WEBHOOK_SECRET
is what that one signs with, and CHAT_GATEWAY_URL where clients connect.
"""

import argparse
import asyncio
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
import uvicorn

from examples.chat.app import make_app
from examples.chat.chat import Settings, opened, work

HOST: Final = "127.0.0.1"

OF_A_SYSTEM: Final = ("TIELINE_API_URL", "TIELINE_API_KEY", "TIELINE_WEBHOOK_SECRET", "CHAT_GATEWAY_URL")
"""Variables that say where a system is that runs already."""

GRACE_S: Final = 2
"""For answers that are under way when the chat is to end."""

LOOK_S: Final = 0.05
"""Between two looks whether the system is ready; it takes seconds."""

WAKE_WINDOW_S: Final = "20"
"""How long a call waits for a phone to be woken: a push takes a second or two, mostly, an application's start
a few more."""


class _Server(uvicorn.Server):
    """A server that takes no signals of its own: the system beneath it is ended after it."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


async def main(options: argparse.Namespace) -> None:
    """Run until a signal comes."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    loop.add_signal_handler(signal.SIGTERM, task.cancel)  # as Ctrl-C does, while the system starts
    with listening(options.port) as listener:
        page = f"http://{HOST}:{listener.getsockname()[1]}"
        async with (
            system(os.environ, page, options.ready_file) as settings,
            opened(settings._replace(database=options.database)) as chat,
            asyncio.TaskGroup() as tasks,
        ):
            working = tasks.create_task(work(chat))
            config = uvicorn.Config(make_app(chat), log_level="warning", timeout_graceful_shutdown=GRACE_S)
            server = _Server(config)
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.add_signal_handler(number, server.handle_exit, number, None)
            print(f"The chat is at {page}/?user=ada and, in another window, {page}/?user=bo", flush=True)
            await server.serve([listener])
            working.cancel()


def listening(port: int) -> socket.socket:
    """Listen, or end with a word about the port."""
    try:
        return socket.create_server((HOST, port))
    except (OSError, OverflowError) as problem:
        why = os.strerror(problem.errno) if isinstance(problem, OSError) and problem.errno else problem
        sys.exit(f"port {port} of {HOST}: {why}; --port names another (EXAMPLE_PORT= of `make example`)")


@asynccontextmanager
async def system(environ: Mapping[str, str], page: str, ready_file: Path | None) -> AsyncIterator[Settings]:
    """Find the system of the environment, or run `tieline dev` for as long as the block runs."""
    if environ.get("TIELINE_API_URL"):
        url, key, secret, gateway = (environ.get(name, "") for name in OF_A_SYSTEM)
        if not (key and secret and gateway):
            unset = ", ".join(name for name in OF_A_SYSTEM if not environ.get(name))
            sys.exit(f"TIELINE_API_URL names a system that runs: set {unset}, too, or unset it")
        yield Settings(url, key, gateway, (secret,))
        return
    secret = environ.get("TIELINE_WEBHOOK_SECRET") or secrets.token_urlsafe(32)
    own = {
        "TIELINE_WEBHOOK_SECRET": secret,
        "TIELINE_WAKE_WINDOW": environ.get("TIELINE_WAKE_WINDOW") or WAKE_WINDOW_S,
        "TIELINE_ORIGINS": f"{page},{page.replace(HOST, 'localhost')}",
    }
    with tempfile.TemporaryDirectory() as folder:
        ready = ready_file or Path(folder, "ready.json")
        ready.unlink(missing_ok=True)  # an earlier one says nothing of this system
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "tieline.cli", "dev", "--gateways", "1", "--port", "0"),
            *("--ready-file", str(ready), "--webhook", f"{page}/tieline"),
            env={**environ, **own},
            start_new_session=True,  # Ctrl-C is for us alone, and we end it
        )
        try:
            while not ready.exists():
                if process.returncode is not None:
                    sys.exit("the system beneath has not started: see above")
                await asyncio.sleep(LOOK_S)
            told = msgspec.json.decode(ready.read_bytes())
            yield Settings(told["api"], told["apiKey"], told["gateways"][0], (secret,))
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m examples.chat", description=__doc__)
    parser.add_argument("--port", type=int, default=3000, help="where the chat listens; 0: any (%(default)s)")
    parser.add_argument("--database", default=":memory:", help="a file; without: nothing is kept")
    parser.add_argument("--ready-file", type=Path, help="where the system beneath says what it is")
    with suppress(KeyboardInterrupt, asyncio.CancelledError):  # told to end while the system started
        asyncio.run(main(parser.parse_args()))
