"""The end of a connection, by the client, the gateway or a loss, and what was said before it."""

import itertools

import pytest
from websockets.frames import Frame, Opcode

from gateway.client.connection import CLOSING_S
from gateway.client.inbound import MAX_UNREAD
from gateway.client.turns import ROUND_S, Turns
from tests.unit.gateway.client.clock import Clock
from tests.unit.gateway.client.harness import Harness, connected, event, join, ping, signal, signals
from tieline.wire.codes import CloseCode
from tieline.wire.envelope import MAX_MESSAGE_BYTES
from tieline.wire.internal.answers import Refused, SessionGone

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


def is_cut_in_time(harness: Harness, data: bytes) -> bool:
    """Let a client that closes go on sending; returns whether it is cut when its time is up."""
    for _ in range(int(CLOSING_S / 0.5)):
        if harness.socket.is_aborted:
            return False
        harness.put(data)
        harness.clock.advance(0.5)
    return harness.socket.is_aborted


def test_a_client_is_gone_when_all_it_said_before_closing_is_done() -> None:
    harness = connected()

    harness.send(*signals(3))
    harness.say_goodbye()
    harness.lose()

    for _ in range(3):
        assert harness.gone_with == []
        harness.answer()
    assert harness.host.asked == ["s-0", "s-1", "s-2"]
    assert harness.gone_with == [1000]


def test_a_client_that_has_closed_is_gone_with_an_open_socket() -> None:
    harness = connected()

    harness.say_goodbye(4321)
    assert harness.gone_with == [4321]

    harness.lose()
    assert harness.gone_with == [4321]


def test_a_client_that_breaks_the_protocol_is_gone_at_once() -> None:
    for frames, code in (
        ([Frame(Opcode.BINARY, b"x")], 1003),
        ([Frame(Opcode.TEXT, b"\xff")], 1007),
        ([Frame(Opcode.CONT, b"x")], 1002),
        ([Frame(Opcode.TEXT, b"x" * (MAX_MESSAGE_BYTES + 1))], 1009),
    ):
        harness = connected()
        harness.send_frames(*frames)
        assert harness.gone_with == [code]
        harness.lose()
        assert harness.gone_with == [code]


def test_a_client_that_has_yet_to_answer_our_close_is_not_gone() -> None:
    harness = connected()
    harness.connection.close(CloseCode.SERVICE_RESTART)

    harness.send_frames(Frame(Opcode.TEXT, ping("crossing")))
    assert harness.gone_with == []

    harness.send_frames(Frame(Opcode.CLOSE, (1012).to_bytes(2, "big")))
    assert harness.gone_with == [1012]


def test_what_was_said_before_the_wire_was_cut_is_still_carried_out() -> None:
    harness = connected()

    harness.send(signal("s-0"), ping("p-1"), join("j-1"), ping("p-2"))
    harness.lose()
    harness.answer()
    assert harness.gone_with == []
    harness.answer_room(None)

    assert harness.host.asked == ["s-0", "j-1"]
    assert harness.gone_with == [1006]
    assert harness.socket.taken() == b""


def test_a_lost_client_with_nothing_under_way_is_gone_at_once() -> None:
    harness = connected()

    harness.lose()

    assert harness.gone_with == [1006]
    assert harness.clock.is_idle


def test_a_session_that_ended_while_it_asked_closes_and_asks_no_more() -> None:
    for replaced, code in ((True, 4500), (False, 4002)):
        harness = connected()
        harness.send(*signals(3))

        harness.answer(SessionGone(replaced=replaced))

        assert harness.close_code == code
        assert harness.host.asked == ["s-0"]
        harness.lose()
        assert harness.gone_with == [code]


def test_a_session_that_ended_after_the_client_left_has_its_code() -> None:
    harness = connected()
    harness.send(*signals(2))
    harness.say_goodbye()
    harness.lose()

    harness.answer(SessionGone(replaced=True))

    assert harness.gone_with == [1000]
    assert harness.host.asked == ["s-0"]


def test_a_close_of_ours_ends_the_hearing_but_not_what_is_under_way() -> None:
    harness = connected()
    harness.send(*signals(3))

    harness.connection.close(CloseCode.KICKED)
    harness.lose()

    assert harness.gone_with == []
    harness.answer()
    assert harness.gone_with == [4502]
    assert harness.host.asked == ["s-0"]


@pytest.mark.parametrize("code", CloseCode)
def test_a_close_of_ours_says_why_once(code: CloseCode) -> None:
    harness = connected()

    harness.connection.close(code)
    harness.connection.close(CloseCode.INTERNAL_ERROR)

    assert harness.close_code == code
    assert harness.connection.close_code == code


def test_after_a_close_of_ours_nothing_is_heard_or_delivered() -> None:
    harness = connected()
    harness.send(signal("s-0"))
    harness.connection.close(CloseCode.REPLACED)

    late = signal("late")
    harness.client.send_text(late)
    harness.flush()
    harness.answer()
    harness.deliveries.deliver(event("late"))

    assert harness.host.asked == ["s-0"]
    assert harness.texts() == []


def test_a_client_that_does_not_close_in_its_turn_is_cut_off() -> None:
    harness = connected()

    harness.connection.close(CloseCode.SERVICE_RESTART)
    harness.clock.advance(CLOSING_S - 0.1)
    assert not harness.socket.is_closing()
    harness.clock.advance(0.1)

    assert harness.socket.is_aborted
    assert harness.clock.is_idle


@ANYTHING
def test_what_a_client_sends_after_our_close_postpones_nothing(data: bytes) -> None:
    harness = connected()

    harness.connection.close(CloseCode.SERVICE_RESTART)

    assert is_cut_in_time(harness, data)
    assert harness.gone_with == []
    harness.lose()
    assert harness.gone_with == [1012]


@ANYTHING
def test_what_a_client_sends_after_its_own_close_postpones_nothing(data: bytes) -> None:
    harness = connected()

    harness.say_goodbye()

    assert is_cut_in_time(harness, data)
    harness.lose()
    assert harness.gone_with == [1000]


@ANYTHING
@pytest.mark.parametrize(
    "wrong", [Frame(Opcode.BINARY, b""), Frame(Opcode.CONT, b"")], ids=["no text", "continues nothing"]
)
def test_what_comes_after_a_wrong_frame_postpones_nothing(wrong: Frame, data: bytes) -> None:
    harness = connected()

    harness.send_frames(wrong)

    assert is_cut_in_time(harness, data)


def test_a_client_that_answers_our_close_late_gains_no_time_by_that() -> None:
    harness = connected()
    harness.connection.close(CloseCode.SERVICE_RESTART)
    harness.clock.advance(CLOSING_S - 0.1)

    harness.send_frames(Frame(Opcode.CLOSE, (1012).to_bytes(2, "big")))
    assert harness.gone_with == [1012]
    harness.clock.advance(0.1)

    assert harness.socket.is_aborted


def test_a_client_that_is_not_read_is_read_again_for_its_close() -> None:
    harness = connected()
    harness.send(*signals(MAX_UNREAD + 2))
    assert not harness.socket.is_read

    harness.connection.close(CloseCode.REPLACED)

    assert harness.socket.is_read


def test_a_client_that_closes_is_answered_and_the_wire_ended() -> None:
    harness = connected()

    harness.say_goodbye(4321)

    assert harness.close_code == 4321
    assert harness.socket.is_ended
    harness.clock.advance(CLOSING_S)
    assert harness.socket.is_aborted
    harness.lose()
    assert harness.gone_with == [4321]


def test_a_client_that_only_stops_sending_is_closed_by_its_transport() -> None:
    harness = connected()
    harness.send(signal("s-0"))

    keep_open = harness.connection.eof_received()
    harness.answer(Refused("TARGET_OFFLINE"))
    harness.deliveries.deliver(event("late"))
    harness.lose()

    assert not keep_open
    assert harness.texts() == []
    assert harness.gone_with == [1006]


def test_a_client_that_sends_no_more_and_does_not_read_is_cut_off() -> None:
    for closes in (False, True):
        harness = connected()
        if closes:
            harness.connection.close(CloseCode.SERVICE_RESTART)

        harness.connection.eof_received()  # its transport waits until the client has read all, however long
        harness.clock.settle()

        assert harness.gone_with == [1012 if closes else 1006]
        harness.clock.advance(CLOSING_S)
        assert harness.socket.is_aborted
        assert harness.clock.is_idle


@pytest.mark.parametrize("by_the_client", [False, True])
def test_connections_that_end_together_are_gone_in_turns(by_the_client: bool) -> None:
    clock, ticks = Clock(), itertools.count()
    turns = Turns(clock.loop, lambda: next(ticks) * ROUND_S)  # one turn fills a round
    several = [Harness(clock=clock, turns=turns) for _ in range(3)]
    for harness in several:
        harness.put(harness.request())
        harness.welcome()
        harness.arrive()

    for harness in several:
        if by_the_client:
            harness.hand_over(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
        else:
            harness.connection.connection_lost(None)

    for nth in range(3):
        assert [len(harness.gone_with) for harness in several] == [1] * nth + [0] * (3 - nth)
        clock.iterate()
    assert [harness.gone_with for harness in several] == [[1000 if by_the_client else 1006]] * 3
    assert clock.is_at_rest


def test_the_first_close_frame_tells_why_a_connection_ended() -> None:
    ours, theirs = connected(), connected()

    ours.connection.close(CloseCode.KICKED)
    ours.send_frames(Frame(Opcode.CLOSE, (1001).to_bytes(2, "big")))
    theirs.say_goodbye(1001)
    theirs.connection.close(CloseCode.KICKED)

    assert (ours.gone_with, theirs.gone_with) == ([4502], [1001])
