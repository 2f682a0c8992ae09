"""A relay that stores, as one would write it: each message is in JetStream before the next one is read.

It is `bench.handrolled` with one thing more: a message is published to a stream and acknowledged by it, and
the stream republishes what it has stored to the gateways. There are still no tokens, rooms, negotiations or
answers, and nobody reads what is stored. It needs a NATS server with JetStream, and is not part of Tieline.
"""

from typing import Final
from urllib.parse import parse_qs, urlsplit

import nats
import uvloop
from nats.aio.msg import Msg
from nats.js.api import RePublish, StorageType, StreamConfig
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.handrolled import WELCOME, decode
from bench.serving import announce_port_and_wait
from tieline.cli.dev.ports import HIGHEST
from tieline.cli.options import option_parser, whole

STREAM: Final = "mail"

KEPT_S: Final = 70.0
"""For so long messages are kept, as Tieline keeps them."""


async def main(nats_url: str, port: int) -> None:
    """Serve until standard input ends."""
    broker = await nats.connect(nats_url)
    stream = broker.jetstream()
    await stream.add_stream(
        StreamConfig(
            name=STREAM,
            subjects=["mail.>"],
            storage=StorageType.FILE,
            max_age=KEPT_S,
            republish=RePublish(src="mail.>", dest="user.>"),
        )
    )

    async def handle(websocket: ServerConnection) -> None:
        async def deliver(message: Msg) -> None:
            await websocket.send(message.data, text=True)

        assert websocket.request is not None
        (user,) = parse_qs(urlsplit(websocket.request.path).query)["user"]
        subscription = await broker.subscribe(f"user.{user}", cb=deliver)
        try:
            await broker.publish(f"user.{user}", WELCOME)  # as in `bench.handrolled`
            while True:
                message = await websocket.recv(decode=False)
                await stream.publish(f"mail.{decode(message).data.to}", message)
        except ConnectionClosed:
            pass
        finally:
            await subscription.unsubscribe()

    async with serve(handle, "127.0.0.1", port, compression=None) as server:
        await announce_port_and_wait(server)
    await broker.close()


if __name__ == "__main__":
    parser = option_parser("python -m bench.stored", __doc__)
    parser.add_argument("--nats", required=True, metavar="URL", help="of a broker")
    parser.add_argument("--port", type=whole(0, HIGHEST), default=0, help="to listen on; 0: a free one")
    options = parser.parse_args()
    uvloop.run(main(options.nats, options.port))
