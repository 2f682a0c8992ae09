"""What time does to a connection: pings, a client that has died, and a token that ends."""

from websockets.frames import Frame, Opcode

from gateway.client.events import expiring
from gateway.client.inbound import MAX_UNREAD
from gateway.client.keepalive import WARNING_S
from gateway.client.terms import Pace
from tests.unit.gateway.client.harness import AN_HOUR_S, connected, session, signal, signals
from tieline.wire.codes import CloseCode

PING_S, PONG_S = Pace()


def test_a_client_that_answers_the_ping_every_25_seconds_stays() -> None:
    harness = connected()

    harness.live_on(10 * PING_S)

    assert len(harness.pings) == 10
    assert len(set(harness.pings)) == 10
    assert harness.close_code is None


def test_a_client_that_leaves_a_ping_unanswered_for_8_s_is_closed() -> None:
    harness = connected()

    harness.clock.advance(PING_S + PONG_S - 0.1)
    assert harness.close_code is None
    harness.clock.advance(0.1)

    assert harness.close_code == 4001


def test_neither_messages_nor_old_pongs_answer_a_ping() -> None:
    harness = connected()
    harness.live_on(PING_S)
    (first,) = harness.pings
    harness.clock.advance(PING_S)

    harness.client.send_pong(first)
    harness.client.data_to_send()
    harness.send(signal("s-1"))
    harness.client.send_pong(first)
    harness.clock.advance(PONG_S)

    assert harness.close_code == 4001


def test_a_client_that_never_ends_a_frame_is_closed() -> None:
    harness = connected()
    harness.put(Frame(Opcode.TEXT, b"x" * 40_000).serialize(mask=True)[:-1])  # its pong would be part of that
    assert harness.waiting.bytes_in > 40_000

    harness.clock.advance(PING_S + PONG_S)

    assert harness.close_code == 4001


def test_a_client_that_never_ends_a_message_stays_counted() -> None:
    harness = connected()
    harness.send_frames(
        *(Frame(Opcode.CONT if n else Opcode.TEXT, b"x" * 10_000, fin=False) for n in range(4))
    )

    harness.live_on(10 * PING_S)
    assert harness.close_code is None
    assert harness.waiting.bytes_in == 40_000

    harness.waiting.most = 39_000
    harness.send_frames(Frame(Opcode.CONT, b"x", fin=False))
    assert harness.close_code == 4000
    assert harness.waiting.bytes_in == 0


def test_a_client_whose_pong_may_wait_unread_is_not_closed_for_that() -> None:
    harness = connected()
    harness.send(*signals(MAX_UNREAD + 2))
    assert not harness.socket.is_read

    harness.clock.advance(PING_S + 5 * PONG_S)

    assert harness.close_code is None


def test_a_client_that_stays_silent_once_it_is_read_again_is_closed() -> None:
    harness = connected()
    harness.send(*signals(MAX_UNREAD + 2))
    harness.clock.advance(PING_S + 2 * PONG_S)

    while harness.host.under_way:
        harness.answer()
    assert harness.socket.is_read
    harness.clock.advance(PONG_S)

    assert harness.close_code == 4001


def test_a_client_whose_pong_is_read_late_lives_on() -> None:
    harness = connected()
    harness.send(*signals(MAX_UNREAD + 2))
    harness.clock.advance(PING_S + 2 * PONG_S)

    while harness.host.under_way:
        harness.answer()
    harness.live_on(PING_S)

    assert harness.close_code is None


def test_a_client_is_told_30_s_before_its_token_ends_then_closed() -> None:
    alice = session(token_lasts_s=AN_HOUR_S)
    harness = connected(alice)

    # A minute for the tests themselves: tokens go by the real time.
    harness.live_on(AN_HOUR_S - WARNING_S - 60)
    assert harness.host.told == []
    harness.live_on(60)

    assert harness.host.told == [(alice.session, expiring(alice))]
    assert harness.close_code is None
    harness.live_on(AN_HOUR_S)
    assert harness.close_code == 4501


def test_a_client_whose_token_ends_sooner_is_told_at_once() -> None:
    alice = session(token_lasts_s=WARNING_S - 1)
    harness = connected(alice)

    harness.clock.advance(0)
    assert harness.host.told == [(alice.session, expiring(alice))]
    harness.live_on(WARNING_S)

    assert harness.close_code == 4501


def test_a_token_that_ends_while_a_message_is_under_way_still_closes() -> None:
    harness = connected(session(token_lasts_s=0))
    harness.send(signal("s-1"))

    harness.clock.advance(0)

    assert harness.close_code == 4501
    harness.answer()
    harness.lose()
    assert harness.gone_with == [4501]


def test_after_the_end_time_does_nothing_more() -> None:
    closed, lost, left = connected(), connected(), connected()

    closed.connection.close(CloseCode.SERVICE_RESTART)
    lost.lose()
    left.say_goodbye()
    for harness in (closed, left):
        harness.look()
        harness.clock.advance(2 * AN_HOUR_S)
        assert harness.socket.is_aborted
        harness.lose()

    for harness in (closed, lost, left):
        assert harness.clock.is_idle
        assert harness.pings == []
        assert len(harness.gone_with) == 1


def test_a_connection_that_closes_sends_no_ping() -> None:
    harness = connected()
    harness.clock.advance(PING_S - 1)

    harness.connection.close(CloseCode.SERVICE_RESTART)
    harness.look()
    harness.connection.ping(b"?")

    assert harness.socket.taken() == b""
