"""Reading is shared out: so much a turn, the others in between, and no more bytes held than may be."""

import itertools

import pytest
from websockets.frames import Frame, Opcode

from gateway.client.connection import CLOSING_S, READ_BYTES
from gateway.client.inbound import MAX_UNREAD, MAX_UNREAD_BYTES
from gateway.client.reader import (
    AT_ONCE_BYTES,
    AT_ONCE_FRAMES,
    CLOSING_BYTES,
    READ_AHEAD_BYTES,
    TURN_BYTES,
    TURN_FRAMES,
    TURN_S,
)
from gateway.client.trickle import SMALL_BYTES
from gateway.client.waiting import Waiting
from gateway.limits.limit import Limit
from gateway.limits.rate import rate
from gateway.limits.rates import NO_LIMITS
from tests.unit.gateway.client.clock import Clock
from tests.unit.gateway.client.harness import Harness, connected, ping, session, signal, signals
from tieline.wire.codes import CloseCode
from tieline.wire.envelope import MAX_MESSAGE_BYTES

MEGABYTES = 4_000_000
LONGEST_FRAME = MAX_MESSAGE_BYTES + 14


def masked(opcode: Opcode, data: bytes = b"", fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def ping_of(size: int) -> bytes:
    frame = ping("p")
    return frame[:-1] + b" " * (size - len(frame)) + frame[-1:]


KINDS = {
    "tiny messages": masked(Opcode.TEXT, b"{}"),
    "PING messages": masked(Opcode.TEXT, ping("p")),
    "ICE_SERVERS": masked(Opcode.TEXT, b'{"requestId":"i","module":"ROOM","cmd":"ICE_SERVERS"}'),
    "long messages": masked(Opcode.TEXT, ping_of(MAX_MESSAGE_BYTES)),
    "signals": masked(Opcode.TEXT, signal("s")),
    "long signals": masked(Opcode.TEXT, signal("s", size=60_000)),
    "pings": masked(Opcode.PING),
    "pongs": masked(Opcode.PONG, b"x" * 125),
    "whole messages in two": masked(Opcode.TEXT, b"{", fin=False) + masked(Opcode.CONT, b"}"),
}


def shared(clock: Clock, waiting: Waiting) -> Harness:
    """A client who has been welcomed, on the clock of another one."""
    harness = Harness(clock=clock, waiting=waiting)
    harness.put(harness.request())
    harness.welcome()
    harness.texts()
    return harness


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_one_client_sends_another_is_served_in_between(kind: str) -> None:
    clock, waiting = Clock(), Waiting(1 << 30)
    flooder, honest = shared(clock, waiting), shared(clock, waiting)
    flooder.write(KINDS[kind] * (MEGABYTES // len(KINDS[kind])))

    for number in range(50):
        flooder.read()
        honest.client.send_text(ping(f"h-{number}"))
        honest.hand_over(b"".join(honest.client.data_to_send()))
        assert honest.names() == [f"h-{number}"]
        clock.iterate()
        assert waiting.bytes_in <= 4 * 32 * 1024

    assert len(flooder.socket.arriving) > MEGABYTES / 8


def test_fragments_without_an_end_take_turns_too() -> None:
    harness = connected()
    harness.write(masked(Opcode.TEXT, fin=False) + masked(Opcode.CONT, fin=False) * (MEGABYTES // 6))

    for _ in range(50):
        harness.read()
        harness.clock.iterate()

    assert len(harness.socket.arriving) > MEGABYTES / 2


def test_a_few_frames_are_answered_as_they_arrive() -> None:
    harness = connected()

    harness.hand_over(masked(Opcode.TEXT, ping("p")) * AT_ONCE_FRAMES)

    assert harness.clock.is_at_rest
    assert harness.names() == ["p"] * AT_ONCE_FRAMES
    assert harness.socket.is_read


def test_more_than_a_few_frames_are_answered_in_turns() -> None:
    harness = connected()
    count = AT_ONCE_FRAMES + TURN_FRAMES

    harness.hand_over(masked(Opcode.TEXT, ping("p")) * (count + 1))

    assert len(harness.names()) == AT_ONCE_FRAMES
    harness.clock.iterate()
    assert len(harness.names()) == TURN_FRAMES
    harness.clock.iterate()
    assert len(harness.names()) == 1
    assert harness.clock.is_at_rest


def test_a_long_message_has_to_wait_for_a_turn() -> None:
    harness = connected()

    harness.hand_over(masked(Opcode.TEXT, ping_of(AT_ONCE_BYTES + 1)))

    assert harness.names() == []
    harness.clock.iterate()
    assert harness.names() == ["p"]


LONG = ping_of(AT_ONCE_BYTES + 1)
IN_FRAGMENTS = [LONG[:9], *(LONG[at : at + 2000] for at in range(9, len(LONG), 2000))]


@pytest.mark.parametrize(
    "long",
    [
        [masked(Opcode.TEXT, LONG)],
        [
            masked(Opcode.CONT if nth else Opcode.TEXT, part, fin=nth == len(IN_FRAGMENTS) - 1)
            for nth, part in enumerate(IN_FRAGMENTS)
        ],
    ],
    ids=["whole", "in fragments"],
)
def test_a_long_message_begins_a_turn_of_its_own(long: list[bytes]) -> None:
    harness = connected()

    harness.hand_over(masked(Opcode.TEXT, ping("before")) * 5 + b"".join(long))

    harness.clock.iterate()
    assert harness.names() == ["before"] * 5
    harness.clock.iterate()
    assert harness.names() == ["p"]
    assert harness.clock.is_at_rest


def test_a_long_message_whose_end_comes_alone_waits_for_a_turn() -> None:
    harness = connected()
    harness.put(masked(Opcode.TEXT, LONG[:-1], fin=False))

    harness.hand_over(masked(Opcode.CONT, LONG[-1:]))

    assert harness.names() == []
    harness.clock.iterate()
    assert harness.names() == ["p"]


def test_a_long_message_that_waited_begins_a_turn_of_its_own() -> None:
    harness = connected()
    harness.send(signal("s"), ping("p-0"), ping("p-1"), LONG, ping("p-2"))

    harness.host.answer()

    assert harness.names() == ["p-0"]
    harness.clock.iterate()
    assert harness.names() == ["p-1"]
    harness.clock.iterate()
    assert harness.names() == ["p", "p-2"]


def test_a_long_message_next_after_an_answer_waits_for_a_turn() -> None:
    harness = connected()
    harness.send(signal("s"), LONG)

    harness.host.answer()

    assert harness.names() == []
    harness.clock.iterate()
    assert harness.names() == ["p"]
    assert harness.clock.is_at_rest


def test_a_turn_has_a_bound_in_bytes() -> None:
    harness = connected()
    frame = masked(Opcode.TEXT, ping_of(4000))
    harness.write(frame * 20)
    harness.read()

    harness.clock.iterate()

    assert len(harness.names()) == TURN_BYTES // len(frame) + 1


def test_a_turn_ends_in_time_with_whatever_takes_it() -> None:
    ticks = itertools.count()
    harness = Harness(now=lambda: next(ticks) * TURN_S / 2)
    harness.put(harness.request())
    harness.welcome()
    harness.texts()

    harness.hand_over(masked(Opcode.TEXT, ping("p")) * 3)

    assert harness.names() == ["p"]
    harness.clock.iterate()
    assert harness.names() == ["p"]


def test_after_an_answer_what_can_be_answered_at_once_takes_turns() -> None:
    harness = connected()
    harness.send(signal("s"), *(ping(f"p-{number}") for number in range(20)))

    harness.host.answer()

    assert harness.names() == ["p-0"]
    harness.arrive()
    assert len(harness.names()) == 19


# What is held.


def test_of_one_client_no_more_waits_than_may() -> None:
    for kind in KINDS.values():
        harness = connected()
        harness.write(masked(Opcode.TEXT, signal("first")) + kind * (MEGABYTES // len(kind)))
        most = 0
        for _ in range(200):
            harness.read()
            most = max(most, harness.waiting.bytes_in)
            harness.clock.iterate()
            most = max(most, harness.waiting.bytes_in)
        assert most <= LONGEST_FRAME + MAX_UNREAD_BYTES + READ_BYTES


def test_a_frame_in_pieces_is_read_up_to_its_end_and_no_further() -> None:
    harness, frame = connected(), masked(Opcode.TEXT, signal("s", size=60_000))
    for start in range(0, len(frame) - SMALL_BYTES, SMALL_BYTES):
        harness.hand_over(frame[start : start + SMALL_BYTES])
        assert harness.socket.is_read
    assert harness.host.asked == []

    harness.put(frame[start + SMALL_BYTES :])

    assert harness.host.asked == ["s"]
    assert harness.waiting.bytes_in == 0


def test_unread_bytes_are_bounded_as_unread_messages_are() -> None:
    harness = connected()
    harness.send(signal("s-0"))
    harness.send(*(signal(f"s-{number}", size=MAX_UNREAD_BYTES // 2) for number in range(1, 5)))

    assert not harness.socket.is_read
    for _ in range(5):
        harness.answer()
    assert harness.host.asked == [f"s-{number}" for number in range(5)]
    assert harness.socket.is_read
    assert harness.waiting.bytes_in == 0


def test_while_much_waits_everywhere_one_message_of_each_does() -> None:
    waiting = Waiting(1000)
    waiting.bytes_in = 800
    harness = shared(Clock(), waiting)

    harness.send(*signals(2))

    assert not harness.socket.is_read
    harness.answer()
    harness.answer()
    assert harness.socket.is_read


def test_a_frame_that_is_too_long_is_refused_by_its_header() -> None:
    for frame, code in (
        (masked(Opcode.TEXT, b"x" * (MAX_MESSAGE_BYTES + 1)), 1009),
        (b"\x81\xff" + (1 << 62).to_bytes(8, "big"), 1009),
        (b"\x81\x05", 1002),
    ):
        harness = connected()
        harness.put(frame[:10])
        assert harness.close_code == code
        assert harness.waiting.bytes_in == 0


def test_who_holds_most_is_closed_with_4000_when_there_is_no_room() -> None:
    clock, waiting = Clock(), Waiting(200_000)
    heavy, light = shared(clock, waiting), shared(clock, waiting)
    light.send(signal("s-0"))
    heavy.socket.waiting_bytes = 190_000
    heavy.connection.pause_writing()
    light.write(masked(Opcode.TEXT, signal("s", size=60_000))[:-1])
    light.arrive()

    assert heavy.close_code == 4000
    assert light.close_code is None
    assert heavy.socket.is_aborted
    heavy.lose()
    light.lose()
    light.answer()
    assert heavy.gone_with == [4000]
    assert (waiting.bytes_in, waiting.bytes_out) == (0, 0)


def test_pongs_that_a_client_does_not_read_count_too() -> None:
    harness = connected()
    harness.socket.waiting_bytes = 20_000
    harness.connection.pause_writing()

    harness.socket.waiting_bytes = 40_000
    harness.put(masked(Opcode.PING))

    assert harness.waiting.bytes_out == 40_000


def test_what_a_client_does_not_read_counts_as_long_as_it_waits() -> None:
    harness = connected()
    assert harness.socket.high is not None
    harness.socket.waiting_bytes = 30_000
    harness.connection.pause_writing()
    harness.socket.waiting_bytes = 40_000
    harness.send(ping("p"))
    assert harness.waiting.bytes_out == 40_000

    harness.socket.waiting_bytes = 0
    harness.connection.resume_writing()

    assert harness.waiting.bytes_out == 0


@pytest.mark.parametrize("ends", ["closes", "is lost", "is closed", "breaks the rules", "ends its stream"])
def test_a_connection_that_ends_holds_nothing(ends: str) -> None:
    harness = connected()
    harness.send_frames(Frame(Opcode.TEXT, b"x" * 20_000, fin=False))
    harness.put(masked(Opcode.CONT, b"x" * 20_000)[:-1])
    assert harness.waiting.bytes_in > 40_000
    match ends:
        case "closes":
            harness.put(b"x" + masked(Opcode.CONT) + masked(Opcode.CLOSE))
        case "is lost":
            harness.lose()
        case "is closed":
            harness.connection.close(CloseCode.KICKED)
            harness.lose()
        case "breaks the rules":
            harness.put(b"x" + masked(Opcode.BINARY))
        case _:
            harness.connection.eof_received()

    assert harness.waiting.bytes_in == 0


# The end.


def test_what_waited_for_a_turn_when_the_wire_was_cut_is_carried_out() -> None:
    for ends in (Harness.lose, lambda harness: harness.connection.eof_received()):
        harness = connected()
        harness.hand_over(b"".join(masked(Opcode.TEXT, frame) for frame in signals(60)))
        ends(harness)
        assert harness.gone_with == []
        harness.arrive()
        for _ in range(60):
            harness.answer()
        assert harness.host.asked == [f"s-{number}" for number in range(60)]
        assert harness.gone_with == [1006]


@pytest.mark.parametrize("kind", KINDS)
def test_after_our_close_nothing_is_parsed_without_end(kind: str) -> None:
    harness = connected()
    harness.connection.close(CloseCode.SERVICE_RESTART)
    harness.write(KINDS[kind] * (MEGABYTES // len(KINDS[kind])))

    harness.arrive()

    assert len(harness.socket.arriving) >= MEGABYTES - CLOSING_BYTES - 3 * READ_BYTES - LONGEST_FRAME
    harness.clock.advance(CLOSING_S)
    assert harness.socket.is_aborted
    assert harness.host.asked == []


def test_after_our_close_the_client_s_is_found_behind_what_it_sent() -> None:
    harness = connected()
    harness.connection.close(CloseCode.SERVICE_RESTART)
    before = CLOSING_BYTES // 2 // len(KINDS["signals"])

    harness.put(KINDS["signals"] * before + masked(Opcode.CLOSE, (1012).to_bytes(2, "big")))

    assert harness.gone_with == [1012]
    assert harness.socket.is_ended


def test_after_the_client_s_close_nothing_is_parsed_or_kept() -> None:
    harness = connected()
    harness.put(masked(Opcode.CLOSE, (1000).to_bytes(2, "big")))
    harness.write(KINDS["signals"] * (MEGABYTES // len(KINDS["signals"])))

    harness.arrive()

    assert harness.waiting.bytes_in == 0
    assert len(harness.socket.arriving) >= MEGABYTES - CLOSING_BYTES - 2 * READ_BYTES


def test_a_client_that_waits_for_its_turn_owes_no_pong() -> None:
    harness = connected()
    assert harness.connection.is_reading

    harness.hand_over(KINDS["pings"] * 1000)
    assert not harness.connection.is_reading
    harness.arrive()

    assert harness.connection.is_reading


def test_who_waits_for_its_time_is_closed_in_time() -> None:
    harness = connected(session(rates=NO_LIMITS._replace(units=rate(1, 1))))
    harness.send(*(ping(f"p-{number}") for number in range(4)))

    harness.connection.close(CloseCode.KICKED)
    harness.put(masked(Opcode.CLOSE, (1000).to_bytes(2, "big")))

    assert harness.gone_with == [4502]


def test_as_many_messages_as_may_wait_do_and_the_rest_is_not_parsed() -> None:
    harness = connected()

    harness.send(*signals(3 * MAX_UNREAD))

    assert not harness.socket.is_read
    assert harness.waiting.bytes_in > 0
    assert READ_AHEAD_BYTES < READ_BYTES


def test_a_bug_in_the_turn_of_one_client_ends_that_one_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_limit: Limit) -> None:
        raise ZeroDivisionError

    clock, waiting = Clock(), Waiting(1 << 30)
    one = Harness(clock=clock, waiting=waiting)
    one.put(one.request())
    unlucky = session(rates=NO_LIMITS._replace(units=rate(1, 2 * TURN_FRAMES)))
    unlucky.budget.on_limited = fail
    one.welcome(unlucky)
    other = Harness(clock=clock, waiting=waiting, turns=one.turns)
    other.put(other.request())
    other.welcome()
    other.texts()

    one.write(KINDS["PING messages"] * (3 * TURN_FRAMES))
    other.write(KINDS["PING messages"] * (3 * TURN_FRAMES))
    for harness in (one, other):
        harness.read()
    clock.settle()

    assert one.socket.is_aborted
    assert [record.message for record in caplog.records] == ["client cut: a bug"]
    one.lose()
    assert one.gone_with == [1006]
    assert len(other.names()) == 3 * TURN_FRAMES
