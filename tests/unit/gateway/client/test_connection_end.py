"""The end of a connection, by the client, the gateway or a loss, and what was said before it."""

import pytest
from websockets.frames import Frame, Opcode

from gateway.client.connection import CLOSING_S
from gateway.client.inbound import MAX_UNREAD
from tests.unit.gateway.client.stage import Stage, connected, event, join, ping, signal, signals
from tieline.wire.codes import CloseCode
from tieline.wire.envelope import MAX_MESSAGE_BYTES
from tieline.wire.internal import Refused, SessionGone

ANYTHING = pytest.mark.parametrize(
    "data",
    [
        Frame(Opcode.PING, b"still here").serialize(mask=True),
        Frame(Opcode.TEXT, ping("p-1")).serialize(mask=True),
        b"\xff" * 100,
    ],
    ids=["a ping", "a message", "garbage"],
)
"""What a client may go on sending while its connection closes."""


def is_cut_in_time(stage: Stage, data: bytes) -> bool:
    """Let a client that closes go on sending; returns whether it is cut when its time is up."""
    for _ in range(int(CLOSING_S / 0.5)):
        if stage.socket.is_aborted:
            return False
        stage.put(data)
        stage.clock.advance(0.5)
    return stage.socket.is_aborted


def test_a_client_is_gone_when_all_it_said_before_closing_is_done() -> None:
    stage = connected()

    stage.send(*signals(3))
    stage.say_goodbye()
    stage.lose()

    for _ in range(3):
        assert stage.gone_with == []
        stage.answer()
    assert stage.host.asked == ["s-0", "s-1", "s-2"]
    assert stage.gone_with == [1000]


def test_a_client_that_has_closed_is_gone_with_an_open_socket() -> None:
    stage = connected()

    stage.say_goodbye(4321)
    assert stage.gone_with == [4321]

    stage.lose()
    assert stage.gone_with == [4321]


def test_a_client_that_breaks_the_protocol_is_gone_at_once() -> None:
    for frames, code in (
        ([Frame(Opcode.BINARY, b"x")], 1003),
        ([Frame(Opcode.TEXT, b"\xff")], 1007),
        ([Frame(Opcode.CONT, b"x")], 1002),
        ([Frame(Opcode.TEXT, b"x" * (MAX_MESSAGE_BYTES + 1))], 1009),
    ):
        stage = connected()
        stage.send_frames(*frames)
        assert stage.gone_with == [code]
        stage.lose()
        assert stage.gone_with == [code]


def test_a_client_that_has_yet_to_answer_our_close_is_not_gone() -> None:
    stage = connected()
    stage.connection.close(CloseCode.SERVICE_RESTART)

    stage.send_frames(Frame(Opcode.TEXT, ping("crossing")))
    assert stage.gone_with == []

    stage.send_frames(Frame(Opcode.CLOSE, (1012).to_bytes(2, "big")))
    assert stage.gone_with == [1012]


def test_what_was_said_before_the_wire_was_cut_is_still_carried_out() -> None:
    stage = connected()

    stage.send(signal("s-0"), ping("p-1"), join("j-1"), ping("p-2"))
    stage.lose()
    stage.answer()
    assert stage.gone_with == []
    stage.answer_room(None)

    assert stage.host.asked == ["s-0", "j-1"]
    assert stage.gone_with == [1006]
    assert stage.socket.taken() == b""


def test_a_lost_client_with_nothing_under_way_is_gone_at_once() -> None:
    stage = connected()

    stage.lose()

    assert stage.gone_with == [1006]
    assert stage.clock.is_idle


def test_a_session_that_ended_while_it_asked_closes_and_asks_no_more() -> None:
    for replaced, code in ((True, 4500), (False, 4002)):
        stage = connected()
        stage.send(*signals(3))

        stage.answer(SessionGone(replaced=replaced))

        assert stage.close_code == code
        assert stage.host.asked == ["s-0"]
        stage.lose()
        assert stage.gone_with == [code]


def test_a_session_that_ended_after_the_client_left_has_its_code() -> None:
    stage = connected()
    stage.send(*signals(2))
    stage.say_goodbye()
    stage.lose()

    stage.answer(SessionGone(replaced=True))

    assert stage.gone_with == [1000]
    assert stage.host.asked == ["s-0"]


def test_a_close_of_ours_ends_the_hearing_but_not_what_is_under_way() -> None:
    stage = connected()
    stage.send(*signals(3))

    stage.connection.close(CloseCode.KICKED)
    stage.lose()

    assert stage.gone_with == []
    stage.answer()
    assert stage.gone_with == [4502]
    assert stage.host.asked == ["s-0"]


@pytest.mark.parametrize("code", CloseCode)
def test_a_close_of_ours_says_why_once(code: CloseCode) -> None:
    stage = connected()

    stage.connection.close(code)
    stage.connection.close(CloseCode.INTERNAL_ERROR)

    assert stage.close_code == code
    assert stage.connection.close_code == code


def test_after_a_close_of_ours_nothing_is_heard_or_delivered() -> None:
    stage = connected()
    stage.send(signal("s-0"))
    stage.connection.close(CloseCode.REPLACED)

    late = signal("late")
    stage.client.send_text(late)
    stage.flush()
    stage.answer()
    stage.deliveries.deliver(event("late"))

    assert stage.host.asked == ["s-0"]
    assert stage.texts() == []


def test_a_client_that_does_not_close_in_its_turn_is_cut_off() -> None:
    stage = connected()

    stage.connection.close(CloseCode.SERVICE_RESTART)
    stage.clock.advance(CLOSING_S - 0.1)
    assert not stage.socket.is_closing()
    stage.clock.advance(0.1)

    assert stage.socket.is_aborted
    assert stage.clock.is_idle


@ANYTHING
def test_what_a_client_sends_after_our_close_postpones_nothing(data: bytes) -> None:
    stage = connected()

    stage.connection.close(CloseCode.SERVICE_RESTART)

    assert is_cut_in_time(stage, data)
    assert stage.gone_with == []
    stage.lose()
    assert stage.gone_with == [1012]


@ANYTHING
def test_what_a_client_sends_after_its_own_close_postpones_nothing(data: bytes) -> None:
    stage = connected()

    stage.say_goodbye()

    assert is_cut_in_time(stage, data)
    stage.lose()
    assert stage.gone_with == [1000]


@ANYTHING
@pytest.mark.parametrize(
    "wrong", [Frame(Opcode.BINARY, b""), Frame(Opcode.CONT, b"")], ids=["no text", "continues nothing"]
)
def test_what_comes_after_a_wrong_frame_postpones_nothing(wrong: Frame, data: bytes) -> None:
    stage = connected()

    stage.send_frames(wrong)

    assert is_cut_in_time(stage, data)


def test_a_client_that_answers_our_close_late_gains_no_time_by_that() -> None:
    stage = connected()
    stage.connection.close(CloseCode.SERVICE_RESTART)
    stage.clock.advance(CLOSING_S - 0.1)

    stage.send_frames(Frame(Opcode.CLOSE, (1012).to_bytes(2, "big")))
    assert stage.gone_with == [1012]
    stage.clock.advance(0.1)

    assert stage.socket.is_aborted


def test_a_client_that_is_not_read_is_read_again_for_its_close() -> None:
    stage = connected()
    stage.send(*signals(MAX_UNREAD + 2))
    assert not stage.socket.is_read

    stage.connection.close(CloseCode.REPLACED)

    assert stage.socket.is_read


def test_a_client_that_closes_is_answered_and_the_wire_ended() -> None:
    stage = connected()

    stage.say_goodbye(4321)

    assert stage.close_code == 4321
    assert stage.socket.is_ended
    stage.clock.advance(CLOSING_S)
    assert stage.socket.is_aborted
    stage.lose()
    assert stage.gone_with == [4321]


def test_a_client_that_only_stops_sending_is_closed_by_its_transport() -> None:
    stage = connected()
    stage.send(signal("s-0"))

    keep_open = stage.connection.eof_received()
    stage.answer(Refused("TARGET_OFFLINE"))
    stage.deliveries.deliver(event("late"))
    stage.lose()

    assert not keep_open
    assert stage.texts() == []
    assert stage.gone_with == [1006]


def test_a_client_that_sends_no_more_and_does_not_read_is_cut_off() -> None:
    for closes in (False, True):
        stage = connected()
        if closes:
            stage.connection.close(CloseCode.SERVICE_RESTART)

        stage.connection.eof_received()  # its transport waits until the client has read all, however long

        assert stage.gone_with == [1012 if closes else 1006]
        stage.clock.advance(CLOSING_S)
        assert stage.socket.is_aborted
        assert stage.clock.is_idle


def test_the_first_close_frame_tells_why_a_connection_ended() -> None:
    ours, theirs = connected(), connected()

    ours.connection.close(CloseCode.KICKED)
    ours.send_frames(Frame(Opcode.CLOSE, (1001).to_bytes(2, "big")))
    theirs.say_goodbye(1001)
    theirs.connection.close(CloseCode.KICKED)

    assert (ours.gone_with, theirs.gone_with) == ([4502], [1001])
