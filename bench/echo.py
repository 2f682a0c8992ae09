"""A bare echo: the most that one process of websockets.asyncio can do, with no relay behind it."""

import argparse

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.serving import announce_port_and_wait


async def echo(websocket: ServerConnection) -> None:
    """Send every message back."""
    try:
        while True:
            await websocket.send(await websocket.recv(decode=False), text=True)
    except ConnectionClosed:
        pass


async def main(port: int) -> None:
    """Serve until standard input ends."""
    async with serve(echo, "127.0.0.1", port, compression=None) as server:
        await announce_port_and_wait(server)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A bare echo to compare Tieline with.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    uvloop.run(main(parser.parse_args().port))
