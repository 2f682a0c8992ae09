"""Between the benchmark and a reference: its port on standard output, its end when standard input ends."""

import asyncio
import sys

from websockets.asyncio.server import Server


async def announce_port_and_wait(server: Server) -> None:
    """Print the port a server listens on, then wait until standard input ends.

    It ends when the benchmark closes it, and when the benchmark dies.
    """
    sys.stdout.write(f"{next(iter(server.sockets)).getsockname()[1]}\n")
    sys.stdout.flush()
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    await reader.read()
