"""What our client does otherwise than nats-py's, against a few lines of a broker in this process."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvloop
from nats.aio.client import DEFAULT_MAX_FLUSHER_QUEUE_SIZE
from nats.aio.msg import Msg
from nats.aio.transport import TcpTransport
from nats.errors import ConnectionClosedError

from tieline.runtime.message import Message
from tieline.runtime.nats_client import MAX_BUFFERED_BYTES, NatsClient

PATIENCE_S = 20
GREETING = b'INFO {"version":"2.12.0","headers":true,"max_payload":1048576}\r\n'


class SmallBroker:
    """Greets, answers pings unless it is told to keep its answers, and remembers what it was sent."""

    def __init__(self) -> None:
        self.received = b""
        self.greets = True
        self.answers_pings = True
        self.kept_pongs = 0
        self.may_read = asyncio.Event()
        self.may_read.set()
        self.clients = 0
        self._writer: asyncio.StreamWriter | None = None
        self._changed = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.clients += 1
        if self.greets:
            writer.write(GREETING)
        while data := await reader.read(65_536):
            await self.may_read.wait()
            async with self._changed:
                self.received += data
                for line in data.split(b"\r\n"):
                    if line == b"PING" and self.answers_pings:
                        writer.write(b"PONG\r\n")
                    elif line == b"PING":
                        self.kept_pongs += 1
                self._changed.notify_all()
        writer.close()

    def hang_up(self) -> None:
        assert self._writer is not None
        self._writer.close()

    def send(self, data: bytes) -> None:
        assert self._writer is not None
        self._writer.write(data)

    async def has(self, data: bytes) -> None:
        """Wait until it has received these bytes."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: data in self.received)

    async def keeps_pong(self) -> None:
        """Wait until it owes an answer to a ping."""
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(lambda: self.kept_pongs > 0)


class Errors(list[Exception]):
    """What listeners and callbacks have raised."""


@pytest.fixture
async def small() -> AsyncIterator[tuple[SmallBroker, str]]:
    """A small broker, and where it listens."""
    broker = SmallBroker()
    async with await asyncio.start_server(broker.serve, "127.0.0.1", 0) as server:
        yield broker, f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.fixture
def broker(small: tuple[SmallBroker, str]) -> SmallBroker:
    return small[0]


@pytest.fixture
def errors() -> Errors:
    return Errors()


@pytest.fixture
async def client(small: tuple[SmallBroker, str], errors: Errors) -> AsyncIterator[NatsClient]:
    connected = NatsClient(errors.append)
    await connected.connect([small[1]])
    yield connected
    await connected.close()


def streams(client: NatsClient) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """The client's end of its connection."""
    assert isinstance(client._transport, TcpTransport)
    assert client._transport._io_reader is not None
    assert client._transport._io_writer is not None
    return client._transport._io_reader, client._transport._io_writer


async def turn_of_the_loop() -> None:
    """Let everything run that was to be called soon."""
    turned = asyncio.Event()
    asyncio.get_running_loop().call_soon(turned.set)
    await turned.wait()


async def received(queue: asyncio.Queue[bytes], count: int) -> list[bytes]:
    async with asyncio.timeout(PATIENCE_S):
        return [await queue.get() for _ in range(count)]


async def test_what_one_turn_writes_goes_out_in_its_order(broker: SmallBroker, client: NatsClient) -> None:
    client.write("a", "", b"1")
    client.write("b", "back", b"2", b"NATS/1.0\r\n\r\n")
    client.write("c", "", b"")

    await broker.has(b"PUB a  1\r\n1\r\nHPUB b back 12 13\r\nNATS/1.0\r\n\r\n2\r\nPUB c  0\r\n\r\n")


async def test_a_flush_callback_writes_behind_what_the_turn_wrote(
    broker: SmallBroker, client: NatsClient
) -> None:
    client.on_flush(lambda: client.write("last", "", b""))
    client.write("first", "", b"")

    await broker.has(b"PUB first  0\r\n\r\nPUB last  0\r\n\r\n")


async def test_a_flush_callback_is_called_once(broker: SmallBroker, client: NatsClient) -> None:
    calls: list[int] = []
    client.on_flush(lambda: calls.append(1))

    for number in range(3):
        client.write(f"s{number}", "", b"")
        await broker.has(b"PUB s%d" % number)

    assert calls == [1]


async def test_a_flush_callback_may_ask_for_another_in_the_same_flush(
    broker: SmallBroker, client: NatsClient
) -> None:
    client.on_flush(lambda: client.on_flush(lambda: client.write("nested", "", b"")))

    await broker.has(b"PUB nested  0\r\n\r\n")


async def test_a_flush_callback_that_fails_spares_the_others(
    broker: SmallBroker, client: NatsClient, errors: Errors
) -> None:
    def fail() -> None:
        raise LookupError("a bug of ours")

    client.on_flush(fail)
    client.on_flush(lambda: client.write("after", "", b""))

    await broker.has(b"PUB after  0\r\n\r\n")
    assert [type(error) for error in errors] == [LookupError]


async def test_a_listener_gets_messages_and_what_it_writes_goes_out(
    broker: SmallBroker, client: NatsClient
) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()

    def answer(message: Message) -> None:
        got.put_nowait(message.data)
        client.write(message.reply, "", b"re: " + message.data)

    await client.listen("ask", "group", answer)
    await broker.has(b"SUB ask group 1\r\n")

    broker.send(b"MSG ask 1 inbox.1 1\r\nx\r\nMSG ask 1 inbox.2 1\r\ny\r\n")

    assert await received(got, 2) == [b"x", b"y"]
    await broker.has(b"PUB inbox.1  5\r\nre: x\r\nPUB inbox.2  5\r\nre: y\r\n")


async def test_a_listener_that_fails_gets_the_next_message(
    broker: SmallBroker, client: NatsClient, errors: Errors
) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()

    def listener(message: Message) -> None:
        got.put_nowait(message.data)
        if message.data == b"1":
            raise LookupError("a bug of ours")

    await client.listen("a", "", listener)

    broker.send(b"MSG a 1 1\r\n1\r\nMSG a 1 1\r\n2\r\n")

    assert await received(got, 2) == [b"1", b"2"]
    assert [type(error) for error in errors] == [LookupError]


async def test_messages_of_nats_py_s_own_subscriptions_take_its_own_way(
    broker: SmallBroker, client: NatsClient
) -> None:
    ours: asyncio.Queue[bytes] = asyncio.Queue()
    theirs: asyncio.Queue[bytes] = asyncio.Queue()

    async def callback(message: Msg) -> None:
        theirs.put_nowait(message.data)

    await client.listen("a", "", lambda message: ours.put_nowait(message.data))
    await client.subscribe("b", cb=callback)

    broker.send(b"MSG b 2 1\r\n1\r\nMSG a 1 1\r\n2\r\nMSG b 2 1\r\n3\r\n")

    assert await received(ours, 1) == [b"2"]
    assert await received(theirs, 2) == [b"1", b"3"]


async def test_an_unsubscribed_listener_gets_nothing_more(broker: SmallBroker, client: NatsClient) -> None:
    gone: asyncio.Queue[bytes] = asyncio.Queue()
    stays: asyncio.Queue[bytes] = asyncio.Queue()
    subscription = await client.listen("a", "", lambda message: gone.put_nowait(message.data))
    await client.listen("b", "", lambda message: stays.put_nowait(message.data))
    await subscription.unsubscribe()

    broker.send(b"MSG a 1 1\r\n1\r\nMSG b 2 1\r\n2\r\n")

    assert await received(stays, 1) == [b"2"]
    assert gone.empty()


async def test_what_is_subscribed_to_goes_out_with_the_rest_of_a_turn(
    broker: SmallBroker, client: NatsClient
) -> None:
    subscription = await client.listen("a", "group", lambda _: None)
    client.write("b", "", b"x")
    await subscription.unsubscribe()

    await broker.has(b"SUB a group 1\r\nPUB b  1\r\nx\r\nUNSUB 1\r\n")


async def test_nothing_is_listened_to_on_a_closed_connection(client: NatsClient) -> None:
    subscription = await client.listen("a", "", lambda _: None)
    await client.close()

    with pytest.raises(ConnectionClosedError):
        await client.listen("b", "", lambda _: None)
    with pytest.raises(ConnectionClosedError):
        await subscription.unsubscribe()


async def test_a_flush_waits_behind_what_was_written(broker: SmallBroker, client: NatsClient) -> None:
    client.write("a", "", b"x")
    await client.flush(PATIENCE_S)

    assert broker.received.endswith(b"PUB a  1\r\nx\r\nPING\r\n")


async def test_a_pong_that_comes_after_its_flush_gave_up_ends_nothing(
    broker: SmallBroker, client: NatsClient
) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()
    await client.listen("a", "", lambda message: got.put_nowait(message.data))
    broker.answers_pings = False
    flushing = asyncio.create_task(client.flush(PATIENCE_S))
    await broker.keeps_pong()
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    broker.answers_pings = True

    broker.send(b"PONG\r\n" * broker.kept_pongs + b"MSG a 1 1\r\n1\r\n")

    assert await received(got, 1) == [b"1"]
    await client.flush(PATIENCE_S)
    assert broker.clients == 1


async def test_what_a_slow_broker_does_not_take_counts_as_pending(
    broker: SmallBroker, client: NatsClient
) -> None:
    broker.may_read.clear()
    payload, written = bytes(65_536), 0
    while client.pending_data_size == 0:
        assert written < 64 * MAX_BUFFERED_BYTES, "more than the sockets can hold"
        client.write("a", "", payload)
        written += len(payload)
        await turn_of_the_loop()

    broker.may_read.set()
    await client.flush(PATIENCE_S)
    assert client.pending_data_size == 0


async def wait_for_room(broker: SmallBroker, client: NatsClient) -> None:
    """Write to a broker that reads nothing, for more turns than nats-py lets callers wait in its queue."""
    broker.may_read.clear()
    while client.pending_data_size == 0:
        client.write("a", "", bytes(65_536))
        await turn_of_the_loop()
    for _ in range(2 * DEFAULT_MAX_FLUSHER_QUEUE_SIZE):
        client.write("a", "", b"")
        await turn_of_the_loop()


async def test_a_broker_that_reads_nothing_for_long_is_no_bug(
    broker: SmallBroker, client: NatsClient
) -> None:
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))

    await wait_for_room(broker, client)

    assert problems == []
    broker.may_read.set()
    await client.flush(PATIENCE_S)
    assert broker.clients == 1


async def test_a_flush_that_is_cancelled_ends_while_nothing_is_read(
    broker: SmallBroker, client: NatsClient
) -> None:
    await wait_for_room(broker, client)
    flushing = asyncio.create_task(client.flush(PATIENCE_S))
    await turn_of_the_loop()

    flushing.cancel()
    await asyncio.wait((flushing,), timeout=PATIENCE_S / 2)

    assert flushing.cancelled()
    broker.may_read.set()
    await client.flush(PATIENCE_S)


async def test_to_subscribe_and_to_unsubscribe_waits_for_nothing(
    broker: SmallBroker, client: NatsClient
) -> None:
    """What waits for nothing cannot lose a cancellation."""
    await wait_for_room(broker, client)

    async def listen_and_leave() -> None:
        subscription = await client.listen("late", "", lambda _: None)
        await subscription.unsubscribe()

    listening = asyncio.create_task(listen_and_leave())
    await turn_of_the_loop()

    assert listening.done()
    broker.may_read.set()
    await client.flush(PATIENCE_S)
    assert b"SUB late " in broker.received
    assert b"UNSUB 1" in broker.received


async def test_what_was_not_sent_can_be_forgotten(broker: SmallBroker, client: NatsClient) -> None:
    client.write("stale", "", b"")
    client.forget_unsent()
    client.write("fresh", "", b"")

    await broker.has(b"PUB fresh  0\r\n\r\n")
    assert b"stale" not in broker.received


async def test_a_broker_without_the_tls_that_is_demanded_is_told_nothing(
    small: tuple[SmallBroker, str],
) -> None:
    broker, url = small
    failed: asyncio.Queue[Exception] = asyncio.Queue()

    async def error_cb(error: Exception) -> None:
        failed.put_nowait(error)

    demanding = NatsClient(demands_tls=True)
    connecting = asyncio.create_task(
        demanding.connect([url], user="u", password="hunter2", error_cb=error_cb, allow_reconnect=False)
    )
    with pytest.raises(Exception, match="offers no TLS"):
        await connecting
    demanding.abandon()

    assert broker.received == b""


async def test_any_error_of_the_broker_leads_to_another_connection(
    small: tuple[SmallBroker, str],
) -> None:
    broker, url = small
    back = asyncio.Event()

    async def reconnected() -> None:
        back.set()

    client = NatsClient()
    await client.connect([url], reconnected_cb=reconnected, reconnect_time_wait=0)
    broker.send(b"-ERR 'Maximum Subscriptions Exceeded'\r\n")
    async with asyncio.timeout(PATIENCE_S):
        await back.wait()

    assert broker.clients == 2
    await client.close()


async def test_what_is_ended_without_a_broker_is_not_asked_for_later(
    small: tuple[SmallBroker, str],
) -> None:
    broker, url = small
    client = NatsClient()
    back, heard = asyncio.Event(), list[Message]()

    async def disconnected() -> None:
        ended = await client.listen("ended", "", heard.append)
        await client.listen("stays", "group", heard.append)
        await ended.unsubscribe()

    async def reconnected() -> None:
        back.set()

    await client.connect(
        [url], disconnected_cb=disconnected, reconnected_cb=reconnected, reconnect_time_wait=0
    )
    broker.hang_up()
    async with asyncio.timeout(PATIENCE_S):
        await back.wait()
    await client.flush(PATIENCE_S)
    client._disconnected_cb = None
    await client.close()

    assert b"SUB stays group 2" in broker.received
    assert b"ended" not in broker.received


@pytest.mark.parametrize("attempt", ["fails", "is greeted"])
@pytest.mark.parametrize("ending", ["closed", "abandoned"])
async def test_a_client_that_is_over_does_not_reconnect(
    small: tuple[SmallBroker, str], ending: str, attempt: str
) -> None:
    """Not even if it is over in the turn in which an attempt fails, or is greeted."""
    broker, url = small
    client = NatsClient()
    await client.connect([url], reconnect_time_wait=0)
    broker.greets = False
    broker.hang_up()
    async with asyncio.timeout(PATIENCE_S):
        while not client.is_connecting:
            await turn_of_the_loop()
    reader, writer = streams(client)

    if attempt == "fails":
        reader.feed_eof()
    else:
        reader.feed_data(GREETING)
    if ending == "closed":
        await client.close()
    else:
        client.abandon()
        async with asyncio.timeout(PATIENCE_S):
            while attempts():
                await turn_of_the_loop()

    assert attempts() == []
    assert writer.transport.is_closing()
    assert broker.clients == 2
    assert not client.is_connected


ATTEMPTS = ["fails", "is greeted", "is answered"]
"""What becomes of an attempt in the turn in which it is cancelled."""


async def attempt_comes_to(attempt: str, broker: SmallBroker, client: NatsClient) -> None:
    """Let an attempt fail or succeed, as the broker would, once the client waits for its word."""
    async with asyncio.timeout(PATIENCE_S):
        while not client.is_connecting:
            await turn_of_the_loop()
    if attempt == "is answered":
        streams(client)[0].feed_data(GREETING)
        await broker.keeps_pong()
        streams(client)[0].feed_data(b"PONG\r\n")
    elif attempt == "is greeted":
        streams(client)[0].feed_data(GREETING)
    else:
        streams(client)[0].feed_eof()


@pytest.mark.parametrize("attempt", ATTEMPTS)
async def test_a_timeout_in_the_turn_of_an_attempt_ends_connecting(
    small: tuple[SmallBroker, str], attempt: str
) -> None:
    broker, url = small
    broker.greets = False
    broker.answers_pings = attempt == "is greeted"
    client, patience = NatsClient(), asyncio.timeout(None)

    async def connect() -> None:
        try:
            async with patience:
                await client.connect([url], reconnect_time_wait=0)
        finally:
            client.abandon()

    connecting = asyncio.create_task(connect())
    await attempt_comes_to(attempt, broker, client)

    patience.reschedule(0)  # long ago: now
    await asyncio.wait((connecting,), timeout=PATIENCE_S)

    assert connecting.done()
    assert isinstance(connecting.exception(), TimeoutError)
    assert streams(client)[1].transport.is_closing()
    assert broker.clients == 1


@pytest.mark.parametrize("attempt", ["fails", "is answered"])
async def test_one_cancellation_ends_the_attempts_to_reconnect(
    small: tuple[SmallBroker, str], attempt: str
) -> None:
    """As nats-py itself cancels those before it begins new ones."""
    broker, url = small
    client = NatsClient()
    await client.connect([url], reconnect_time_wait=0)
    broker.greets = broker.answers_pings = False
    broker.hang_up()
    await attempt_comes_to(attempt, broker, client)

    reconnecting = client._reconnection_task
    assert reconnecting is not None
    reconnecting.cancel()
    await asyncio.wait((reconnecting,), timeout=PATIENCE_S)

    assert reconnecting.done()
    assert broker.clients == 2
    await client.close()


async def test_a_request_that_is_answered_as_it_is_cancelled_ends(
    broker: SmallBroker, client: NatsClient
) -> None:
    """Else a loop that asks again and again would go on."""
    asking = asyncio.create_task(client.request("q", b"", timeout=PATIENCE_S))
    await broker.has(b"PUB q ")
    (answered,) = client._resp_map.values()

    answered.set_result(Msg(client, "reply", data=b"yes"))
    asking.cancel()
    await asyncio.wait((asking,), timeout=PATIENCE_S)

    assert asking.cancelled()


def attempts() -> list[str]:
    """The tasks that try to reconnect."""
    tasks = (repr(task.get_coro()) for task in asyncio.all_tasks())
    return [task for task in tasks if "_attempt_reconnect" in task]


def test_what_is_written_as_the_connection_breaks_is_dropped() -> None:
    """On uvloop, as the processes: asyncio's own connections drop it by themselves."""
    problems: list[dict[str, Any]] = []

    async def write_as_it_breaks() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))
        broker, back = SmallBroker(), asyncio.Event()

        async def reconnected() -> None:
            back.set()

        async with await asyncio.start_server(broker.serve, "127.0.0.1", 0) as server:
            client = NatsClient(Errors().append)
            url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            await client.connect([url], reconnected_cb=reconnected, reconnect_time_wait=0)
            streams(client)[1].transport.abort()
            client.write("lost", "", b"")
            async with asyncio.timeout(PATIENCE_S):
                await back.wait()
            await client.flush(PATIENCE_S)
            await client.close()
        assert b"lost" not in broker.received

    uvloop.run(write_as_it_breaks())

    assert problems == []


async def test_nothing_overtakes_what_is_listened_to_anew(broker: SmallBroker, client: NatsClient) -> None:
    """The broker would have nobody to give an answer to that comes at once."""
    await client.listen("answers", "", lambda _: None)
    await broker.has(b"SUB answers")
    async with asyncio.timeout(PATIENCE_S):
        broker.hang_up()
        while client.takes(0, 0):
            await turn_of_the_loop()
        broker.received = b""
        while not client.takes(0, MAX_BUFFERED_BYTES):
            await turn_of_the_loop()
    client.write("question", "answers", b"")

    await broker.has(b"PUB question")
    assert broker.received.index(b"SUB answers") < broker.received.index(b"PUB question")
