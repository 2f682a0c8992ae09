"""A bare echo: the most that one process of websockets.asyncio can do, with no relay behind it."""

import uvloop
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.serving import announce_port_and_wait
from tieline.cli.dev.ports import HIGHEST
from tieline.cli.options import option_parser, whole


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
    parser = option_parser("python -m bench.echo", __doc__)
    parser.add_argument("--port", type=whole(0, HIGHEST), default=0, help="to listen on; 0: a free one")
    uvloop.run(main(parser.parse_args().port))
