"""What time does to a connection: pings, a client that has died, and a token that ends."""

from gateway.client.inbound import MAX_UNREAD
from gateway.client.keepalive import WARNING_S
from gateway.client.terms import Pace
from tests.unit.gateway.client.stage import AN_HOUR_S, connected, session, signal, signals
from tieline.wire.codes import CloseCode

PING_S, PONG_S = Pace()


def test_a_client_that_answers_the_ping_every_25_seconds_stays() -> None:
    stage = connected()

    stage.live_on(10 * PING_S)

    assert len(stage.pings) == 10
    assert len(set(stage.pings)) == 10
    assert stage.close_code is None


def test_a_client_that_leaves_a_ping_unanswered_for_8_s_is_closed() -> None:
    stage = connected()

    stage.clock.advance(PING_S + PONG_S - 0.1)
    assert stage.close_code is None
    stage.clock.advance(0.1)

    assert stage.close_code == 4001


def test_neither_messages_nor_old_pongs_answer_a_ping() -> None:
    stage = connected()
    stage.live_on(PING_S)
    (first,) = stage.pings
    stage.clock.advance(PING_S)

    stage.client.send_pong(first)
    stage.client.data_to_send()
    stage.send(signal("s-1"))
    stage.client.send_pong(first)
    stage.clock.advance(PONG_S)

    assert stage.close_code == 4001


def test_a_client_whose_pong_may_wait_unread_is_not_closed_for_that() -> None:
    stage = connected()
    stage.send(*signals(MAX_UNREAD + 2))
    assert not stage.socket.is_read

    stage.clock.advance(PING_S + 5 * PONG_S)

    assert stage.close_code is None


def test_a_client_that_stays_silent_once_it_is_read_again_is_closed() -> None:
    stage = connected()
    stage.send(*signals(MAX_UNREAD + 2))
    stage.clock.advance(PING_S + 2 * PONG_S)

    while stage.host.under_way:
        stage.answer()
    assert stage.socket.is_read
    stage.clock.advance(PONG_S)

    assert stage.close_code == 4001


def test_a_client_whose_pong_is_read_late_lives_on() -> None:
    stage = connected()
    stage.send(*signals(MAX_UNREAD + 2))
    stage.clock.advance(PING_S + 2 * PONG_S)

    while stage.host.under_way:
        stage.answer()
    stage.live_on(PING_S)

    assert stage.close_code is None


def test_a_client_is_told_30_s_before_its_token_ends_then_closed() -> None:
    alice = session(token_lasts_s=AN_HOUR_S)
    stage = connected(alice)

    stage.live_on(AN_HOUR_S - WARNING_S - 60)  # a minute for the tests themselves: tokens go by the real time
    assert stage.host.told == []
    stage.live_on(60)

    assert stage.host.told == [(alice.session, alice.expiring())]
    assert stage.close_code is None
    stage.live_on(AN_HOUR_S)
    assert stage.close_code == 4501


def test_a_client_whose_token_ends_sooner_is_told_at_once() -> None:
    alice = session(token_lasts_s=WARNING_S - 1)
    stage = connected(alice)

    stage.clock.advance(0)
    assert stage.host.told == [(alice.session, alice.expiring())]
    stage.live_on(WARNING_S)

    assert stage.close_code == 4501


def test_a_token_that_ends_while_a_message_is_under_way_still_closes() -> None:
    stage = connected(session(token_lasts_s=0))
    stage.send(signal("s-1"))

    stage.clock.advance(0)

    assert stage.close_code == 4501
    stage.answer()
    stage.lose()
    assert stage.gone_with == [4501]


def test_after_the_end_time_does_nothing_more() -> None:
    closed, lost, left = connected(), connected(), connected()

    closed.connection.close(CloseCode.SERVICE_RESTART)
    lost.lose()
    left.say_goodbye()
    for stage in (closed, left):
        stage.look()
        stage.clock.advance(2 * AN_HOUR_S)
        assert stage.socket.is_aborted
        stage.lose()

    for stage in (closed, lost, left):
        assert stage.clock.is_idle
        assert stage.pings == []
        assert len(stage.gone_with) == 1


def test_a_connection_that_closes_sends_no_ping() -> None:
    stage = connected()
    stage.clock.advance(PING_S - 1)

    stage.connection.close(CloseCode.SERVICE_RESTART)
    stage.look()
    stage.connection.ping(b"?")

    assert stage.socket.taken() == b""
