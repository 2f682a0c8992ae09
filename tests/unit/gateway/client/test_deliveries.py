"""What others send to a client: in order, each once, and not for ever. What waits is `test_feed`'s."""

from websockets.frames import Frame, Opcode

from gateway.client.deliveries import NOTHING
from gateway.client.events import expiring
from gateway.client.keepalive import WARNING_S
from gateway.client.outbox import MAX_WAITING_BYTES
from tests.unit.gateway.client.harness import connected, event, ping, session, signal
from tests.unit.gateway.client.missing import missed, names, welcomed
from tieline import metrics
from tieline.wire.limits import RETRY_WINDOW_S


def test_what_others_send_is_delivered_byte_for_byte_in_order() -> None:
    harness = connected()
    frames = [b"1", "用户".encode(), b"\x00", b"x" * 65_536, b""]

    for frame in frames:
        harness.deliveries.deliver(frame)

    assert harness.texts() == frames


def test_the_very_same_frame_is_delivered_once_a_minute() -> None:
    harness = connected()
    for _ in range(3):
        harness.deliveries.deliver(event("e-1"))
    harness.live_on(RETRY_WINDOW_S - 1)
    harness.deliveries.deliver(event("e-1"))
    assert names(harness) == ["e-1"]

    harness.live_on(1)
    harness.deliveries.deliver(event("e-1"))

    assert names(harness) == ["e-1"]


def test_what_the_client_was_sent_can_be_asked() -> None:
    harness = connected()
    assert not harness.deliveries.has_had(event("e-1"))

    harness.deliveries.deliver(event("e-1"))

    assert harness.deliveries.has_had(event("e-1"))
    assert not harness.deliveries.has_had(event("e-2"))


def test_two_frames_of_one_name_are_two() -> None:
    harness = connected()

    harness.deliveries.deliver(signal("s-1"))
    harness.deliveries.deliver(signal("s-1", size=1))

    assert names(harness) == ["s-1", "s-1"]


def test_what_the_gateway_itself_says_is_never_taken_for_a_duplicate() -> None:
    harness = connected()

    harness.send(ping("p-1"), ping("p-1"))

    assert names(harness) == ["p-1", "p-1"]


def test_deliveries_are_counted_by_what_became_of_them() -> None:
    counters = (metrics.DELIVERED, metrics.DELIVERED_AGAIN, metrics.DELIVERED_TO_NOBODY)
    before = [counter.count for counter in counters]
    harness = connected()

    for name in ("e-1", "e-1", "e-2", "e-1"):
        harness.deliveries.deliver(event(name))
    harness.say_goodbye()
    harness.deliveries.deliver(event("e-3"))

    assert [counter.count - was for counter, was in zip(counters, before, strict=True)] == [2, 2, 1]


# A replay.


def test_what_the_client_has_had_is_only_remembered() -> None:
    harness = welcomed(missed("e-3", known=("e-1", "e-2")))
    harness.deliveries.deliver(event("e-2"))
    harness.deliveries.deliver(event("e-1"))
    harness.deliveries.deliver(event("e-4"))

    assert names(harness) == ["e-3", "e-4"]


def test_a_minute_after_the_replay_what_was_known_may_come_again() -> None:
    harness = welcomed(missed(known=("e-1",)))

    harness.live_on(RETRY_WINDOW_S)
    harness.deliveries.deliver(event("e-1"))

    assert names(harness) == ["e-1"]


def test_a_missed_message_that_equals_a_known_one_is_not_sent() -> None:
    harness = welcomed(missed("e-1", "e-2", known=("e-1",)))

    assert names(harness) == ["e-2"]


def test_a_client_that_missed_nothing_is_sent_nothing() -> None:
    assert names(welcomed(NOTHING)) == []


def test_a_frame_delivered_long_ago_is_not_read_from_the_mailbox() -> None:
    harness = connected()
    harness.deliveries.deliver(event("e-1"))
    harness.live_on(RETRY_WINDOW_S + 15)
    assert names(harness) == ["e-1"]

    harness.deliveries.replay(missed("e-1", "e-2"))

    assert names(harness) == ["e-2"]


# Events of the gateway's own.


def test_an_event_of_the_gateway_s_own_goes_like_those_of_others() -> None:
    alice = session(token_lasts_s=WARNING_S - 1)
    harness = connected(alice)

    harness.clock.advance(0)
    own = expiring(alice)
    assert harness.host.told == [("s-1", own)]
    assert harness.texts() == []

    harness.deliveries.deliver(event("older"))
    for _ in range(2):  # as it comes back, and as a replay may bring it once more
        harness.deliveries.deliver(own)
    assert harness.texts() == [event("older"), own]


# A client that does not read.


def test_a_client_that_does_not_read_is_closed_and_costs_no_more() -> None:
    harness = connected()

    harness.socket.waiting_bytes = MAX_WAITING_BYTES
    harness.deliveries.deliver(event("e-1"))
    assert harness.close_code is None
    harness.socket.waiting_bytes += 1
    harness.deliveries.deliver(event("e-2"))
    harness.deliveries.deliver(event("e-3"))

    assert harness.close_code == 4000
    assert names(harness) == ["e-1", "e-2"]


def test_a_client_that_does_not_read_its_answers_is_closed_too() -> None:
    harness = connected()
    harness.socket.waiting_bytes = MAX_WAITING_BYTES + 1

    harness.send(ping("p-1"), ping("p-2"), signal("s-1"))

    assert harness.close_code == 4000
    assert names(harness) == ["p-1"]
    assert harness.host.asked == []


def test_a_client_that_does_not_read_its_pongs_is_closed_too() -> None:
    harness = connected()
    harness.socket.waiting_bytes = MAX_WAITING_BYTES + 1

    harness.send_frames(Frame(Opcode.PING, b"hello?"))

    assert harness.close_code == 4000
