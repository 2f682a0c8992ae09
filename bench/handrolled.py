"""A minimal relay, as one would write it in an afternoon: websockets and nats-py, without any checks.

It has no tokens, rooms, negotiations or answers and stores nothing: a message for an absent user is lost.
With `--stores` a message is published to a stream of JetStream and acknowledged by it before the next one is
read, and the stream republishes what it has stored to the gateways; nobody reads what is stored.

It is written to be fast, because Tieline is measured against it. Several processes reach each other's users
through the broker. It needs a NATS server, with JetStream if it stores, and is not part of Tieline.
"""

from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec
import nats
import uvloop
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import RePublish, StorageType, StreamConfig
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bench.serving import announce_port_and_wait
from tieline.cli.dev.ports import HIGHEST
from tieline.cli.options import option_parser, whole

WELCOME: Final = b'{"requestId":"","module":"ROOM","cmd":"WELCOME","code":200,"msg":"success","data":null}'

STREAM: Final = "mail"

KEPT_S: Final = 70.0
"""For so long messages are kept, as Tieline keeps them."""


class Body(msgspec.Struct):
    """The one field of a message's `data` that is read."""

    to: str


class Message(msgspec.Struct):
    """The one field of a message that is read."""

    data: Body


decode = msgspec.json.Decoder(Message).decode


async def make_stream(broker: Client) -> JetStreamContext:
    """Make the stream that republishes what it has stored."""
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
    return stream


async def main(nats_url: str, port: int, *, stores: bool) -> None:
    """Serve until standard input ends."""
    broker = await nats.connect(nats_url)
    through = await make_stream(broker) if stores else broker
    prefix = "mail" if stores else "user"

    async def handle(websocket: ServerConnection) -> None:
        async def deliver(message: Msg) -> None:
            await websocket.send(message.data, text=True)

        assert websocket.request is not None
        (user,) = parse_qs(urlsplit(websocket.request.path).query)["user"]
        subscription = await broker.subscribe(f"user.{user}", cb=deliver)
        try:
            # Through the broker, so that a welcomed user can be reached from every gateway. (A flush does not
            # ensure that: nats-py's PING overtakes the subscription.)
            await broker.publish(f"user.{user}", WELCOME)
            while True:
                message = await websocket.recv(decode=False)
                await through.publish(f"{prefix}.{decode(message).data.to}", message)
        except ConnectionClosed:
            pass
        finally:
            await subscription.unsubscribe()

    async with serve(handle, "127.0.0.1", port, compression=None) as server:
        await announce_port_and_wait(server)
    await broker.close()


if __name__ == "__main__":
    parser = option_parser("python -m bench.handrolled", __doc__)
    parser.add_argument("--nats", required=True, metavar="URL", help="of a broker")
    parser.add_argument("--port", type=whole(0, HIGHEST), default=0, help="to listen on; 0: a free one")
    parser.add_argument("--stores", action="store_true", help="each message, before the next one is read")
    options = parser.parse_args()
    uvloop.run(main(options.nats, options.port, stores=options.stores))
