import pytest
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.client.outbox import MAX_WAITING_BYTES, Outbox
from tests.unit.gateway.client.transport import Socket


class Written:
    """An outbox of an open WebSocket, and what it writes to."""

    def __init__(self) -> None:
        self.protocol = ServerProtocol()
        self.protocol.state = State.OPEN
        self.socket = Socket()
        self.outbox = Outbox(self.protocol, self.socket)


@pytest.fixture
def written() -> Written:
    return Written()


def test_a_message_is_written_as_one_text_frame(written: Written) -> None:
    written.outbox.send("用".encode())

    assert written.socket.taken() == b"\x81\x03" + "用".encode()


def test_once_closing_messages_are_no_longer_sent(written: Written) -> None:
    written.protocol.send_close(4500)
    written.outbox.flush()
    assert written.socket.taken() == b"\x88\x02" + (4500).to_bytes(2, "big")

    assert not written.outbox.send(b"late")

    assert written.socket.taken() == b""


def test_control_frames_are_written_when_flushed(written: Written) -> None:
    written.protocol.send_ping(b"?")
    assert written.socket.taken() == b""

    written.outbox.flush()
    written.outbox.flush()

    assert written.socket.taken() == b"\x89\x01?"


def test_the_end_of_the_stream_is_written_after_what_came_before_it(written: Written) -> None:
    written.protocol.fail(1003)

    written.outbox.flush()

    assert written.socket.taken() == b"\x88\x02\x03\xeb"
    assert written.socket.is_ended


def test_nothing_is_written_to_a_transport_that_closes(written: Written) -> None:
    written.socket.close()
    written.protocol.fail(1003)

    written.outbox.flush()

    assert written.socket.taken() == b""
    assert not written.socket.is_ended


def test_a_client_may_be_this_far_behind_and_no_further(written: Written) -> None:
    written.socket.waiting_bytes = MAX_WAITING_BYTES
    assert not written.outbox.is_over_limit

    written.socket.waiting_bytes += 1
    assert written.outbox.is_over_limit
